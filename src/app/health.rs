//! The daemon's own health, and whether the command plane is open. Doubt closes it.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::core::contract::Input;
use crate::ports::{Bus, BusLink, Publication};

/// What is known of the broker before connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusFacts {
    /// Whether we log in: without a login nobody else needs one either.
    pub has_login: bool,
    /// How many clients have a grant.
    pub clients: usize,
}

/// Why the command plane is closed; `None` when it is open.
pub fn closed(link: &BusLink, facts: BusFacts) -> Option<String> {
    match link {
        BusLink::Down { why } => Some(why.clone()),
        BusLink::Up if !facts.has_login => Some(
            "the broker is used without a login, so nobody's identity is verified: \
             set mqtt.username and the password in the secrets file"
                .to_owned(),
        ),
        BusLink::Up if facts.clients == 0 => {
            Some("no client is configured: add one under [[mqtt.client]]".to_owned())
        }
        BusLink::Up => None,
    }
}

/// Follows the bus, opens and closes the command plane, publishes `<base>/health`.
pub async fn run(
    bus: Arc<dyn Bus>,
    facts: BusFacts,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
) {
    let mut link = bus.link();
    let mut told: Option<Option<String>> = None;
    loop {
        let closed = closed(&link.borrow_and_update().clone(), facts);
        if told.as_ref() != Some(&closed) {
            match &closed {
                None => tracing::info!("command plane open"),
                Some(why) => tracing::warn!("command plane closed: {why}"),
            }
            bus.publish(Publication::Health(json!({
                "version": env!("CARGO_PKG_VERSION"),
                "command_plane": { "open": closed.is_none(), "why": closed },
                // The broker's isolation of clients is not tested yet; it rests on the broker's ACL.
                "audit": null,
            })));
            if inputs.send(Input::CommandPlane { closed: closed.clone() }).await.is_err() {
                return;
            }
            told = Some(closed);
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_plane_is_open_only_with_a_broker_a_login_and_a_client() {
        let up = BusLink::Up;
        let down = BusLink::Down { why: "refused".to_owned() };
        let known = BusFacts { has_login: true, clients: 1 };
        assert_eq!(closed(&up, known), None);
        assert!(closed(&down, known).is_some());
        assert!(closed(&up, BusFacts { has_login: false, ..known }).is_some());
        assert!(closed(&up, BusFacts { clients: 0, ..known }).is_some());
    }
}
