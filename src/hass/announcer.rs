//! Tells Home Assistant what there is: at the start, and again whenever it says that it has started.

use std::sync::Arc;
use std::time::Duration;

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

/// Announces `devices` and takes back what was announced before and is no longer among them, until `cancel`.
pub async fn run(
    devices: Vec<Device>,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    cancel: CancellationToken,
) {
    let work = async {
        let mut births = bus.births();
        let announced = match record(&*store).await {
            Ok(announced) => announced,
            Err(fault) => {
                tracing::error!("what Home Assistant was told before cannot be read: {fault}");
                Record::new()
            }
        };
        let (mut current, mut gone) = (Vec::new(), Vec::new());
        for step in plan(&announced, devices) {
            match step {
                Step::Announce(device) => {
                    note(&*store, &device).await;
                    announce(&*bus, &device);
                    current.push(device);
                }
                Step::Retract { topic } => gone.push(topic),
            }
        }
        let retracting = async {
            for topic in gone {
                retract(&*bus, &*store, topic).await;
            }
        };
        let answering = async {
            while births.changed().await.is_ok() {
                tokio::time::sleep(AFTER_BIRTH + JITTER.mul_f64(rand::random())).await;
                for device in &current {
                    announce(&*bus, device);
                }
            }
        };
        tokio::join!(retracting, answering);
    };
    let _ = cancel.run_until_cancelled(work).await;
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
async fn retract(bus: &dyn Bus, store: &dyn Store, topic: String) {
    bus.announce(topic.clone(), None).await;
    tracing::info!("taken back from Home Assistant: {topic}");
    if let Err(fault) = store.remove(format!("{RECORD}{topic}")).await {
        tracing::error!("what Home Assistant was told cannot be forgotten: {fault}");
    }
}
