//! Tells Home Assistant what there is: at the start, and again whenever it says that it has started.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::discovery::Device;
use super::plan::{Record, Step, plan};
use crate::ports::{Bus, Store, StoreFault};

/// Below this the store keeps what was announced, by topic.
const RECORD: &str = "home_assistant/";

/// Between a birth and the answer to it: this, and up to as much again as [`JITTER`]. Home Assistant is busy then, and
/// every device at the broker answers.
const AFTER_BIRTH: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_secs(4);

/// Announces `devices`, whenever they change too, and takes back what was announced before and is no longer among them,
/// until `cancel`.
pub async fn run(
    mut devices: watch::Receiver<Vec<Device>>,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    cancel: CancellationToken,
) {
    let work = async {
        let mut births = bus.births();
        loop {
            let now = devices.borrow_and_update().clone();
            let gone = tell(&*bus, &*store, &now).await;
            let living = async {
                tokio::join!(retract(&*bus, &*store, gone), answer(&*bus, &mut births, &now));
            };
            tokio::select! {
                Ok(()) = devices.changed() => {}
                () = living => return,
            }
        }
    };
    let _ = cancel.run_until_cancelled(work).await;
}

/// Announces what there is; gives the topics of what is gone.
async fn tell(bus: &dyn Bus, store: &dyn Store, devices: &[Device]) -> Vec<String> {
    let announced = match record(store).await {
        Ok(announced) => announced,
        Err(fault) => {
            tracing::error!("what Home Assistant was told before cannot be read: {fault}");
            Record::new()
        }
    };
    let mut gone = Vec::new();
    for step in plan(&announced, devices) {
        match step {
            Step::Announce(device) => {
                note(store, &device).await;
                announce(bus, &device);
            }
            Step::Retract { topic } => gone.push(topic),
        }
    }
    gone
}

/// Answers every birth, for as long as there is a bus.
async fn answer(bus: &dyn Bus, births: &mut watch::Receiver<u64>, devices: &[Device]) {
    while births.changed().await.is_ok() {
        tokio::time::sleep(AFTER_BIRTH + JITTER.mul_f64(rand::random())).await;
        for device in devices {
            announce(bus, device);
        }
    }
}

async fn record(store: &dyn Store) -> Result<Record, StoreFault> {
    let found = store.list(RECORD.to_owned()).await?;
    let entries = found.into_iter().map(|(key, value)| {
        let topic = key.strip_prefix(RECORD).unwrap_or(&key).to_owned();
        // What cannot be read is a device whose entities are not known: it can still be taken back.
        (topic, serde_json::from_value(value).unwrap_or_default())
    });
    Ok(entries.collect())
}

/// Before it is announced: what is not on record can never be taken back.
async fn note(store: &dyn Store, device: &Device) {
    let key = format!("{RECORD}{}", device.topic);
    let known = serde_json::to_value(&device.entities).unwrap_or_default();
    if let Err(fault) = store.put(key, known).await {
        tracing::error!("what Home Assistant is told cannot be recorded: {fault}");
    }
}

fn announce(bus: &dyn Bus, device: &Device) {
    // That the broker has taken it matters to nobody here.
    drop(bus.announce(device.topic.clone(), Some(device.document.clone())));
}

/// Forgotten only once the broker has it, and then never sent again.
async fn retract(bus: &dyn Bus, store: &dyn Store, topics: Vec<String>) {
    for topic in topics {
        bus.announce(topic.clone(), None).await;
        tracing::info!("taken back from Home Assistant: {topic}");
        if let Err(fault) = store.remove(format!("{RECORD}{topic}")).await {
            tracing::error!("what Home Assistant was told cannot be forgotten: {fault}");
        }
    }
}
