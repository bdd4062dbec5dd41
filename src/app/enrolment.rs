//! What newcomers need of the application: clients in the store, events, the printers' own screens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use super::clients::{Client, key};
use crate::core::authz::{Grant, Grants, is_reserved};
use crate::core::contract::Input;
use crate::core::event::EventKind;
use crate::core::screen::ScreenMessage;
use crate::core::types::Name;
use crate::mqtt::enrolment::{ADMIT, Ask, TURN_AWAY};
use crate::ports::{Clock, IncomingRequest, Reception, Store, StoreFault};

/// [`Reception`] on the daemon's own parts.
pub struct FrontDesk {
    /// Every client's grant.
    pub grants: watch::Receiver<Grants>,
    /// Keeps the clients.
    pub store: Arc<dyn Store>,
    /// Told when the store's clients changed.
    pub changed: Arc<Notify>,
    /// Events go here.
    pub inputs: mpsc::Sender<Input>,
    /// What goes onto the printers' own screens.
    pub screens: BTreeMap<Name, mpsc::Sender<ScreenMessage>>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
}

impl Reception for FrontDesk {
    fn is_free(&self, name: &Name) -> Result<(), String> {
        if is_reserved(name) {
            Err(format!("{name} is a name that strandwatch has for itself"))
        } else if self.grants.borrow().0.contains_key(name) {
            Err(format!("there is a client {name} already"))
        } else {
            Ok(())
        }
    }

    fn admit(&self, name: &Name, grant: &Grant) -> BoxFuture<'_, Result<(), StoreFault>> {
        let added_at = self.clock.now().unix_ms / 1000;
        let client = Client { grant: grant.clone(), added_at };
        let document = serde_json::to_value(client).map_err(|error| StoreFault(error.to_string()));
        let key = key(name);
        Box::pin(async move {
            self.store.put(key, document?).await?;
            self.changed.notify_one();
            Ok(())
        })
    }

    fn forget(&self, name: &Name) -> BoxFuture<'_, Result<(), StoreFault>> {
        let key = key(name);
        Box::pin(async move {
            self.store.remove(key).await?;
            self.changed.notify_one();
            Ok(())
        })
    }

    fn announce(&self, printers: Option<&BTreeSet<Name>>, event: EventKind) {
        let input = Input::Enrolment { printers: printers.cloned(), event };
        if self.inputs.try_send(input).is_err() {
            tracing::error!("an event of an invitation was dropped: the core is too busy");
        }
    }

    fn show(&self, printers: Option<&BTreeSet<Name>>, message: ScreenMessage) {
        let wanted = |name: &Name| printers.is_none_or(|printers| printers.contains(name));
        for (_, screen) in self.screens.iter().filter(|(name, _)| wanted(name)) {
            // A printer that is so far behind shows nothing at all; the command line shows the same.
            let _ = screen.try_send(message.clone());
        }
    }
}

/// What the owner chose in a dialog about a newcomer, if this is such a choice.
fn choice(request: &IncomingRequest) -> Option<Ask> {
    request.sender.as_ref().ok().filter(|sender| sender.is_console())?;
    let body: Value = serde_json::from_slice(&request.payload).ok()?;
    // A number arrives as one where all its digits make it one: a leading zero is lost then.
    let which = match body.get("object")? {
        Value::String(text) => text.clone(),
        Value::Number(number) => format!("{:04}", number.as_u64()?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match request.command.as_str() {
        ADMIT => Some(Ask::Confirm { number: which }),
        TURN_AWAY => Some(Ask::Refuse { which }),
        _ => None,
    }
}

/// Takes choices about newcomers out of what the printers' macros ask for, and passes on the rest.
pub async fn sift(
    mut calls: mpsc::Receiver<IncomingRequest>,
    choices: mpsc::Sender<Ask>,
    others: mpsc::Sender<IncomingRequest>,
) {
    while let Some(call) = calls.recv().await {
        match choice(&call) {
            // The desk is slow only while it waits for the broker; a second press is then of no use.
            Some(ask) => drop(choices.try_send(ask)),
            None => {
                if others.send(call).await.is_err() {
                    return;
                }
            }
        }
    }
}
