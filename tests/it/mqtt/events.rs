//! Events: delivered at least once, each for the first time in order, whatever dies in between.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use strandwatch::ports::{Bus, Store};

use crate::support::mqtt::{Daemon, Relay, Rig, first_seen, name, soon};
use crate::support::{Child, free_port};

#[tokio::test]
async fn events_raised_while_the_broker_is_down_arrive_in_order_once_it_is_back() {
    let mut rig = Rig::start().await;
    let relay = Relay::to(rig.port).await;
    let daemon = Daemon::begin(rig.setup_at(relay.port), &rig.store_file());
    daemon.up().await;
    relay.cut();
    rig.stop().await;
    daemon.down("").await;
    for seq in 1..=50 {
        daemon.raise(seq).await;
    }
    rig.start_again().await;
    let (_observer, mut events) = rig.client("observer", &["voron/event"]).await;
    relay.join();
    assert_eq!(first_seen(events.seqs_until(Some(50)).await), Vec::from_iter(1..=50));
    daemon.outbox_empties().await;
}

#[tokio::test]
async fn a_broker_killed_in_the_middle_of_500_events_loses_none() {
    let mut rig = Rig::start().await;
    let relay = Relay::to(rig.port).await;
    let daemon = Daemon::begin(rig.setup_at(relay.port), &rig.store_file());
    daemon.up().await;
    let (_before, mut before) = rig.client("observer", &["voron/event"]).await;
    let raising = async {
        for seq in 1..=500 {
            daemon.raise(seq).await;
        }
    };
    let watching = async {
        let mut seen = before.seqs_until(Some(100)).await;
        relay.cut();
        rig.kill().await;
        seen.extend(before.seqs_until(None).await);
        rig.start_again().await;
        let (_after, mut after) = rig.client("observer", &["voron/event"]).await;
        relay.join();
        seen.extend(after.seqs_until(Some(500)).await);
        seen
    };
    let ((), seen) = tokio::join!(raising, watching);
    assert_eq!(first_seen(seen), Vec::from_iter(1..=500));
    daemon.outbox_empties().await;
}

#[tokio::test]
async fn a_broken_connection_repeats_what_was_not_acknowledged_and_nothing_is_lost() {
    let rig = Rig::start().await;
    let relay = Relay::to(rig.port).await;
    let daemon = Daemon::begin(rig.setup_at(relay.port), &rig.store_file());
    daemon.up().await;
    let (_observer, mut events) = rig.client("observer", &["voron/event"]).await;
    let raising = async {
        for seq in 1..=300 {
            daemon.raise(seq).await;
            if seq % 100 == 50 {
                relay.cut();
                daemon.down("").await;
                relay.join();
            }
        }
    };
    let ((), seen) = tokio::join!(raising, events.seqs_until(Some(300)));
    assert_eq!(first_seen(seen), Vec::from_iter(1..=300));
}

const HELPER_STORE: &str = "STRANDWATCH_TEST_STORE";
const HELPER_PORT: &str = "STRANDWATCH_TEST_PORT";

/// Not a test: the process that the next two kill. It stores and announces events, and prints each that is stored.
#[tokio::test]
async fn helper_raises_events_until_killed() {
    let (Ok(store), Ok(port)) = (std::env::var(HELPER_STORE), std::env::var(HELPER_PORT)) else {
        return;
    };
    let mut setup = parent_setup(port.parse().unwrap());
    setup.printers = vec![name("voron")];
    let daemon = Daemon::begin(setup, &PathBuf::from(store));
    for seq in 1.. {
        daemon.raise(seq).await;
        println!("stored {seq}");
    }
}

fn parent_setup(port: u16) -> strandwatch::mqtt::Setup {
    use strandwatch::mqtt::{Broker, Login, Setup};
    let login = Login {
        user: "strandwatch".to_owned(),
        password: "strandwatch's secret".to_owned().into(),
    };
    Setup {
        broker: Broker { host: "127.0.0.1".to_owned(), port, tls: None, login: Some(login) },
        client_id: "strandwatch-test".to_owned(),
        base: crate::support::mqtt::base(),
        printers: Vec::new(),
        birth: None,
        identity: strandwatch::mqtt::Identity::default(),
    }
}

/// Starts the helper, kills it once it has stored `at_least` events, and gives the last that it said it had stored.
async fn raise_and_kill(rig: &Rig, port: u16, at_least: u64) -> u64 {
    let mut helper = Child(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mqtt::events::helper_raises_events_until_killed", "--nocapture"])
            .env(HELPER_STORE, rig.store_file())
            .env(HELPER_PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let output = BufReader::new(helper.0.stdout.take().unwrap());
    let reading = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        for line in output.lines().map_while(Result::ok) {
            // The test harness prints its own words before the first line.
            if let Some((_, seq)) = line.rsplit_once("stored ") {
                last = seq.trim().parse().unwrap();
            }
            if last == at_least {
                helper.0.kill().unwrap();
            }
        }
        last
    });
    soon("the helper is killed", reading).await.unwrap()
}

#[tokio::test]
async fn a_process_killed_before_anything_could_be_published_loses_nothing() {
    let rig = Rig::start().await;
    let stored = raise_and_kill(&rig, free_port(), 40).await;
    assert!(stored >= 40);
    let (_observer, mut events) = rig.client("observer", &["voron/event"]).await;
    let _daemon = rig.daemon().await;
    let seen = first_seen(events.seqs_until(Some(stored)).await);
    assert_eq!(seen, Vec::from_iter(1..=stored));
}

#[tokio::test]
async fn a_process_killed_while_publishing_loses_nothing() {
    let rig = Rig::start().await;
    let (_observer, mut events) = rig.client("observer", &["voron/event", "status"]).await;
    let stored = raise_and_kill(&rig, rig.port, 150).await;
    let daemon = rig.daemon().await;
    let seen = first_seen(events.seqs_until(Some(stored)).await);
    // The last line may be missing that the helper was about to print.
    let all = Vec::from_iter(1..=stored);
    assert_eq!(seen[..all.len()], all[..]);
    daemon.outbox_empties().await;
}

#[tokio::test]
async fn an_event_that_can_have_no_topic_does_not_hold_up_the_others() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().await;
    let (_observer, mut events) = rig.client("observer", &["+/event"]).await;
    let mut hostile = crate::support::mqtt::event(1);
    hostile.printer = "../#".to_owned();
    daemon.store.append_event(hostile).await.unwrap();
    daemon.raise(2).await;
    assert_eq!(events.seqs_until(Some(2)).await, [2]);
    daemon.outbox_empties().await;
    daemon.bus.outbox_grew();
}
