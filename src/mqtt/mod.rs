//! The bus over MQTT 5.
//!
//! `topics` and `wire` are the contract: every topic in one type, and how its messages travel in one table. `client` is
//! one connection and the only user of rumqttc. Here and in `session` lies what makes it a bus: connections one after
//! the other with a capped, jittered back-off; subscribing on each; retained documents published again on each, as a
//! broker may have lost them; events from the [`Store`]'s outbox, marked delivered when the broker has acknowledged
//! them; a last will. `requester` is the other side of the contract, a client with its own credential.
//!
//! **Identity.** MQTT never tells who published. A request's sender is the client in its topic, because the broker lets
//! each client publish below its own `client/<name>/request/` only, which `audit` tests with connections of its own; or
//! because the request bears that client's signature (`signing`). A topic whose client cannot be a name is dropped and
//! logged, as there is nobody to answer.
//!
//! **Sessions.** The first connection of a process begins a clean session: requests meant for a process that is gone
//! are not carried out by the next. Reconnections resume it, and the broker holds it as long as a request stays fresh,
//! so one that was sent during a short outage still gets its answer.
//!
//! **Refusals.** The broker's ACL shows in MQTT 5 reason codes, so everything retained goes at QoS 1. As long as the
//! broker refuses the subscription or a topic, the link reads [`BusLink::Down`] with the topic and the missing rule,
//! although the connection is up and goes on being used: "up" means that everything works. What cannot be seen:
//! Mosquitto's `acl_file` grants every subscription and then delivers nothing that its rules do not allow to be read.
//!
//! **Outside the base.** Home Assistant's topics are a courtesy: a broker that refuses them is named in the log, and the
//! link stays up.
//!
//! **Order.** A few events are in flight at a time, in the order of the outbox, and after a broken connection all that
//! were not acknowledged are sent again in that order: receivers see each for the first time in order, and drop what
//! they have seen by its `id`.
//!
//! **Access.** `access` is the table of who may publish and read what. `managed` runs a Mosquitto of our own and
//! `provision` changes the accounts in it; both take their rules from that table.

pub mod access;
pub mod audit;
mod backoff;
pub mod broker;
pub mod client;
pub mod enrolment;
pub mod fault;
pub mod managed;
mod pending;
pub mod provision;
mod publisher;
pub mod requester;
mod session;
pub mod signing;
pub mod topics;
pub mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use broker::{Broker, Login, Tls};
pub use signing::{Identity, Keys};
pub use topics::Base;

use crate::core::types::Name;
use crate::ports::{Bus, BusLink, Publication, Requests, Store};
use fault::Fault;
use pending::Pending;
use topics::Topic;

/// Requests that wait for the application; beyond that the bus answers `refused: busy`.
const REQUESTS: usize = 32;

/// The most that a goodbye takes.
const GOODBYE: Duration = Duration::from_millis(1800);

/// What the bus must know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where the broker is, and who we are there.
    pub broker: Broker,
    /// The session's name at the broker; no two daemons may share one.
    pub client_id: String,
    /// What stands before every topic.
    pub base: Base,
    /// Whose availability is set to `offline` at the end.
    pub printers: Vec<Name>,
    /// The whole topic on which Home Assistant says `online` when it has started.
    pub birth: Option<String>,
    /// What shows who sends a request.
    pub identity: Identity,
}

impl Setup {
    /// What to subscribe to: requests, then what else there is.
    fn filters(&self) -> Vec<String> {
        [self.base.request_filter()].into_iter().chain(self.birth.clone()).collect()
    }

    fn stuck(&self, what: &str) -> Fault {
        Fault::Stuck { broker: self.broker.address(), what: what.to_owned() }
    }
}

/// Connects for as long as the process lives; an unreachable broker shows in [`Bus::link`].
///
/// `cancel` ends it as [`Bus::close`] does, with what is pending and a goodbye, so give it a token that is cancelled
/// when nothing more is to be said. The task runs in `tracker` and ends within two seconds of either.
pub fn connect(
    setup: Setup,
    store: Arc<dyn Store>,
    cancel: &CancellationToken,
    tracker: &TaskTracker,
) -> (Arc<MqttBus>, Requests) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    let broker = setup.broker.address();
    let why = format!("not yet connected to the MQTT broker {broker}");
    let shared = Arc::new(Shared {
        broker,
        pending: Mutex::default(),
        work: Notify::new(),
        outbox: Notify::new(),
        taken: Notify::new(),
        births: watch::Sender::new(0),
        closing: cancel.child_token(),
        ended: CancellationToken::new(),
        link: watch::Sender::new(BusLink::Down { why }),
    });
    tracker.spawn(session::run(Arc::clone(&shared), setup, store, requests));
    (Arc::new(MqttBus { shared }), receiver)
}

/// [`Bus`] over MQTT 5.
pub struct MqttBus {
    shared: Arc<Shared>,
}

/// What the bus's handle and its task share.
struct Shared {
    /// `host:port`, for the log.
    broker: String,
    pending: Mutex<Pending>,
    /// Something was added to `pending`.
    work: Notify,
    /// The store's outbox grew.
    outbox: Notify,
    /// The broker took a document.
    taken: Notify,
    /// Counts Home Assistant's births.
    births: watch::Sender<u64>,
    closing: CancellationToken,
    ended: CancellationToken,
    link: watch::Sender<BusLink>,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, topic: Topic, payload: Vec<u8>) {
        self.pending().add(topic, payload);
        self.work.notify_one();
    }

    /// Tells of a change, once.
    fn set_link(&self, link: BusLink) {
        self.link.send_if_modified(|known| {
            let changed = *known != link;
            if changed {
                match &link {
                    BusLink::Up => tracing::info!("connected to the MQTT broker {}", self.broker),
                    BusLink::Down { why } => tracing::warn!("{why}"),
                }
                *known = link;
            }
            changed
        });
    }
}

impl Bus for MqttBus {
    fn publish(&self, publication: Publication) {
        // A preview is worth something at once or not at all.
        let down = *self.shared.link.borrow() != BusLink::Up;
        if down && matches!(publication, Publication::PreviewImage { .. }) {
            return;
        }
        match wire::encode(publication) {
            Some((topic, payload)) => self.shared.add(topic, payload),
            None => tracing::warn!(
                "a response was dropped: its printer or command cannot stand in a topic"
            ),
        }
    }

    fn announce(&self, topic: String, document: Option<serde_json::Value>) -> BoxFuture<'_, ()> {
        let topic = Topic::Foreign(topic);
        let payload = document.map(|document| document.to_string().into_bytes());
        self.shared.add(topic.clone(), payload.unwrap_or_default());
        Box::pin(async move {
            loop {
                let taken = self.shared.taken.notified();
                if self.shared.pending().is_taken(&topic) {
                    return;
                }
                taken.await;
            }
        })
    }

    fn births(&self) -> watch::Receiver<u64> {
        self.shared.births.subscribe()
    }

    fn outbox_grew(&self) {
        self.shared.outbox.notify_one();
    }

    fn link(&self) -> watch::Receiver<BusLink> {
        self.shared.link.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.closing.cancel();
        Box::pin(self.shared.ended.cancelled())
    }
}
