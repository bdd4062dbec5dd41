//! The bus's task: connections one after the other, and on each a half that polls and a half that publishes. The
//! polling half is here, the publishing one in `publisher`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::client::{self, Connection, Happening, Received, Terms};
use super::fault::{Fault, Refusal};
use super::pending::{Tag, message};
use super::publisher::Publisher;
use super::topics::Topic;
use super::wire::{OFFLINE, ONLINE, PROBE, refused};
use super::{GOODBYE, Setup, Shared};
use crate::core::command::{FRESHNESS_S, MAX_REQUEST_BYTES};
use crate::ports::{BusLink, IncomingRequest, Store};

/// A connection that held for so long was a good one: the next attempt comes at once.
const GOOD: Duration = Duration::from_secs(10);

/// The largest packet that may come, bytes: far more than a request may have, so that one which is too large is
/// answered, and little enough for the memory of many.
const LARGEST: u32 = 256 * 1024;

/// Verdicts on their way from the polling to the publishing half; more than can be in flight.
const VERDICTS: usize = client::QUEUE;

/// Why a session ended.
enum End {
    /// As asked.
    Closed,
    /// It broke.
    Broken(Fault),
}

/// A word from the polling half to the publishing half.
pub(super) enum Verdict {
    /// One a filter of [`Setup::filters`].
    Subscription(Vec<Result<(), Refusal>>),
    Message(Tag, Result<(), Refusal>),
}

pub(super) async fn run(
    shared: Arc<Shared>,
    setup: Setup,
    store: Arc<dyn Store>,
    requests: mpsc::Sender<IncomingRequest>,
) {
    let _ended = shared.ended.clone().drop_guard();
    let mut backoff = Backoff::default();
    let mut bus =
        Session { shared: &shared, setup: &setup, store: &*store, requests, resume: false };
    while !shared.closing.is_cancelled() {
        let began = Instant::now();
        let fault = match bus.once().await {
            End::Closed => break,
            End::Broken(fault) => fault,
        };
        shared.set_link(BusLink::Down { why: fault.to_string() });
        if began.elapsed() >= GOOD {
            backoff.reset();
        }
        let wait = backoff.wait(rand::random());
        tracing::debug!(%fault, ?wait, "the MQTT connection ended; trying again after a wait");
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.closing.cancelled() => break,
        }
    }
    shared
        .link
        .send_replace(BusLink::Down { why: "closed, as strandwatch is stopping".to_owned() });
}

struct Session<'a> {
    shared: &'a Shared,
    setup: &'a Setup,
    store: &'a dyn Store,
    requests: mpsc::Sender<IncomingRequest>,
    /// Whether the broker knows this process from an earlier connection.
    resume: bool,
}

impl Session<'_> {
    /// One connection from its beginning to its end.
    async fn once(&mut self) -> End {
        let base = &self.setup.base;
        let terms = Terms {
            client_id: self.setup.client_id.clone(),
            resume: self.resume,
            held_for: Duration::from_secs_f64(FRESHNESS_S),
            will: Some(message(base, &Topic::Status, OFFLINE.to_vec())),
            largest: LARGEST,
        };
        let (sender, mut connection) = match client::open(&self.setup.broker, terms) {
            Ok(ends) => ends,
            Err(fault) => return End::Broken(fault),
        };
        tokio::select! {
            greeted = connection.next() => match greeted {
                Err(fault) => return End::Broken(fault),
                Ok(_) => self.resume = true,
            },
            () = self.shared.closing.cancelled() => return End::Closed,
        }
        if sender.subscribe(self.setup.filters()).is_err() {
            return End::Broken(self.setup.stuck("it cannot be subscribed to"));
        }
        let (verdicts, heard) = mpsc::channel(VERDICTS);
        let publisher = Publisher::new(self.shared, self.setup, self.store, sender);
        // Two futures, each polled to its end: neither can hold up or cancel the other half-way.
        tokio::select! {
            end = self.poll(connection, verdicts) => end,
            fault = publisher.run(heard) => End::Broken(fault),
            () = async { self.shared.closing.cancelled().await; sleep(GOODBYE).await } => End::Closed,
        }
    }

    /// Polls the connection and never waits for anything else.
    async fn poll(&self, mut connection: Connection<Tag>, verdicts: mpsc::Sender<Verdict>) -> End {
        loop {
            let verdict = match connection.next().await {
                Err(fault) => return End::Broken(fault),
                Ok(Happening::Disconnected) => return End::Closed,
                Ok(Happening::Connected) => continue,
                Ok(Happening::Arrived(received)) => {
                    self.receive(received);
                    continue;
                }
                Ok(Happening::Subscribed(verdicts)) => Verdict::Subscription(verdicts),
                Ok(Happening::Settled(tag, verdict)) => Verdict::Message(tag, verdict),
            };
            if verdicts.try_send(verdict).is_err() {
                return End::Broken(self.setup.stuck("it acknowledges more than was sent"));
            }
        }
    }

    fn receive(&self, received: Received) {
        if self.setup.birth.as_ref() == Some(&received.topic) {
            if received.payload == ONLINE {
                self.shared.births.send_modify(|births| *births += 1);
            }
            return;
        }
        let exchange = match self.setup.base.parse_topic(&received.topic) {
            Ok(Topic::Request(exchange)) => exchange,
            Ok(_) | Err(_) => {
                tracing::warn!(topic = ?received.topic, "a message that is no request of the contract was dropped");
                return;
            }
        };
        if received.retained && received.payload.is_empty() {
            // Somebody clears a retained request, as its refusal told them to: that asks for nothing.
            return;
        }
        if exchange.command.as_str() == PROBE {
            // The audit's own: that it arrived is all there is to it.
            return;
        }
        if received.retained {
            // Whoever retained it, it would be refused anew after every reconnection.
            self.shared.pending().clear_request(exchange.clone());
            self.shared.work.notify_one();
        }
        let identity = &self.setup.identity;
        let (sender, body) = identity.of(&exchange, &received.payload);
        let request = IncomingRequest {
            sender,
            printer: exchange.printer.as_str().to_owned(),
            command: exchange.command.as_str().to_owned(),
            retained: received.retained,
            // A copy, so that what is too long is not held in the queue.
            payload: body[..body.len().min(MAX_REQUEST_BYTES + 1)].to_vec(),
        };
        let reason = match self.requests.try_send(request) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(request)) => {
                refused(&request.payload, "busy: too many requests wait; send it again later")
            }
            Err(mpsc::error::TrySendError::Closed(request)) => {
                refused(&request.payload, "strandwatch is stopping; send it again later")
            }
        };
        self.shared.add(Topic::Response(exchange), reason.to_string().into_bytes());
    }
}
