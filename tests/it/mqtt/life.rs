//! Coming, going, and being cut off.

use serde_json::json;
use strandwatch::ports::{Bus, Publication};

use crate::support::mqtt::{Daemon, LONG, Relay, Rig, body, name, soon};

fn state(text: &str) -> Publication {
    Publication::State { printer: name("voron"), document: json!({ "print": text }) }
}

fn available(online: bool) -> Publication {
    Publication::Availability { printer: name("voron"), online }
}

#[tokio::test]
async fn documents_are_retained_and_the_latest_wins() {
    let rig = Rig::start().await;
    let daemon = Daemon::begin(rig.setup(), &rig.store_file());
    for n in 0..200 {
        daemon.bus.publish(state(&n.to_string()));
    }
    daemon.bus.publish(Publication::Incident {
        printer: name("voron"),
        document: Some(json!({ "id": 7 })),
    });
    daemon.bus.publish(Publication::Health(json!({ "version": "1" })));
    daemon.bus.publish(available(true));
    let jpeg = vec![0xd8; 2 << 20];
    daemon.bus.publish(Publication::FailureImage { printer: name("voron"), jpeg: jpeg.clone() });
    daemon.up().await;
    let (_first, mut live) = rig.client("observer", &["#"]).await;
    live.until_reads("voron/state", r#"{"print":"199"}"#).await;
    live.until("the picture", |received| received.payload == jpeg).await;
    let (_late, mut replayed) = rig.client("household", &["+/state", "+/incident", "health"]).await;
    let known = replayed.until_reads("voron/state", r#"{"print":"199"}"#).await;
    assert!(known.retained);
    replayed.until_reads("voron/incident", r#"{"id":7}"#).await;
    daemon.bus.publish(Publication::Incident { printer: name("voron"), document: None });
    replayed.until_reads("voron/incident", "").await;
    let preview = Publication::PreviewImage { printer: name("voron"), jpeg: vec![1, 2] };
    daemon.bus.publish(preview);
    let seen = live.until("the preview", |received| received.topic.ends_with("preview")).await;
    assert!(!seen.retained);
    daemon.close().await;
}

#[tokio::test]
async fn the_last_will_speaks_when_the_connection_dies_and_the_return_takes_it_back() {
    let rig = Rig::start().await;
    let relay = Relay::to(rig.port).await;
    let daemon = Daemon::begin(rig.setup_at(relay.port), &rig.store_file());
    daemon.up().await;
    let (_observer, mut watcher) = rig.client("observer", &["status"]).await;
    watcher.until_reads("status", "online").await;
    relay.cut();
    let will = watcher.until_reads("status", "offline").await;
    assert!(will.retained);
    daemon.down("lost").await;
    relay.join();
    watcher.until_reads("status", "online").await;
}

#[tokio::test]
async fn a_goodbye_publishes_what_is_pending_then_offline_everywhere() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().await;
    let (_observer, mut watcher) =
        rig.client("observer", &["+/state", "+/event", "+/availability", "status"]).await;
    daemon.bus.publish(available(true));
    daemon.raise(1).await;
    daemon.bus.publish(state("last words"));
    daemon.close().await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "status offline") {
        let received = soon("the goodbye", watcher.next()).await.unwrap();
        let topic = received.topic.trim_start_matches("strandwatch/").to_owned();
        heard.push(format!("{topic} {}", String::from_utf8(received.payload).unwrap()));
    }
    let place = |wanted: &str| {
        heard
            .iter()
            .position(|line| line.starts_with(wanted))
            .unwrap_or_else(|| panic!("{heard:?}"))
    };
    for pending in ["voron/event", r#"voron/state {"print":"last words"}"#] {
        assert!(place(pending) < place("voron/availability offline"), "{heard:?}");
    }
    assert!(place("prusa/availability offline") < place("status offline"), "{heard:?}");
}

#[tokio::test]
async fn cancelling_says_goodbye_too() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().await;
    let (_observer, mut watcher) = rig.client("observer", &["+/availability"]).await;
    daemon.cancel.cancel();
    watcher.until_reads("voron/availability", "offline").await;
}

#[tokio::test]
async fn closing_is_quick_without_a_broker() {
    let rig = Rig::start().await;
    let nobody = Daemon::begin(rig.setup_at(crate::support::free_port()), &rig.store_file());
    nobody.down("could not connect").await;
    let began = std::time::Instant::now();
    nobody.close().await;
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_restarted_broker_is_subscribed_to_again_and_told_everything_again() {
    let mut rig = Rig::start().await;
    let mut daemon = rig.daemon().await;
    daemon.bus.publish(state("printing"));
    daemon.bus.publish(available(true));
    let (_observer, mut before) = rig.client("observer", &["voron/state"]).await;
    before.until_reads("voron/state", r#"{"print":"printing"}"#).await;
    rig.kill().await;
    daemon.down("").await;
    rig.start_again().await;
    daemon.up().await;
    let (owner, mut after) =
        rig.client("owner", &["voron/state", "voron/availability", "status"]).await;
    after.until_reads("voron/state", r#"{"print":"printing"}"#).await;
    after.until_reads("voron/availability", "online").await;
    let asking =
        tokio::spawn(async move { owner.request("voron", "status", &body("1"), LONG).await });
    let request = soon("a request after the restart", daemon.requests.recv()).await.unwrap();
    assert_eq!(request.command, "status");
    asking.abort();
}

#[tokio::test]
async fn a_broker_that_freezes_is_noticed_and_its_thaw_too() {
    use rustix::process::{Pid, Signal, kill_process};
    let rig = Rig::start().await;
    let daemon = rig.daemon().await;
    let pid = Pid::from_raw(rig.broker.as_ref().unwrap().pid().unwrap() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let began = std::time::Instant::now();
    let why = daemon.down("").await;
    assert!(why.contains("stopped answering") || why.contains("did not answer"), "{why}");
    assert!(began.elapsed().as_secs() < 40, "noticed after {:?}", began.elapsed());
    kill_process(pid, Signal::CONT).unwrap();
    daemon.up().await;
}

#[tokio::test]
async fn two_daemons_under_one_id_hear_of_each_other() {
    let rig = Rig::start().await;
    let first = rig.daemon().await;
    let second = Daemon::begin(rig.setup(), &rig.folder.path().join("other.sqlite3"));
    second.up().await;
    let why = first.down("another client connects under the id").await;
    assert!(why.contains("strandwatch-test"), "{why}");
}
