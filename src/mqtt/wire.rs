//! What goes where and how: quality of service, retention and expiry of every topic in one table, and the bodies.

use std::time::Duration;

use serde_json::{Value, json};

use super::topics::{Exchange, Level, Topic};
use crate::ports::Publication;

/// How long an answer is worth having.
pub const RESPONSE_EXPIRY: Duration = Duration::from_secs(60);

/// The payload of `status` and `availability` topics while up.
pub const ONLINE: &[u8] = b"online";

/// The payload of `status` and `availability` topics otherwise.
pub const OFFLINE: &[u8] = b"offline";

/// The command level of the audit's own messages: the daemon takes nothing from them and answers none.
pub const PROBE: &str = "audit";

/// How hard a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// Sent once, not acknowledged.
    AtMostOnce,
    /// Acknowledged by the broker.
    AtLeastOnce,
}

/// How a topic's messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// How hard it is tried.
    pub qos: Qos,
    /// Whether the broker keeps the last one.
    pub retain: bool,
    /// How long the broker may hold it for a client that is away; `None` is for ever.
    pub expiry: Option<Duration>,
}

/// A message on its way out.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The whole topic.
    pub topic: String,
    /// The body.
    pub payload: Vec<u8>,
    /// How it travels.
    pub delivery: Delivery,
}

/// The contract's table.
///
/// Retained documents go at QoS 1 although the last one wins anyway: only then does an MQTT 5 broker say that its ACL
/// forbids them.
pub fn delivery(topic: &Topic) -> Delivery {
    let row = |qos, retain| Delivery { qos, retain, expiry: None };
    match topic {
        Topic::Status
        | Topic::Health
        | Topic::Availability(_)
        | Topic::State(_)
        | Topic::Incident(_)
        | Topic::FailureImage(_)
        | Topic::Foreign(_) => row(Qos::AtLeastOnce, true),
        Topic::Event(_) | Topic::Request(_) => row(Qos::AtLeastOnce, false),
        Topic::PreviewImage(_) => row(Qos::AtMostOnce, false),
        Topic::Response(_) => {
            Delivery { expiry: Some(RESPONSE_EXPIRY), ..row(Qos::AtLeastOnce, false) }
        }
    }
}

/// The topic and body of a publication; `None` when a response's levels cannot stand in a topic.
pub fn encode(publication: Publication) -> Option<(Topic, Vec<u8>)> {
    Some(match publication {
        Publication::Health(document) => (Topic::Health, document.to_string().into_bytes()),
        Publication::Availability { printer, online } => {
            (Topic::Availability(printer), if online { ONLINE } else { OFFLINE }.to_vec())
        }
        Publication::State { printer, document } => {
            (Topic::State(printer), document.to_string().into_bytes())
        }
        Publication::Incident { printer, document } => (
            Topic::Incident(printer),
            document.map(|document| document.to_string().into_bytes()).unwrap_or_default(),
        ),
        Publication::FailureImage { printer, jpeg } => (Topic::FailureImage(printer), jpeg),
        Publication::PreviewImage { printer, jpeg } => (Topic::PreviewImage(printer), jpeg),
        Publication::Response { client, printer, command, body } => {
            let exchange = Exchange {
                client,
                printer: Level::parse(&printer)?,
                command: Level::parse(&command)?,
            };
            (Topic::Response(exchange), body.to_string().into_bytes())
        }
    })
}

/// The answer to a request that the application did not take, with the request's own id where it can be read.
pub fn refused(request: &[u8], reason: &str) -> Value {
    let id = serde_json::from_slice::<Value>(request)
        .ok()
        .and_then(|body| body.get("id").filter(|id| id.is_string()).cloned())
        .unwrap_or(Value::Null);
    json!({ "id": id, "status": "refused", "reason": reason })
}
