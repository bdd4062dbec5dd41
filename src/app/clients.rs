//! Who may do what: the clients of the configuration, and those that `strandwatch client` put into the store. The store
//! keeps a client's grant and never its secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::core::authz::{Grant, Grants};
use crate::core::contract::Input;
use crate::core::types::Name;
use crate::ports::{Store, StoreFault};

/// Every client's document is below this key.
pub const PREFIX: &str = "client/";

/// How often the store is looked at for changes by other processes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A client as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What it may do, and where.
    #[serde(flatten)]
    pub grant: Grant,
    /// When it was added, Unix seconds.
    pub added_at: i64,
}

/// The key of a client's document.
pub fn key(name: &Name) -> String {
    format!("{PREFIX}{name}")
}

/// Reads the clients out of the store's documents. One that cannot be understood has no rights, loudly.
pub fn read(documents: Vec<(String, Value)>) -> BTreeMap<Name, Client> {
    let mut clients = BTreeMap::new();
    for (key, value) in documents {
        let name = key.strip_prefix(PREFIX).and_then(|name| Name::parse(name).ok());
        match (name, serde_json::from_value(value)) {
            (Some(name), Ok(client)) => {
                clients.insert(name, client);
            }
            (_, _) => tracing::error!(
                "the store's {key} is not understood: that client has no rights; add it again with `strandwatch client add`"
            ),
        }
    }
    clients
}

/// Every client's grant. A name that stands in both is a mistake that `strandwatch check` reports; the configuration's
/// word holds then, as it is the one that people see.
pub fn combined(configured: &Grants, stored: &BTreeMap<Name, Client>) -> Grants {
    let mut grants = configured.clone();
    for (name, client) in stored {
        grants.0.entry(name.clone()).or_insert_with(|| client.grant.clone());
    }
    grants
}

/// Every client's grant as it is now.
pub async fn current(store: &dyn Store, configured: &Grants) -> Result<Grants, StoreFault> {
    Ok(combined(configured, &read(store.list(PREFIX.to_owned()).await?)))
}

/// Follows the store and tells everybody of a change: at once when `changed` says so, else within a second or so.
pub async fn follow(
    store: Arc<dyn Store>,
    configured: Grants,
    grants: watch::Sender<Grants>,
    inputs: mpsc::Sender<Input>,
    changed: Arc<Notify>,
    cancel: CancellationToken,
) {
    let mut known = None;
    loop {
        match look(store.as_ref(), &configured, &mut known).await {
            Ok(Some(now)) if now != *grants.borrow() => {
                let clients: Vec<&str> = now.0.keys().map(Name::as_str).collect();
                tracing::info!("clients changed: {}", clients.join(", "));
                grants.send_replace(now.clone());
                if inputs.send(Input::Grants { grants: now }).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(fault) => tracing::error!("clients cannot be read: {fault}"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Our own writing does not change the version.
            () = changed.notified() => known = None,
            () = cancel.cancelled() => return,
        }
    }
}

/// The grants, if the store may have changed since the version `known`.
async fn look(
    store: &dyn Store,
    configured: &Grants,
    known: &mut Option<i64>,
) -> Result<Option<Grants>, StoreFault> {
    // Asked first: a change between the two is seen the next time.
    let version = store.version().await?;
    if *known == Some(version) {
        return Ok(None);
    }
    let grants = current(store, configured).await?;
    *known = Some(version);
    Ok(Some(grants))
}
