//! Requests matched to replies by id, notifications in order, and the watch over a peer that falls silent.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::Timing;
use super::fault::MoonrakerFault;
use super::transport::Transport;
use super::wire::{self, Message, Refusal};

/// Requests waiting to be written; a caller waits, within its deadline, while there are more.
const CALLS: usize = 16;

/// Notifications not yet handled. When there are more the connection is given up: a missed update would never be
/// repeated, a new connection starts from the whole state.
const NOTIFICATIONS: usize = 1024;

/// What keeps a quiet connection alive and shows that the peer lives; answered by Moonraker itself.
const KEEP_ALIVE: &str = "server.websocket.id";

/// Makes requests. Ends with its connection: what is outstanding then fails.
#[derive(Clone)]
pub(super) struct Client {
    calls: mpsc::Sender<Call>,
}

struct Call {
    method: &'static str,
    params: Value,
    answer: oneshot::Sender<Answer>,
}

struct Answer {
    result: Result<Value, Refusal>,
    received: u64,
}

/// The answer to a request.
pub(super) struct Reply {
    pub(super) result: Value,
    /// Its place among the messages of the connection.
    pub(super) received: u64,
}

/// Something the peer tells unasked.
pub(super) struct Notification {
    pub(super) method: &'static str,
    pub(super) params: Value,
    /// Its place among the messages of the connection.
    pub(super) received: u64,
}

/// The connection's own work; nothing moves unless [`Connection::run`] is polled.
pub(super) struct Connection {
    transport: Transport,
    timing: Timing,
    calls: mpsc::Receiver<Call>,
    notifications: mpsc::Sender<Notification>,
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    last_id: u64,
    received: u64,
    heard: Instant,
    /// When the peer was asked for a sign of life, unless it has given one since.
    asked: Option<Instant>,
}

/// Puts JSON-RPC over a transport.
pub(super) fn open(
    transport: Transport,
    timing: Timing,
) -> (Client, Connection, mpsc::Receiver<Notification>) {
    let (calls_in, calls) = mpsc::channel(CALLS);
    let (notifications, notifications_out) = mpsc::channel(NOTIFICATIONS);
    let connection = Connection {
        transport,
        timing,
        calls,
        notifications,
        pending: HashMap::new(),
        last_id: 0,
        received: 0,
        heard: Instant::now(),
        asked: None,
    };
    (Client { calls: calls_in }, connection, notifications_out)
}

impl Client {
    /// Sends a request and waits for its answer, at most `within`.
    pub(super) async fn call(
        &self,
        method: &'static str,
        params: Value,
        within: Duration,
    ) -> Result<Reply, MoonrakerFault> {
        let asking = async {
            let (answer, answered) = oneshot::channel();
            self.calls.send(Call { method, params, answer }).await.ok()?;
            answered.await.ok()
        };
        match timeout(within, asking).await {
            Ok(Some(Answer { result: Ok(result), received })) => Ok(Reply { result, received }),
            Ok(Some(Answer { result: Err(refusal), .. })) => {
                Err(MoonrakerFault::Refused { method, refusal })
            }
            Ok(None) => Err(MoonrakerFault::LostMeanwhile { method }),
            Err(_) => Err(MoonrakerFault::Unanswered { method, seconds: within.as_secs() }),
        }
    }
}

impl Connection {
    /// Reads and writes until the connection fails.
    pub(super) async fn run(mut self) -> MoonrakerFault {
        loop {
            if let Err(fault) = self.step().await {
                return fault;
            }
        }
    }

    async fn step(&mut self) -> Result<(), MoonrakerFault> {
        let Timing { keep_alive, silence, .. } = self.timing;
        // Counted from the question, not from the last word: the process itself may have been stopped in between.
        let deadline = match self.asked {
            Some(asked) => asked + silence.saturating_sub(keep_alive),
            None => self.heard + keep_alive,
        };
        tokio::select! {
            biased;
            frame = self.transport.receive() => self.take(&frame?).await,
            Some(call) = self.calls.recv() => {
                self.pending.retain(|_, answer| !answer.is_closed());
                let id = self.send(call.method, call.params).await?;
                self.pending.insert(id, call.answer);
                Ok(())
            }
            () = sleep_until(deadline) => {
                if self.asked.is_some() {
                    return Err(MoonrakerFault::Silent { seconds: self.heard.elapsed().as_secs() });
                }
                self.asked = Some(Instant::now());
                self.send(KEEP_ALIVE, Value::Null).await.map(drop)
            }
        }
    }

    async fn take(&mut self, frame: &[u8]) -> Result<(), MoonrakerFault> {
        let message = match wire::parse(frame) {
            Some(message) => message,
            None if frame.is_empty() => Message::Other,
            None => {
                // It does not count as life either.
                tracing::debug!(bytes = frame.len(), "passed over what is no JSON-RPC");
                return Ok(());
            }
        };
        self.heard = Instant::now();
        self.asked = None;
        self.received += 1;
        let received = self.received;
        match message {
            Message::Reply { id, answer } => {
                if let Some(waiting) = self.pending.remove(&id) {
                    // The caller may have stopped waiting.
                    let _ = waiting.send(Answer { result: answer, received });
                }
            }
            Message::Notification { method, params } => {
                self.notifications.try_send(Notification { method, params, received }).map_err(
                    |_| MoonrakerFault::TooMuch {
                        what: "notifications faster than they can be handled",
                    },
                )?;
            }
            Message::Request { id } => self.write(wire::no_such_method(&id)).await?,
            Message::Other => {}
        }
        Ok(())
    }

    async fn send(&mut self, method: &str, params: Value) -> Result<u64, MoonrakerFault> {
        self.last_id += 1;
        self.write(wire::request(self.last_id, method, params)).await?;
        Ok(self.last_id)
    }

    async fn write(&mut self, text: String) -> Result<(), MoonrakerFault> {
        let seconds = self.timing.keep_alive.as_secs();
        timeout(self.timing.keep_alive, self.transport.send(text))
            .await
            .unwrap_or(Err(MoonrakerFault::Silent { seconds }))
    }
}
