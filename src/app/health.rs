//! The daemon's own health, and whether the command plane is open. Doubt closes it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::core::authz::Grants;
use crate::core::contract::Input;
use crate::ports::{BrokerHealth, Bus, BusLink, Publication};

/// What is known of the broker beside the connection to it.
#[derive(Debug, Clone)]
pub struct BusFacts {
    /// Whether we log in: without a login nobody else needs one either.
    pub has_login: bool,
    /// Every client's grant.
    pub grants: watch::Receiver<Grants>,
    /// How the broker is, if it is our own.
    pub broker: Option<watch::Receiver<BrokerHealth>>,
}

/// What decides whether the command plane is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The connection.
    pub link: BusLink,
    /// Our own broker, if it is our own.
    pub broker: Option<BrokerHealth>,
    /// Whether we log in.
    pub has_login: bool,
    /// How many clients have a grant.
    pub clients: usize,
}

/// Why the command plane is closed; `None` when it is open.
pub fn closed(situation: &Situation) -> Option<String> {
    if let Some(BrokerHealth::Down { why }) = &situation.broker {
        return Some(format!("there is no MQTT broker: {why}"));
    }
    match &situation.link {
        BusLink::Down { why } => Some(why.clone()),
        BusLink::Up if !situation.has_login => Some(
            "the broker is used without a login, so nobody's identity is verified: \
             set mqtt.username and the password in the secrets file"
                .to_owned(),
        ),
        BusLink::Up if situation.clients == 0 => {
            Some("there is no client: add one with `strandwatch client add`".to_owned())
        }
        BusLink::Up => None,
    }
}

/// What `<base>/health` says of our own broker.
fn broker_document(broker: Option<&BrokerHealth>) -> Value {
    match broker {
        None => json!({ "kind": "external" }),
        Some(BrokerHealth::Starting) => {
            json!({ "kind": "managed", "up": false, "why": "starting" })
        }
        Some(BrokerHealth::Up { restarts }) => {
            json!({ "kind": "managed", "up": true, "restarts": restarts })
        }
        Some(BrokerHealth::Down { why }) => json!({ "kind": "managed", "up": false, "why": why }),
    }
}

/// Follows the bus, opens and closes the command plane, publishes `<base>/health`.
pub async fn run(
    bus: Arc<dyn Bus>,
    mut facts: BusFacts,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
) {
    let mut link = bus.link();
    let mut told: Option<(Option<String>, Option<BrokerHealth>)> = None;
    loop {
        let situation = Situation {
            link: link.borrow_and_update().clone(),
            broker: facts.broker.as_mut().map(|broker| broker.borrow_and_update().clone()),
            has_login: facts.has_login,
            clients: facts.grants.borrow_and_update().0.len(),
        };
        let closed = closed(&situation);
        let before = told.as_ref().map(|(closed, _)| closed);
        if before != Some(&closed) {
            match &closed {
                None => tracing::info!("command plane open"),
                Some(why) => tracing::warn!("command plane closed: {why}"),
            }
            if inputs.send(Input::CommandPlane { closed: closed.clone() }).await.is_err() {
                return;
            }
        }
        let now = (closed, situation.broker);
        if told.as_ref() != Some(&now) {
            bus.publish(Publication::Health(json!({
                "version": env!("CARGO_PKG_VERSION"),
                "command_plane": { "open": now.0.is_none(), "why": now.0 },
                "broker": broker_document(now.1.as_ref()),
                // The broker's isolation of clients is not tested yet; it rests on the broker's ACL.
                "audit": null,
            })));
            told = Some(now);
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = link.changed() => if changed.is_err() { return },
            Ok(()) = facts.grants.changed() => {}
            () = changed(&mut facts.broker) => {}
        }
    }
}

/// Waits for a change of what may not be there, or may change no more.
async fn changed(broker: &mut Option<watch::Receiver<BrokerHealth>>) {
    if let Some(broker) = broker
        && broker.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_plane_is_open_only_with_a_broker_a_login_and_a_client() {
        let known = Situation { link: BusLink::Up, broker: None, has_login: true, clients: 1 };
        assert_eq!(closed(&known), None);
        let link = BusLink::Down { why: "refused".to_owned() };
        assert!(closed(&Situation { link, ..known.clone() }).is_some());
        assert!(closed(&Situation { has_login: false, ..known.clone() }).is_some());
        assert!(closed(&Situation { clients: 0, ..known.clone() }).is_some());
        let broker = Some(BrokerHealth::Down { why: "port 1 is taken".to_owned() });
        let why = closed(&Situation { broker, ..known }).unwrap();
        assert!(why.contains("port 1 is taken"), "{why}");
    }
}
