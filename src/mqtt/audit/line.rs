//! A connection of the audit, driven as it is needed.

use std::time::Duration;

use tokio::time::timeout;

use crate::mqtt::broker::Broker;
use crate::mqtt::client::{self, Connection, Happening, Received, Sender, Terms};
use crate::mqtt::fault::{Fault, Refusal};
use crate::mqtt::wire::{Delivery, Message, Qos};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// The largest message that is looked at, bytes.
const LARGEST: u32 = 256 * 1024;

const PLAIN: Delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("the broker did not answer within {PATIENCE:?}")]
    Slow,
    #[error("{0}")]
    Rules(String),
}

/// What arrived, as far as it matters.
pub(super) struct Seen {
    pub(super) topic: String,
    payload: Vec<u8>,
    /// Kept by the broker, and not taken away since.
    pub(super) retained: bool,
}

impl Seen {
    /// Whether it is the message with this mark.
    pub(super) fn is(&self, mark: &str) -> bool {
        self.payload == mark.as_bytes()
    }
}

/// Messages kept of a busy broker.
const KEPT: usize = 4096;

/// One connection, driven as it is needed.
pub(super) struct Line {
    sender: Sender<()>,
    connection: Connection<()>,
    /// Everything that arrived while something was awaited.
    pub(super) seen: Vec<Seen>,
}

impl Line {
    pub(super) async fn connect(broker: &Broker, role: &str) -> Result<Self, Trouble> {
        let terms = Terms {
            client_id: random(&format!("strandwatch-audit-{role}-")),
            resume: false,
            held_for: Duration::ZERO,
            will: None,
            largest: LARGEST,
        };
        let (sender, mut connection) = client::open(broker, terms)?;
        timeout(PATIENCE, connection.next()).await.map_err(|_| Trouble::Slow)??;
        Ok(Self { sender, connection, seen: Vec::new() })
    }

    pub(super) async fn subscribe(
        &mut self,
        filters: &[String],
    ) -> Result<Vec<Result<(), Refusal>>, Trouble> {
        self.sender
            .subscribe(filters.to_vec())
            .map_err(|refusal| Trouble::Rules(refusal.to_string()))?;
        self.until(|happening| {
            if let Happening::Subscribed(verdicts) = happening {
                Some(verdicts.clone())
            } else {
                None
            }
        })
        .await
    }

    /// Publishes; the inner result is the broker's verdict.
    pub(super) async fn publish(
        &mut self,
        topic: &str,
        text: &str,
    ) -> Result<Result<(), Refusal>, Trouble> {
        let payload = text.as_bytes().to_vec();
        let message = Message { topic: topic.to_owned(), payload, delivery: PLAIN };
        if let Err(refusal) = self.sender.publish((), message) {
            return Ok(Err(refusal));
        }
        self.until(|happening| {
            if let Happening::Settled((), verdict) = happening {
                Some(verdict.clone())
            } else {
                None
            }
        })
        .await
    }

    /// Whether this message arrives in time.
    pub(super) async fn hears(&mut self, topic: &str, mark: &str) -> Result<bool, Trouble> {
        let is_it = |seen: &Seen| seen.topic == topic && seen.is(mark);
        if self.seen.iter().any(is_it) {
            return Ok(true);
        }
        let heard = self.until(|happening| {
            let Happening::Arrived(received) = happening else { return None };
            (received.topic == topic && received.payload == mark.as_bytes()).then_some(())
        });
        match heard.await {
            Ok(()) => Ok(true),
            Err(Trouble::Slow) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Drives the connection until `wanted` takes something; messages that arrive meanwhile are kept.
    async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&Happening<()>) -> Option<T>,
    ) -> Result<T, Trouble> {
        let search = async {
            loop {
                let happening = self.connection.next().await?;
                if let Some(found) = wanted(&happening) {
                    return Ok(found);
                }
                if let Happening::Arrived(received) = happening {
                    keep(&mut self.seen, received);
                }
            }
        };
        timeout(PATIENCE, search).await.unwrap_or(Err(Trouble::Slow))
    }
}

fn keep(seen: &mut Vec<Seen>, received: Received) {
    let Received { topic, mut payload, retained } = received;
    // A retained message that is empty is one being taken away.
    let retained = retained && !payload.is_empty();
    payload.truncate(64);
    payload.shrink_to_fit();
    if payload.is_empty() && !retained {
        // Whatever was retained there is gone.
        seen.iter_mut().filter(|seen| seen.topic == topic).for_each(|seen| seen.retained = false);
    }
    if seen.len() < KEPT {
        seen.push(Seen { topic, payload, retained });
    }
}

pub(super) fn random(before: &str) -> String {
    format!("{before}{:016x}", rand::random::<u64>())
}
