//! The daemon: starts every task, and ends them in order within the budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::album::Encode;
use super::camera_task::{Annotate, CameraTask, Orders};
use super::clients;
use super::core_task::{Actuator, CameraOrders, CoreTask, Sources};
use super::enrolment;
use super::evidence::Evidence;
use super::health::{BusFacts, Health};
use super::recorder::Recorder;
use super::scoring::{ModelLoader, SharedScorer, keep_model};
use super::thin::Thinner;
use super::{gallery, persist, screens, watchdog};
use crate::core::Core;
use crate::core::authz::Grants;
use crate::core::contract::{Input, Setup};
use crate::core::types::Name;
use crate::ports::{
    BrokerAudit, Bus, Clock, FrameSource, IncomingRequest, PrinterLink, Requests, Store,
};
use crate::web;

/// Everything the daemon works with, already wired.
pub struct Parts {
    /// The core's settings.
    pub setup: Setup,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Every printer.
    pub links: BTreeMap<Name, Arc<dyn PrinterLink>>,
    /// Requests of the printers' own macros.
    pub calls: mpsc::Receiver<IncomingRequest>,
    /// Every camera, by printer and name.
    pub cameras: BTreeMap<(Name, Name), Arc<dyn FrameSource>>,
    /// Loads the model.
    pub model: Arc<dyn ModelLoader>,
    /// Time between self-tests.
    pub self_test_every: Duration,
    /// Draws what was seen.
    pub annotate: Annotate,
    /// Makes a JPEG of a frame as it is.
    pub encode: Encode,
    /// The bus, if there is one.
    pub bus: Option<BusParts>,
    /// What survives a restart.
    pub store: Arc<dyn Store>,
    /// The configuration's clients.
    pub configured: Grants,
    /// Every client's grant, told to those who must know.
    pub grants: watch::Sender<Grants>,
    /// Our own broker, where newcomers may be invited.
    pub own_broker: Option<crate::mqtt::managed::Settings>,
    /// Keeps pictures of incidents and the journals of prints.
    pub evidence: Evidence,
    /// Serves what is seen, if it is to be looked at.
    pub web: Option<Web>,
}

/// Where what is seen is served.
pub struct Web {
    /// The address, taken already.
    pub listener: std::net::TcpListener,
    /// How a browser gets there, without a slash at the end.
    pub url: String,
}

/// The bus and what belongs to it.
pub struct BusParts {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// What comes from it.
    pub requests: Requests,
    /// What is known of its broker.
    pub facts: BusFacts,
    /// Who tests its broker.
    pub auditor: Arc<dyn BrokerAudit>,
}

/// Each may take so long to end, in order; together they stay within five seconds.
const END_WITHIN: Duration = Duration::from_millis(1_500);

/// Requests, inputs and scores that may wait for the core; whoever is faster waits in turn.
const QUEUE: usize = 64;
/// Durable items that may wait for the disk.
const DURABLE_QUEUE: usize = 1_024;

struct Named(&'static str, JoinHandle<()>);

/// Runs until `cancel`, then shuts down: requests are refused, cameras stop, the core takes in what is waiting without
/// acting, the store is flushed, the bus says `offline`.
pub async fn run(parts: Parts, cancel: CancellationToken) {
    let tracker = TaskTracker::new();
    let (inputs, input_queue) = mpsc::channel(QUEUE);
    let (scores, score_queue) = mpsc::channel(QUEUE);
    let (durable, durable_queue) = mpsc::channel(DURABLE_QUEUE);
    let heartbeat = Arc::new(AtomicU64::new(parts.clock.now().mono_ms));
    let scorer = SharedScorer::new(parts.clock.clone());
    let (bus, requests, audited) = match parts.bus {
        Some(BusParts { bus, requests, facts, auditor }) => {
            (Some(bus), Some(requests), Some((facts, auditor)))
        }
        None => (None, None, None),
    };
    let links = Arc::new(parts.links);
    let actuator = Actuator {
        links: links.clone(),
        inputs: inputs.clone(),
        tracker: tracker.clone(),
        cancel: cancel.child_token(),
    };

    let mut orders = BTreeMap::new();
    let mut views = web::Views::new();
    for ((printer, camera), source) in parts.cameras {
        let (gallery, looking) = watch::channel(None);
        if parts.web.is_some() {
            views.insert((printer.clone(), camera.clone()), looking);
        }
        let (interval, interval_orders) = watch::channel(None);
        let (pictures, picture_orders) = mpsc::channel(4);
        orders.insert((printer.clone(), camera.clone()), CameraOrders { interval, pictures });
        tracker.spawn(forward_report(
            printer.clone(),
            camera.clone(),
            source.clone(),
            inputs.clone(),
            cancel.clone(),
        ));
        let task = CameraTask {
            printer,
            camera,
            source,
            scorer: scorer.clone(),
            scores: scores.clone(),
            gallery,
            bus: bus.clone(),
            annotate: parts.annotate.clone(),
            encode: parts.encode.clone(),
            evidence: parts.evidence.clone(),
            store: parts.store.clone(),
        };
        let its_orders = Orders { interval: interval_orders, pictures: picture_orders };
        tracker.spawn(task.run(its_orders, cancel.clone()));
    }
    let mut screens = BTreeMap::new();
    for (printer, link) in links.iter() {
        let (screen, messages) = mpsc::channel(screens::WAITING);
        screens.insert(printer.clone(), screen);
        let show = screens::run(printer.clone(), link.clone(), messages, cancel.clone());
        tracker.spawn(show);
        tracker.spawn(forward_status(
            printer.clone(),
            link.clone(),
            inputs.clone(),
            cancel.clone(),
        ));
    }
    tracker.spawn(keep_model(
        scorer.clone(),
        parts.model,
        parts.self_test_every,
        inputs.clone(),
        cancel.clone(),
    ));
    if let (Some(bus), Some((facts, auditor))) = (&bus, audited) {
        let (clock, inputs) = (parts.clock.clone(), inputs.clone());
        let health = Health { bus: bus.clone(), facts, auditor, clock, inputs };
        tracker.spawn(health.run(cancel.clone()));
    }
    let changed = Arc::new(Notify::new());
    let mut calls = parts.calls;
    if let Some(broker) = parts.own_broker {
        let (choices, chosen) = mpsc::channel(QUEUE);
        let (others, sifted) = mpsc::channel(QUEUE);
        let unsifted = std::mem::replace(&mut calls, sifted);
        let sift = enrolment::sift(unsifted, choices, others);
        let until = cancel.clone();
        tracker.spawn(async move { until.run_until_cancelled(sift).await.unwrap_or_default() });
        let desk = enrolment::FrontDesk {
            grants: parts.grants.subscribe(),
            store: parts.store.clone(),
            changed: changed.clone(),
            inputs: inputs.clone(),
            screens: screens.clone(),
            clock: parts.clock.clone(),
        };
        tracker.spawn(crate::mqtt::enrolment::run(broker, Arc::new(desk), chosen, cancel.clone()));
    }
    tracker.spawn(clients::follow(
        parts.store.clone(),
        parts.configured,
        parts.grants,
        inputs.clone(),
        changed,
        cancel.clone(),
    ));
    tracker.spawn(watchdog::run(
        parts.clock.clone(),
        heartbeat.clone(),
        scorer.clone(),
        cancel.clone(),
    ));

    if let Some(web) = parts.web {
        gallery::list(&links, &views, &web.url, &tracker);
        let draw = gallery::drawing(parts.annotate.clone());
        tracker.spawn(gallery::serve(web.listener, views, draw, cancel.clone()));
    }

    let act = {
        let actuator = actuator.clone();
        move |action| actuator.act(action)
    };
    let persisting =
        tokio::spawn(persist::run(durable_queue, parts.store.clone(), bus.clone(), act));
    let core_task = CoreTask {
        recorder: Recorder::new(parts.evidence.clone(), parts.setup.clone()),
        thinner: Thinner::default(),
        core: Core::new(parts.setup),
        clock: parts.clock.clone(),
        bus: bus.clone(),
        actuator,
        durable,
        cameras: orders,
        screens,
        heartbeat,
    };
    let sources = Sources { requests, calls, inputs: input_queue, scores: score_queue };
    let core = tokio::spawn(core_task.run(sources, cancel.clone()));
    drop((inputs, scores));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    cancel.cancelled().await;
    tracing::info!("shutting down");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracker.close();
    end(Named("the core", core)).await;
    if tokio::time::timeout(END_WITHIN, tracker.wait()).await.is_err() {
        tracing::error!(left = tracker.len(), "cameras or printers did not end in time");
    }
    end(Named("the store's queue", persisting)).await;
    gallery::withdraw(&links).await;
    if let Some(bus) = bus
        && tokio::time::timeout(END_WITHIN, bus.close()).await.is_err()
    {
        tracing::error!("the bus did not end in time: its last will says offline");
    }
}

async fn end(Named(name, mut task): Named) {
    if tokio::time::timeout(END_WITHIN, &mut task).await.is_err() {
        tracing::error!("{name} did not end in time and is aborted");
        task.abort();
    }
}

async fn forward_status(
    printer: Name,
    link: Arc<dyn PrinterLink>,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
) {
    let mut status = link.status();
    let forward = async {
        loop {
            let link = status.borrow_and_update().clone();
            let input = Input::Printer { printer: printer.clone(), link };
            if inputs.send(input).await.is_err() || status.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = cancel.run_until_cancelled(forward).await;
}

async fn forward_report(
    printer: Name,
    camera: Name,
    source: Arc<dyn FrameSource>,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
) {
    let mut report = source.report();
    let forward = async {
        loop {
            let input = Input::Source {
                printer: printer.clone(),
                camera: camera.clone(),
                report: report.borrow_and_update().clone(),
            };
            if inputs.send(input).await.is_err() || report.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = cancel.run_until_cancelled(forward).await;
}
