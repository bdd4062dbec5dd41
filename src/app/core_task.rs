//! The core's task: the only owner of the core. Takes inputs in order of urgency, hands outputs to whoever does them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::camera_task::PictureRequest;
use super::persist::Durable;
use super::recorder::Recorder;
use super::thin::Thinner;
use crate::core::Core;
use crate::core::command::id_of;
use crate::core::contract::{Action, Decision, Input, Output, Reply};
use crate::core::screen::ScreenMessage;
use crate::core::types::Name;
use crate::ports::{Bus, Clock, IncomingRequest, PrinterLink, Publication, Unverified};

/// What the core's task tells a camera's task.
pub struct CameraOrders {
    /// Time between frames.
    pub interval: watch::Sender<Option<Duration>>,
    /// Pictures wanted; when full, further wishes are dropped: a picture is on its way already.
    pub pictures: mpsc::Sender<PictureRequest>,
}

/// Sends actions to printers and brings back the answers.
#[derive(Clone)]
pub struct Actuator {
    /// Every printer's link.
    pub links: Arc<BTreeMap<Name, Arc<dyn PrinterLink>>>,
    /// Answers go here.
    pub inputs: mpsc::Sender<Input>,
    /// Owns the calls under way.
    pub tracker: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

impl Actuator {
    /// Sends an action off.
    pub fn act(&self, action: Action) {
        let Some(link) = self.links.get(&action.printer).cloned() else { return };
        let (inputs, cancel) = (self.inputs.clone(), self.cancel.clone());
        tracing::info!(printer = %action.printer, action = action.action.name(), by_policy = action.by_policy, "acting");
        self.tracker.spawn(async move {
            let call = async {
                let outcome = link.act(action.action).await.map_err(|why| why.to_string());
                if let Err(why) = &outcome {
                    tracing::error!(printer = %action.printer, "{why}");
                }
                let _ = inputs.send(Input::ActionAnswered { id: action.id, outcome }).await;
            };
            let _ = cancel.run_until_cancelled(call).await;
        });
    }
}

/// Where inputs come from, most urgent first.
pub struct Sources {
    /// Requests off the bus.
    pub requests: Option<mpsc::Receiver<IncomingRequest>>,
    /// Requests of the printers' own macros.
    pub calls: mpsc::Receiver<IncomingRequest>,
    /// Printers, cameras' reports, the model, answers to actions.
    pub inputs: mpsc::Receiver<Input>,
    /// Scores.
    pub scores: mpsc::Receiver<Input>,
}

/// What the core's task works with.
pub struct CoreTask {
    /// The decision.
    pub core: Core,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// The bus, if there is one.
    pub bus: Option<Arc<dyn Bus>>,
    /// Sends actions.
    pub actuator: Actuator,
    /// What must be durable.
    pub durable: mpsc::Sender<Durable>,
    /// Every camera, by printer and name.
    pub cameras: BTreeMap<(Name, Name), CameraOrders>,
    /// What goes onto the printers' own screens.
    pub screens: BTreeMap<Name, mpsc::Sender<ScreenMessage>>,
    /// When this task last came round, monotonic ms: the watchdog looks at it.
    pub heartbeat: Arc<AtomicU64>,
    /// Records every print.
    pub recorder: Recorder,
    /// Keeps what decides nothing from the core.
    pub thinner: Thinner,
}

/// The task comes round at least this often.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

impl CoreTask {
    /// Works until cancelled, then takes in what is already waiting, without acting on printers any more.
    pub async fn run(mut self, mut sources: Sources, cancel: CancellationToken) {
        loop {
            let now = self.clock.now();
            self.heartbeat.store(now.mono_ms, Ordering::Relaxed);
            let wait = self.core.next_deadline_ms().map_or(HEARTBEAT, |deadline| {
                Duration::from_millis(deadline.saturating_sub(now.mono_ms)).min(HEARTBEAT)
            });
            let input = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(request) = receive(&mut sources.requests) => Input::from(request),
                Some(request) = sources.calls.recv() => Input::from(request),
                Some(input) = sources.inputs.recv() => input,
                Some(input) = sources.scores.recv() => input,
                () = tokio::time::sleep(wait) => Input::Tick,
            };
            self.take(input);
        }
        while let Ok(input) = sources.inputs.try_recv() {
            self.take(input);
        }
        self.recorder.flush();
    }

    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        if !self.thinner.lets_in(now, &input) {
            return;
        }
        self.recorder.input(now, &input);
        self.core.handle(now, input);
        while let Some(output) = self.core.poll_output() {
            self.recorder.output(now, &output);
            self.put_out(output);
        }
    }

    fn put_out(&mut self, output: Output) {
        match output {
            Output::Event { event } => {
                let detail = serde_json::to_string(&event.kind).unwrap_or_default();
                tracing::info!(printer = event.printer, "event {detail}");
                self.make_durable(Durable::Event(event));
            }
            Output::State { printer, document } => {
                let Ok(document) = serde_json::to_value(document) else { return };
                self.publish(Publication::State { printer, document });
            }
            Output::Incident { printer, document } => {
                let Ok(document) = document.map(serde_json::to_value).transpose() else { return };
                self.publish(Publication::Incident { printer, document });
            }
            Output::Availability { printer, online } => {
                self.publish(Publication::Availability { printer, online });
            }
            Output::Action(action) if action.by_policy => self.actuator.act(action),
            Output::Action(action) => self.make_durable(Durable::ThenAct(action)),
            Output::Reply(reply) => self.reply(reply),
            Output::Decided(decision) => {
                let Decision { client, printer, command, status, reason, .. } = &decision;
                let reason = reason.as_deref().unwrap_or_default();
                tracing::info!(client, printer, command, ?status, reason, "a client's request");
                self.make_durable(Durable::Decided(decision));
            }
            Output::Answered { client, ids } => self.make_durable(Durable::Answered(client, ids)),
            Output::Remember { printer, memory } => {
                self.make_durable(Durable::Memory(printer, memory));
            }
            Output::Learned { printer, camera, clutter } => {
                self.make_durable(Durable::Learned(printer, camera, clutter));
            }
            Output::Sampling { printer, camera, interval_ms } => {
                if let Some(orders) = self.cameras.get(&(printer, camera)) {
                    orders.interval.send_replace(interval_ms.map(Duration::from_millis));
                }
            }
            Output::FailureImage { printer, camera, incident } => {
                if let Some(orders) = self.cameras.get(&(printer, camera)) {
                    let _ = orders.pictures.try_send(PictureRequest::Failure { incident });
                }
            }
            Output::Screen { printer, message } => {
                let sent = self.screens.get(&printer).map(|screen| screen.try_send(message));
                if let Some(Err(error)) = sent {
                    tracing::debug!(%printer, "not shown, too much waits already: {error}");
                }
            }
            Output::Snapshot { printer, ticket } => self.snapshot(&printer, ticket),
        }
    }

    fn snapshot(&mut self, printer: &Name, ticket: u64) {
        let first = self.cameras.iter().find(|((of, _), _)| of == printer);
        let sent = match first {
            None => Err("this printer has no camera".to_owned()),
            Some((_, orders)) => orders
                .pictures
                .try_send(PictureRequest::Preview { ticket })
                .map_err(|_| "the camera is busy with other snapshots".to_owned()),
        };
        if let Err(why) = sent {
            self.take(Input::SnapshotTaken { ticket, outcome: Err(why) });
        }
    }

    fn reply(&self, reply: Reply) {
        let Ok(body) = serde_json::to_value(reply.body) else { return };
        self.publish(Publication::Response {
            client: reply.client,
            printer: reply.printer,
            command: reply.command,
            body,
        });
    }

    fn publish(&self, publication: Publication) {
        if let Some(bus) = &self.bus {
            bus.publish(publication);
        }
    }

    /// When the disk is so slow that the queue is full, the item is lost to disk and named in the log; the core goes on,
    /// since it may have to pause a print. A client's action is then not done: its request times out as failed.
    fn make_durable(&self, item: Durable) {
        if let Err(error) = self.durable.try_send(item) {
            tracing::error!("the store is too far behind, not stored: {error}");
        }
    }
}

async fn receive<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => None,
    }
}

impl From<IncomingRequest> for Input {
    fn from(request: IncomingRequest) -> Self {
        let IncomingRequest { sender, printer, command, retained, payload } = request;
        match sender {
            Ok(principal) => Self::Request { principal, printer, command, retained, payload },
            Err(Unverified { claimed, why }) => {
                Self::Unverified { claimed, printer, command, id: id_of(&payload), why }
            }
        }
    }
}
