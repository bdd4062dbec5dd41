//! Home Assistant at the broker of our own: what its credential lets it do there.

use serde_json::Value;
use strandwatch::mqtt::fault::Refusal;
use strandwatch::mqtt::requester::RequestError;
use strandwatch::mqtt::wire::{Delivery, Qos};

use crate::support::mqtt::{BIRTH, soon};
use crate::support::own::Own;

#[tokio::test(flavor = "multi_thread")]
async fn its_credential_reads_what_there_is_says_that_it_started_and_follows_its_rights() {
    // Nobody answers there: what there is to show does not depend on it.
    let own = Own::new("[[printer]]\nname = \"voron\"\nmoonraker = \"ws://127.0.0.1:1\"\n");
    let _daemon = own.daemon();
    own.logged("command plane", 1).await;
    let credential = own.client("add homeassistant --rights observer");
    drop(own.connect(&credential).await);
    let filters = ["homeassistant/#".to_owned()];
    let (home, mut messages) = own.try_connect(&credential, &filters).await.unwrap();
    let mut told = async |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        soon(what, async {
            loop {
                let seen = messages.recv().await.unwrap();
                if seen.topic == "homeassistant/device/strandwatch_voron/config"
                    && wanted(&serde_json::from_slice(&seen.payload).unwrap())
                {
                    return;
                }
            }
        })
        .await;
    };
    let pauses = |document: &Value| document["cmps"]["button_pause"]["command_topic"].is_string();
    told("what an observer sees", &|document| !pauses(document)).await;

    own.client("rm homeassistant");
    let credential = own.client("add homeassistant --rights owner");
    drop(home);
    let (home, mut messages) = soon("the new credential", async {
        loop {
            match own.try_connect(&credential, &filters).await {
                Ok(connected) => return connected,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    })
    .await;
    let mut told = async |what: &str| {
        soon(what, async {
            loop {
                let seen = messages.recv().await.unwrap();
                if seen.topic == "homeassistant/device/strandwatch_voron/config"
                    && pauses(&serde_json::from_slice(&seen.payload).unwrap())
                {
                    return;
                }
            }
        })
        .await;
    };
    told("an owner's buttons").await;
    let plain = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
    home.publish(BIRTH.to_owned(), b"online".to_vec(), plain).await.unwrap();
    told("an answer to its birth").await;
    for topic in ["homeassistant/device/strandwatch_voron/config", "strandwatch/voron/state"] {
        let error = home.publish(topic.to_owned(), b"{}".to_vec(), plain).await.unwrap_err();
        assert!(
            matches!(error, RequestError::Refused { refusal: Refusal::NotAuthorised, .. }),
            "{topic}: {error}"
        );
    }
}
