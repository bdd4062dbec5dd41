//! What must be on disk before it is announced or done, in order, off the core's task.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::core::contract::{Action, Decision, PrinterMemory};
use crate::core::detect::clutter::Clutter;
use crate::core::event::Event;
use crate::core::types::Name;
use crate::ports::{Bus, Store, StoreFault};

/// Something durable, or something that must wait for it.
#[derive(Debug)]
pub enum Durable {
    /// An event: on disk first, then announced.
    Event(Event),
    /// A printer's memory.
    Memory(Name, PrinterMemory),
    /// What a camera of a printer shows while prints are fine; `None` forgets it.
    Learned(Name, Name, Option<Clutter>),
    /// The request ids a client has used.
    Answered(Name, Vec<String>),
    /// What became of a request, for the log.
    Decided(Decision),
    /// A client's action: only once its request's id is on disk, so that it cannot take effect twice.
    ThenAct(Action),
}

/// Keys of the store's documents.
pub mod keys {
    use crate::core::types::Name;

    /// Every printer's memory is below this.
    pub const MEMORY: &str = "memory/";
    /// Every client's used ids are below this.
    pub const ANSWERED: &str = "answered/";

    /// What a camera's view shows while prints are fine.
    pub fn clutter(printer: &Name, camera: &Name) -> String {
        format!("clutter/{printer}/{camera}")
    }

    /// A printer's memory.
    pub fn memory(printer: &Name) -> String {
        format!("{MEMORY}{printer}")
    }

    /// A client's used ids.
    pub fn answered(client: &Name) -> String {
        format!("{ANSWERED}{client}")
    }
}

/// What a camera's view shows while prints are fine, as it was learned.
pub async fn learned(
    store: &dyn Store,
    printer: &Name,
    camera: &Name,
) -> Result<Option<Clutter>, StoreFault> {
    remembered(store, &keys::clutter(printer, camera)).await
}

/// A document of the store; one that another version wrote otherwise is left aside, loudly.
pub async fn remembered<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    key: &str,
) -> Result<Option<T>, StoreFault> {
    let found = store.list(key.to_owned()).await?.into_iter().find(|(found, _)| found == key);
    let Some((_, value)) = found else { return Ok(None) };
    Ok(serde_json::from_value(value)
        .inspect_err(|error| {
            tracing::warn!("the store's {key} is not understood and begins anew: {error}");
        })
        .ok())
}

/// Works through the queue until it closes; then everything is on disk. A fault of the store is logged and the rest goes
/// on: a full disk must not keep a print from being paused.
pub async fn run(
    mut queue: mpsc::Receiver<Durable>,
    store: Arc<dyn Store>,
    bus: Option<Arc<dyn Bus>>,
    act: impl Fn(Action) + Send,
) {
    while let Some(item) = queue.recv().await {
        let done = match item {
            Durable::Event(event) => {
                let done = store.append_event(event).await;
                if let Some(bus) = &bus {
                    bus.outbox_grew();
                }
                done
            }
            Durable::Memory(printer, memory) => put(&store, keys::memory(&printer), &memory).await,
            Durable::Learned(printer, camera, clutter) => {
                let key = keys::clutter(&printer, &camera);
                match clutter {
                    Some(clutter) => put(&store, key, &clutter).await,
                    None => store.remove(key).await,
                }
            }
            Durable::Answered(client, ids) => put(&store, keys::answered(&client), &ids).await,
            Durable::Decided(decision) => store.log_decision(decision).await,
            Durable::ThenAct(action) => {
                act(action);
                Ok(())
            }
        };
        if let Err(fault) = done {
            tracing::error!("not stored: {fault}");
        }
    }
}

async fn put(
    store: &Arc<dyn Store>,
    key: String,
    value: &impl serde::Serialize,
) -> Result<(), StoreFault> {
    match serde_json::to_value(value) {
        Ok(value) => store.put(key, value).await,
        Err(error) => Err(StoreFault(format!("{key}: {error}"))),
    }
}
