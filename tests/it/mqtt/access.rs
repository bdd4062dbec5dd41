//! Who may say what: enforced by the broker, and honoured here.

use std::time::Duration;

use serde_json::{Value, json};
use strandwatch::core::types::Name;
use strandwatch::mqtt::fault::Refusal;
use strandwatch::mqtt::requester::{RequestError, Requester};
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::ports::{Bus, IncomingRequest, Publication};

use crate::support::mqtt::{Daemon, LONG, Rig, body, name, soon};

const PLAIN: Delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
const RETAINED: Delivery = Delivery { retain: true, ..PLAIN };

async fn arrived(daemon: &mut Daemon) -> IncomingRequest {
    soon("a request arrives", daemon.requests.recv()).await.unwrap()
}

fn not_authorised(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused { refusal: Refusal::NotAuthorised, .. })
}

async fn send(client: &Requester, topic: &str, payload: Vec<u8>, delivery: Delivery) {
    client.publish(format!("strandwatch/{topic}"), payload, delivery).await.unwrap();
}

#[tokio::test]
async fn a_request_arrives_with_its_sender_and_its_answer_goes_back_to_that_client() {
    let rig = Rig::start().await;
    let mut daemon = rig.daemon().await;
    let (owner, _) = rig.client("owner", &[]).await;
    let (_observer, mut others) =
        rig.client("observer", &["client/owner/response/#", "status"]).await;
    let asking =
        tokio::spawn(
            async move { owner.request("voron", "pause", &body("r1"), LONG).await.unwrap() },
        );
    let request = arrived(&mut daemon).await;
    let principal = request.sender.unwrap();
    assert_eq!(principal.name(), &name("owner"));
    assert_eq!((request.printer.as_str(), request.command.as_str()), ("voron", "pause"));
    assert!(!request.retained);
    assert_eq!(serde_json::from_slice::<Value>(&request.payload).unwrap(), body("r1"));
    let answer = json!({ "id": "r1", "status": "refused", "reason": "no job" });
    daemon.bus.publish(Publication::Response {
        client: principal.name().clone(),
        printer: request.printer,
        command: request.command,
        body: answer.clone(),
    });
    assert_eq!(soon("the answer", asking).await.unwrap(), answer);
    daemon.close().await;
    // Messages keep their order: had the answer gone to others, they would have it before the goodbye.
    let next = others.until("anything but online", |received| received.payload != b"online").await;
    assert_eq!(next.topic, "strandwatch/status");
}

#[tokio::test]
async fn a_client_cannot_publish_as_another_and_hears_so() {
    let rig = Rig::start().await;
    let mut daemon = rig.daemon().await;
    let (observer, _) = rig.client("observer", &[]).await;
    for topic in [
        "client/owner/request/voron/cancel",
        "client/observer/response/voron/cancel",
        "voron/state",
        "voron/event",
        "status",
    ] {
        let forged = observer.publish(format!("strandwatch/{topic}"), b"{}".to_vec(), PLAIN).await;
        assert!(not_authorised(&forged.unwrap_err()), "{topic}");
    }
    send(&observer, "client/observer/request/voron/status", b"{}".to_vec(), PLAIN).await;
    let first = arrived(&mut daemon).await;
    assert_eq!(first.sender.unwrap().name(), &name("observer"), "nothing forged came before it");
    assert_eq!(first.command, "status");
}

#[tokio::test]
async fn a_retained_request_is_known_as_such_live_and_replayed_and_is_taken_off_the_broker() {
    let rig = Rig::start().await;
    let (owner, _) = rig.client("owner", &[]).await;
    let topic = "client/owner/request/voron/pause";
    send(&owner, topic, b"{\"id\":\"1\"}".to_vec(), RETAINED).await;
    // Only the daemon's own account may read it there.
    let (_reader, mut kept) = rig.client("strandwatch", &["client/owner/request/#"]).await;
    kept.until_reads(topic, "{\"id\":\"1\"}").await;
    let mut daemon = rig.daemon().await;
    let replayed = arrived(&mut daemon).await;
    assert!(replayed.retained, "replayed on subscribing");
    kept.until_reads(topic, "").await;
    send(&owner, topic, b"{\"id\":\"2\"}".to_vec(), RETAINED).await;
    let live = arrived(&mut daemon).await;
    assert!(live.retained, "forwarded while we were subscribed");
    kept.until_reads(topic, "").await;
    let (_late, mut nothing) = rig.client("strandwatch", &["client/#", "status"]).await;
    let first = soon("what is retained", nothing.next()).await.unwrap();
    assert_eq!(first.topic, "strandwatch/status", "no request is left there");
    daemon.up().await;
}

#[tokio::test]
async fn what_is_no_request_of_the_contract_is_dropped_and_what_is_strange_in_it_is_passed_on() {
    let rig = Rig::start().await;
    let mut daemon = rig.daemon().await;
    // Only the daemon's own account may write everywhere.
    let (anyone, _) = rig.client("strandwatch", &[]).await;
    for client in ["Owner", "a b", "-x", "ü"] {
        let topic = format!("client/{client}/request/voron/pause");
        send(&anyone, &topic, b"{}".to_vec(), PLAIN).await;
    }
    send(&anyone, "client/owner/request/No Such Printer/??", vec![0xff, 0], PLAIN).await;
    let request = arrived(&mut daemon).await;
    assert_eq!(request.printer, "No Such Printer");
    assert_eq!(request.command, "??");
    assert_eq!(request.payload, [0xff, 0]);
}

#[tokio::test]
async fn large_requests_are_cut_and_huge_ones_do_no_harm() {
    let rig = Rig::start().await;
    let mut daemon = rig.daemon().await;
    let (owner, _) = rig.client("owner", &[]).await;
    send(&owner, "client/owner/request/voron/huge", vec![b'x'; 1 << 20], PLAIN).await;
    send(&owner, "client/owner/request/voron/large", vec![b'x'; 200_000], PLAIN).await;
    let request = arrived(&mut daemon).await;
    assert_eq!(request.command, "large", "the broker kept the huge one back");
    assert_eq!(request.payload.len(), 4097, "enough to be seen as too large");
    daemon.up().await;
}

#[tokio::test]
async fn when_the_application_is_busy_the_bus_answers_for_it() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().await;
    let (owner, _) = rig.client("owner", &[]).await;
    for n in 0..32 {
        let request = body(&format!("waiting {n}")).to_string().into_bytes();
        send(&owner, "client/owner/request/voron/pause", request, PLAIN).await;
    }
    let answer = owner.request("voron", "pause", &body("one too many"), LONG).await.unwrap();
    assert_eq!(answer["id"], "one too many");
    assert_eq!(answer["status"], "refused");
    assert!(answer["reason"].as_str().unwrap().contains("busy"), "{answer}");
    drop(daemon);
}

#[tokio::test]
async fn a_request_during_a_short_outage_of_the_connection_is_answered_after_it() {
    let rig = Rig::start().await;
    let relay = crate::support::mqtt::Relay::to(rig.port).await;
    let mut daemon = Daemon::begin(rig.setup_at(relay.port), &rig.store_file());
    daemon.up().await;
    let (owner, mut watcher) = rig.client("owner", &["status"]).await;
    relay.cut();
    watcher.until_reads("status", "offline").await;
    send(&owner, "client/owner/request/voron/pause", b"{\"id\":\"1\"}".to_vec(), PLAIN).await;
    relay.join();
    assert_eq!(arrived(&mut daemon).await.payload, b"{\"id\":\"1\"}");
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_told_to_the_client() {
    let rig = Rig::start().await;
    let (owner, _) = rig.client("owner", &[]).await;
    let unanswered =
        owner.request("voron", "pause", &body("1"), Duration::from_millis(300)).await.unwrap_err();
    assert!(unanswered.to_string().contains("response/voron/pause"), "{unanswered}");
    assert!(Name::parse("a/b").is_err());
    let bad = owner.request("a/b", "pause", &body("1"), LONG).await.unwrap_err();
    assert!(matches!(bad, RequestError::BadLevel(_)));
}
