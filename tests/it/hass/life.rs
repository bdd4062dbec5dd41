//! When Home Assistant is told, over a real broker: at the start, after its birth, and when something is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use strandwatch::core::command::COMMANDS;
use strandwatch::hass::{self, Device, Printer, Setup};
use strandwatch::mqtt::MqttBus;
use strandwatch::mqtt::requester::Requester;
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::ports::{Bus, BusLink, Publication, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::mqtt::{BIRTH, Daemon, Rig, Watcher, name, soon};

/// Printers with their cameras, as Home Assistant is told of them.
fn devices(prefix: &str, printers: &[(&str, &[&str])]) -> Vec<Device> {
    let printer = |(printer, cameras): &(&str, &[&str])| {
        let topic = |rest: &str| format!("strandwatch/{printer}/{rest}");
        Printer {
            name: name(printer),
            cameras: cameras.iter().map(|camera| name(camera)).collect(),
            availability: topic("availability"),
            state: topic("state"),
            incident: topic("incident"),
            event: topic("event"),
            failure_image: topic("image/failure"),
            preview_image: topic("image/preview"),
            requests: COMMANDS
                .iter()
                .map(|row| {
                    let topic =
                        format!("strandwatch/client/homeassistant/request/{printer}/{}", row.name);
                    (row.name, topic)
                })
                .collect::<BTreeMap<_, _>>(),
        }
    };
    hass::devices(&Setup {
        prefix: prefix.to_owned(),
        base: "strandwatch".to_owned(),
        version: "1".to_owned(),
        status: "strandwatch/status".to_owned(),
        health: "strandwatch/health".to_owned(),
        printers: printers.iter().map(printer).collect(),
    })
}

fn config_topic(id: &str) -> String {
    format!("homeassistant/device/{id}/config")
}

/// The daemon's bus, and how often something was announced on it.
struct Counted {
    bus: Arc<MqttBus>,
    announced: watch::Sender<usize>,
}

impl Bus for Counted {
    fn publish(&self, publication: Publication) {
        self.bus.publish(publication);
    }

    fn announce(&self, topic: String, document: Option<Value>) -> BoxFuture<'_, ()> {
        let taken = self.bus.announce(topic, document);
        self.announced.send_modify(|count| *count += 1);
        taken
    }

    fn births(&self) -> watch::Receiver<u64> {
        self.bus.births()
    }

    fn outbox_grew(&self) {
        self.bus.outbox_grew();
    }

    fn link(&self) -> watch::Receiver<BusLink> {
        self.bus.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus.close()
    }
}

/// A daemon's bus, and what tells Home Assistant.
struct Telling {
    daemon: Daemon,
    devices: watch::Sender<Vec<Device>>,
    announced: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Telling {
    async fn begin(rig: &Rig, devices: Vec<Device>) -> Self {
        let daemon = rig.daemon().await;
        let bus = Arc::new(Counted { bus: daemon.bus.clone(), announced: watch::Sender::new(0) });
        let announced = bus.announced.subscribe();
        let (sender, receiver) = watch::channel(devices);
        let store = Arc::clone(&daemon.store);
        let task = tokio::spawn(hass::run(receiver, bus, store, daemon.cancel.clone()));
        let mut telling = Self { daemon, devices: sender, announced, task };
        telling.settle().await;
        telling
    }

    /// Other devices, while it runs.
    async fn change(&mut self, devices: Vec<Device>) {
        self.announced.borrow_and_update();
        self.devices.send_replace(devices);
        soon("something is announced", self.announced.changed()).await.unwrap();
        self.settle().await;
    }

    /// All is said: what is taken back is on record until the broker has heard of it.
    async fn settle(&mut self) {
        let mut expected: Vec<String> = self
            .devices
            .borrow()
            .iter()
            .map(|device| format!("home_assistant/{}", device.topic))
            .collect();
        expected.sort();
        soon("all is announced", async {
            self.announced.wait_for(|count| *count >= expected.len()).await.unwrap();
            loop {
                let found = self.daemon.store.list("home_assistant/".to_owned()).await.unwrap();
                if found.into_iter().map(|(key, _)| key).collect::<Vec<_>>() == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Whatever is pending goes out first.
    async fn end(self) {
        self.task.abort();
        self.daemon.close().await;
    }
}

async fn home_assistant(rig: &Rig) -> (Requester, Watcher) {
    rig.client_on("homeassistant", &["homeassistant/#", "strandwatch/status"]).await
}

fn document(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap()
}

/// What was said on discovery topics until the daemon says goodbye.
async fn until_goodbye(watcher: &mut Watcher) -> Vec<(String, Vec<u8>)> {
    let mut said = Vec::new();
    loop {
        let next = soon("the goodbye", watcher.next()).await.unwrap();
        if next.topic == "strandwatch/status" && next.payload == b"offline" {
            return said;
        }
        if next.topic.starts_with("homeassistant/device/") {
            said.push((next.topic, next.payload));
        }
    }
}

#[tokio::test]
async fn what_there_is_is_retained_and_told_again_after_a_birth() {
    let rig = Rig::start().await;
    let expected = devices("homeassistant", &[("voron", &["bed"])]);
    let telling = Telling::begin(&rig, expected.clone()).await;
    let (_home, mut live) = home_assistant(&rig).await;
    for device in &expected {
        let told = live.until("a device", |received| received.topic == device.topic).await;
        assert_eq!(document(&told.payload), device.document);
    }
    // It was retained, for a Home Assistant that comes later.
    let (home, mut late) = rig.client_on("homeassistant", &["homeassistant/#"]).await;
    late.until("the printer", |received| {
        received.topic == config_topic("strandwatch_voron") && received.retained
    })
    .await;
    let plain = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
    home.publish(BIRTH.to_owned(), b"online".to_vec(), plain).await.unwrap();
    for device in &expected {
        late.until("an answer to the birth", |received| received.topic == device.topic).await;
    }
    telling.end().await;
}

#[tokio::test]
async fn a_printer_that_is_gone_is_taken_back_once() {
    let rig = Rig::start().await;
    Telling::begin(&rig, devices("homeassistant", &[("voron", &[]), ("ender", &[])]))
        .await
        .end()
        .await;
    let (_home, mut watcher) = home_assistant(&rig).await;
    watcher
        .until("ender is known", |received| received.topic == config_topic("strandwatch_ender"))
        .await;
    let telling = Telling::begin(&rig, devices("homeassistant", &[("voron", &[])])).await;
    let gone = watcher
        .until("ender is taken back", |received| {
            received.topic == config_topic("strandwatch_ender") && received.payload.is_empty()
        })
        .await;
    assert!(gone.retained);
    telling.end().await;
    until_goodbye(&mut watcher).await;
    Telling::begin(&rig, devices("homeassistant", &[("voron", &[])])).await.end().await;
    let said = until_goodbye(&mut watcher).await;
    let topics: Vec<&str> = said.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, [config_topic("strandwatch"), config_topic("strandwatch_voron")]);
}

#[tokio::test]
async fn a_renamed_camera_takes_its_old_entities_back() {
    let rig = Rig::start().await;
    Telling::begin(&rig, devices("homeassistant", &[("voron", &["bed"])])).await.end().await;
    // The second time round, what was taken back still is: Home Assistant may have been away.
    for _ in 0..2 {
        let telling =
            Telling::begin(&rig, devices("homeassistant", &[("voron", &["nozzle"])])).await;
        telling.end().await;
        let (_home, mut late) = home_assistant(&rig).await;
        let topic = config_topic("strandwatch_voron");
        let told = late.until("the printer", |received| received.topic == topic).await;
        let entities = document(&told.payload)["cmps"].clone();
        assert_eq!(entities["binary_sensor_camera_bed_link"], json!({ "p": "binary_sensor" }));
        assert_eq!(entities["sensor_camera_bed_decoder"], json!({ "p": "sensor" }));
        assert!(entities["binary_sensor_camera_nozzle_link"]["unique_id"].is_string());
    }
}

#[tokio::test]
async fn a_change_of_rights_shows_at_once() {
    let rig = Rig::start().await;
    let owner = devices("homeassistant", &[("voron", &["bed"])]);
    let mut observer = owner.clone();
    let entities = observer[1].document["cmps"].as_object_mut().unwrap();
    entities.remove("button_pause").unwrap();
    observer[1].entities.remove("button_pause").unwrap();
    let (_home, mut watcher) = home_assistant(&rig).await;
    let mut telling = Telling::begin(&rig, owner.clone()).await;
    let mut pause = async |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        watcher
            .until(what, |received| {
                received.topic == config_topic("strandwatch_voron")
                    && wanted(&document(&received.payload)["cmps"]["button_pause"])
            })
            .await;
    };
    pause("the button", &|button| button["command_topic"].is_string()).await;
    telling.change(observer).await;
    pause("no button", &|button| *button == json!({ "p": "button" })).await;
    telling.change(owner).await;
    pause("the button again", &|button| button["command_topic"].is_string()).await;
    telling.end().await;
}

#[tokio::test]
async fn switched_off_or_moved_to_another_prefix_nothing_of_the_old_stays() {
    let rig = Rig::start().await;
    Telling::begin(&rig, devices("homeassistant", &[("voron", &["bed"])])).await.end().await;
    Telling::begin(&rig, devices("homeassistant/other", &[("voron", &["bed"])])).await.end().await;
    let (_home, mut late) = rig.client_on("homeassistant", &["homeassistant/#"]).await;
    let first = late.until("anything retained", |_| true).await;
    assert!(first.topic.starts_with("homeassistant/other/device/"), "{}", first.topic);
    Telling::begin(&rig, Vec::new()).await.end().await;
    let (owner, mut late) = home_assistant(&rig).await;
    // Retained messages come before what is published now.
    let plain = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
    owner.publish(BIRTH.to_owned(), b"done".to_vec(), plain).await.unwrap();
    let next = late.until("anything", |received| received.topic != "strandwatch/status").await;
    assert_eq!(next.payload, b"done");
}

#[tokio::test]
async fn a_broker_that_refuses_it_keeps_nothing_else_from_working() {
    let rig = Rig::start().await;
    let telling = Telling::begin(&rig, devices("forbidden", &[("voron", &["bed"])])).await;
    let (_observer, mut watcher) = rig.client("observer", &["health"]).await;
    let topic = "forbidden/device/strandwatch/config".to_owned();
    let refused = telling.daemon.bus.announce(topic, Some(json!({})));
    // Verdicts come in order: when this is through, the refusals are known.
    telling.daemon.bus.publish(Publication::Health(json!({ "version": "2" })));
    watcher.until_reads("health", r#"{"version":"2"}"#).await;
    assert_eq!(*telling.daemon.bus.link().borrow(), BusLink::Up);
    assert!(futures_util::FutureExt::now_or_never(refused).is_none(), "it was not taken");
    telling.end().await;
}
