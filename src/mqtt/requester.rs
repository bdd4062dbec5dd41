//! The other side of the contract: a client with its own credential that watches topics, publishes requests and awaits
//! their answers. `demo`, `doctor` and the tests are such clients.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::broker::Broker;
use super::client::{self, Connection, Happening, Received, Sender, Terms};
use super::fault::{Fault, Refusal};
use super::topics::{Base, Exchange, Level, Topic};
use super::wire::{Delivery, Message, delivery};
use crate::core::types::Name;

/// Messages kept for a watcher that is slower than they arrive; beyond that it misses the oldest.
const MESSAGES: usize = 4096;

/// The largest message, bytes: pictures come too.
const LARGEST: u32 = 4 << 20;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Verdict = oneshot::Sender<Result<(), Refusal>>;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The broker does not let this client publish it.
    #[error("the broker refuses {topic}: {refusal}")]
    Refused {
        /// The request's topic.
        topic: String,
        /// Why.
        refusal: Refusal,
    },
    /// The connection is gone.
    #[error("the connection to the broker is gone")]
    Gone,
    /// Published, and not answered.
    #[error(
        "no answer on {topic} within {within:?}; see that strandwatch runs and is connected to this broker"
    )]
    Unanswered {
        /// Where the answer should have come.
        topic: String,
        /// How long was waited.
        within: Duration,
    },
    /// The printer's or command's name cannot stand in a topic.
    #[error("{0:?} cannot be one level of a topic")]
    BadLevel(String),
}

/// A connected client; it does not reconnect, and leaves when it is dropped.
pub struct Requester {
    base: Base,
    client: Name,
    sender: Sender<Verdict>,
    /// Weak, so that watchers see the end of the connection.
    messages: broadcast::WeakSender<Received>,
    task: JoinHandle<()>,
}

impl Requester {
    /// Connects and subscribes to the client's own responses and to `filters` (whole filters, the base included).
    /// Everything that arrives comes out of the receiver, retained messages first; it closes with the connection.
    ///
    /// # Errors
    /// When there is no connection; a filter that the broker refuses is a [`Fault::Refused`] as well.
    pub async fn connect(
        broker: &Broker,
        base: Base,
        client: Name,
        filters: &[String],
    ) -> Result<(Self, broadcast::Receiver<Received>), Fault> {
        let mut wanted = vec![base.response_filter(&client)];
        wanted.extend_from_slice(filters);
        Self::connect_to(broker, base, client, wanted).await
    }

    /// Connects and subscribes to `wanted` alone.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to(
        broker: &Broker,
        base: Base,
        client: Name,
        wanted: Vec<String>,
    ) -> Result<(Self, broadcast::Receiver<Received>), Fault> {
        let client_id = format!("{client}-{:08x}", rand::random::<u32>());
        let terms = Terms {
            client_id,
            resume: false,
            held_for: Duration::ZERO,
            will: None,
            largest: LARGEST,
        };
        let (sender, mut connection) = client::open(broker, terms)?;
        connection.next().await?;
        let refused = |why: String| Fault::Refused { broker: broker.address(), why };
        sender.subscribe(wanted.clone()).map_err(|refusal| refused(refusal.to_string()))?;
        let early =
            subscribed(&mut connection, &wanted).await.map_err(|trouble| match trouble {
                Trouble::Fault(fault) => fault,
                Trouble::Refused(why) => refused(why),
            })?;
        let (arrived, watched) = broadcast::channel(MESSAGES);
        let messages = arrived.downgrade();
        let task = tokio::spawn(drive(connection, arrived, early));
        Ok((Self { base, client, sender, messages, task }, watched))
    }

    /// Publishes anything, anywhere, and waits for the broker's verdict.
    ///
    /// # Errors
    /// When the broker refuses it or does not answer.
    pub async fn publish(
        &self,
        topic: String,
        payload: Vec<u8>,
        delivery: Delivery,
    ) -> Result<(), RequestError> {
        let refused = |refusal| RequestError::Refused { topic: topic.clone(), refusal };
        let (verdict, told) = oneshot::channel();
        let message = Message { topic: topic.clone(), payload, delivery };
        self.sender.publish(verdict, message).map_err(refused)?;
        match timeout(PATIENCE, told).await {
            Ok(Ok(verdict)) => verdict.map_err(refused),
            Ok(Err(_)) | Err(_) => Err(RequestError::Gone),
        }
    }

    /// Publishes a request and awaits the answer with its `id`.
    ///
    /// # Errors
    /// When the broker refuses it, the connection ends, or there is no answer in time.
    pub async fn request(
        &self,
        printer: &str,
        command: &str,
        body: &Value,
        within: Duration,
    ) -> Result<Value, RequestError> {
        let level =
            |text: &str| Level::parse(text).ok_or_else(|| RequestError::BadLevel(text.to_owned()));
        let exchange = Exchange {
            client: self.client.clone(),
            printer: level(printer)?,
            command: level(command)?,
        };
        let answers = self.base.topic(&Topic::Response(exchange.clone()));
        let request = Topic::Request(exchange);
        let mut messages = self.messages.upgrade().ok_or(RequestError::Gone)?.subscribe();
        let published = self.publish(
            self.base.topic(&request),
            body.to_string().into_bytes(),
            delivery(&request),
        );
        published.await?;
        let answer = async {
            loop {
                let received = match messages.recv().await {
                    Ok(received) => received,
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return Err(RequestError::Gone),
                };
                if received.topic != answers {
                    continue;
                }
                let answer: Value = serde_json::from_slice(&received.payload).unwrap_or_default();
                if answer.get("id") == body.get("id") || answer.get("id") == Some(&Value::Null) {
                    return Ok(answer);
                }
            }
        };
        match timeout(within, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(RequestError::Unanswered { topic: answers.clone(), within }),
        }
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Trouble {
    Fault(Fault),
    Refused(String),
}

/// Waits for the subscription; retained messages may overtake it and are returned.
async fn subscribed(
    connection: &mut Connection<Verdict>,
    filters: &[String],
) -> Result<Vec<Received>, Trouble> {
    let mut early = Vec::new();
    loop {
        match connection.next().await.map_err(Trouble::Fault)? {
            Happening::Arrived(received) => early.push(received),
            Happening::Subscribed(verdicts) => {
                for (filter, verdict) in filters.iter().zip(verdicts) {
                    verdict.map_err(|refusal| {
                        Trouble::Refused(format!("the subscription to {filter}: {refusal}"))
                    })?;
                }
                return Ok(early);
            }
            Happening::Connected | Happening::Settled(..) | Happening::Disconnected => {}
        }
    }
}

async fn drive(
    mut connection: Connection<Verdict>,
    messages: broadcast::Sender<Received>,
    early: Vec<Received>,
) {
    // Nobody watching is no error.
    let tell = |received| drop(messages.send(received));
    early.into_iter().for_each(tell);
    loop {
        match connection.next().await {
            Ok(Happening::Arrived(received)) => tell(received),
            Ok(Happening::Settled(verdict, told)) => drop(verdict.send(told)),
            Ok(Happening::Connected | Happening::Subscribed(_)) => {}
            Ok(Happening::Disconnected) => return,
            Err(fault) => {
                tracing::debug!(%fault, "a client's connection ended");
                return;
            }
        }
    }
}
