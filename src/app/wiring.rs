//! From the checked configuration to a running daemon: the only place that names adapters.

mod bus;
pub mod home_assistant;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients;
use super::clock::SystemClock;
use super::daemon::{BusParts, Parts, Web};
use super::evidence::Evidence;
use super::onnx::{OnnxLoader, annotator};
use super::persist::{keys, learned, remembered};
use super::webcams::{ListedCamera, OpenWebcam};
use crate::config::{self, CameraSource, Checked};
use crate::core::authz::Grants;
use crate::core::contract::{ActSettings, PrinterSetup, Setup, ViewSetup, WatchSettings};
use crate::core::detect::consecutive::ConsecutiveSettings;
use crate::core::detect::{DetectSettings, Rule};
use crate::core::types::Name;
use crate::mqtt::managed::MosquittoError;
use crate::ports::{Clock, FrameSource, PrinterLink};
use crate::store::{OUTBOX_LIMIT, SqliteStore};
use crate::vision::ModelOptions;
use crate::vision::annotate::frame_jpeg;
use crate::{camera, moonraker, web};

pub use bus::{access, auditor, bus_setup, managed_settings};

/// Why the daemon cannot start: everything else becomes health instead.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The store cannot be had.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The store is there and cannot be read.
    #[error("the store cannot be read: {0}")]
    Unreadable(#[from] crate::ports::StoreFault),
    /// The address for pictures cannot be had.
    #[error(transparent)]
    Web(#[from] web::WebError),
    /// A camera's address makes no sense.
    #[error("printer {printer}, camera {camera}: {why}")]
    Camera {
        /// Which printer.
        printer: Name,
        /// Which camera.
        camera: Name,
        /// What is wrong.
        why: String,
    },
    /// The broker's settings make no sense.
    #[error("{0}")]
    Broker(String),
    /// The folder of our own broker cannot be had.
    #[error(transparent)]
    OwnBroker(#[from] MosquittoError),
}

/// A daemon that is wired but not started, and what ends after it.
pub struct Wired {
    /// For [`super::daemon::run`].
    pub parts: Parts,
    store: Arc<SqliteStore>,
    links: CancellationToken,
    link_tasks: TaskTracker,
}

impl Wired {
    /// Runs the daemon until `cancel`, then ends the adapters' own tasks and flushes the store.
    pub async fn run(self, cancel: CancellationToken) {
        super::daemon::run(self.parts, cancel).await;
        self.links.cancel();
        self.link_tasks.close();
        let within = Duration::from_secs(1);
        if tokio::time::timeout(within, self.link_tasks.wait()).await.is_err() {
            tracing::error!(left = self.link_tasks.len(), "links did not end in time");
        }
        if tokio::time::timeout(within, self.store.close()).await.is_err() {
            tracing::error!("the store did not close in time; what it confirmed is on disk");
        }
    }
}

/// Wires a daemon from its configuration. Nothing is contacted before it runs, but links begin to connect.
pub async fn wire(config: &Checked) -> Result<Wired, WiringError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = SqliteStore::open(&config.store.path, OUTBOX_LIMIT)?;
    let links_token = CancellationToken::new();
    let link_tasks = TaskTracker::new();
    let grants = watch::Sender::new(clients::current(store.as_ref(), &config.grants).await?);
    let setup = core_setup(config, store.as_ref(), grants.borrow().clone()).await?;

    let mut links: BTreeMap<Name, Arc<dyn PrinterLink>> = BTreeMap::new();
    let mut cameras: BTreeMap<(Name, Name), Arc<dyn FrameSource>> = BTreeMap::new();
    let (requests, calls) = mpsc::channel(CALLS);
    for printer in &config.printers {
        let mut reach = link_setup(printer);
        reach.requests = Some(requests.clone());
        let link: Arc<dyn PrinterLink> =
            moonraker::Link::spawn(reach, links_token.clone(), &link_tasks);
        for camera in &printer.cameras {
            let source = open_camera(printer, camera, &link, &clock, &links_token, &link_tasks)?;
            cameras.insert((printer.name.clone(), camera.name.clone()), source);
        }
        links.insert(printer.name.clone(), link);
    }
    let bus = match &config.mqtt {
        Some(mqtt) => {
            let grants = grants.subscribe();
            Some(bus::connect(config, mqtt, grants, &store, &links_token, &link_tasks)?)
        }
        None => None,
    };
    if let (Some(BusParts { bus, .. }), Some(mqtt)) = (&bus, &config.mqtt) {
        let base = bus_setup(config, mqtt)?.base;
        let tell =
            home_assistant::tell(config, base, grants.subscribe(), bus, &store, &links_token);
        link_tasks.spawn(tell);
    }
    let model = Arc::new(OnnxLoader::new(model_options(config)));
    let annotate = annotator(model.clone());
    let web = match &config.web {
        Some(web) => Some(Web { listener: web::listen(web.listen)?, url: web.url.clone() }),
        None => None,
    };
    let parts = Parts {
        setup,
        clock,
        links,
        calls,
        cameras,
        model,
        self_test_every: config.watch.self_test_every,
        annotate,
        encode: Arc::new(|frame| frame_jpeg(frame).map_err(|error| error.to_string())),
        bus,
        store: store.clone(),
        configured: config.grants.clone(),
        grants,
        own_broker: match &config.mqtt {
            Some(mqtt) => managed_settings(config, mqtt)?,
            None => None,
        },
        evidence: Evidence::new(config.store.evidence.clone(), config.store.evidence_quota),
        web,
    };
    Ok(Wired { parts, store, links: links_token, link_tasks })
}

/// Which model to load, from where, with how many threads.
pub fn model_options(config: &Checked) -> ModelOptions {
    ModelOptions {
        models: config.watch.models.clone(),
        name: config.watch.model.clone(),
        library: config.watch.onnxruntime.clone(),
        threads: config.watch.threads as usize,
    }
}

/// Calls of macros that may wait for the core.
const CALLS: usize = 16;

/// How to reach a printer's Moonraker.
pub fn link_setup(printer: &config::Printer) -> moonraker::Setup {
    moonraker::Setup {
        printer: printer.name.clone(),
        endpoint: match &printer.moonraker {
            config::Endpoint::Websocket(url) => moonraker::Endpoint::Websocket { url: url.clone() },
            config::Endpoint::Unix(path) => moonraker::Endpoint::Unix { path: path.clone() },
        },
        api_key: printer.api_key.clone(),
        timing: moonraker::Timing::default(),
        requests: None,
    }
}

/// How printers are watched and acted upon by this configuration.
pub fn judgement(config: &Checked) -> (WatchSettings, ActSettings) {
    let (rule, tsd_sensitivity) = match config.watch.rule {
        config::Rule::Evidence => (Rule::Evidence, 1.0),
        config::Rule::Tsd { sensitivity } => (Rule::Tsd, sensitivity),
    };
    let watch = WatchSettings {
        detect: DetectSettings {
            rule,
            correlation_ms: millis(config.watch.correlation_time),
            act_false_alarms_per_100h: config.watch.false_alarms_per_100h,
            alert_false_alarms_per_100h: config.watch.alert_false_alarms_per_100h,
            tsd_sensitivity,
            consecutive: ConsecutiveSettings::default(),
        },
        clear_interval_ms: millis(config.watch.clear_interval),
        suspect_interval_ms: millis(config.watch.suspect_interval),
        blind_alert_after_ms: millis(config.watch.blind_alert_after),
    };
    let act = ActSettings {
        armed: config.act.armed,
        on_failure: config.act.on_failure,
        on_blind: config.act.on_blind,
        veto_ms: millis(config.act.veto),
        votes_needed: config.act.votes_needed,
        on_confirmed: config.act.on_confirmed,
        answer_within_ms: millis(config.act.answer_within),
        if_unanswered: config.act.if_unanswered,
        heaters_off_after_ms: config.act.heaters_off_after.map(millis),
        confirm_within_ms: millis(config.act.confirm_within),
        attempts: config.act.attempts,
    };
    (watch, act)
}

async fn core_setup(
    config: &Checked,
    store: &SqliteStore,
    grants: Grants,
) -> Result<Setup, WiringError> {
    let (watch, act) = judgement(config);
    let mut printers = BTreeMap::new();
    for printer in &config.printers {
        let memory = remembered(store, &keys::memory(&printer.name)).await?;
        let cameras = printer.cameras.iter().map(|camera| camera.name.clone()).collect();
        let mut views = BTreeMap::new();
        for camera in &printer.cameras {
            let clutter = learned(store, &printer.name, &camera.name).await?;
            let (masks, bed) = (camera.masks.clone(), camera.bed);
            views.insert(camera.name.clone(), ViewSetup { masks, bed, clutter });
        }
        printers.insert(printer.name.clone(), PrinterSetup { cameras, watch, act, memory, views });
    }
    let mut answered = BTreeMap::new();
    for client in grants.0.keys() {
        if let Some(ids) = remembered(store, &keys::answered(client)).await? {
            answered.insert(client.clone(), ids);
        }
    }
    let boot = format!("{:08x}", rand::random::<u32>());
    Ok(Setup { boot, printers, grants, answered })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A camera that sends nothing for so long has stalled: slow webcams send a frame every few seconds.
const STALL_AFTER: Duration = Duration::from_secs(10);

fn camera_setup(
    printer: &Name,
    camera: &config::Camera,
    kind: camera::SourceKind,
    listed: Option<&crate::ports::Webcam>,
) -> camera::Setup {
    let degrees = camera.rotate.or(listed.map(|webcam| webcam.rotation)).unwrap_or(0);
    camera::Setup {
        rotate: camera::Rotation::from_degrees(degrees).unwrap_or_default(),
        flip_horizontal: camera
            .flip_horizontal
            .or(listed.map(|webcam| webcam.flip_horizontal))
            .unwrap_or(false),
        flip_vertical: camera
            .flip_vertical
            .or(listed.map(|webcam| webcam.flip_vertical))
            .unwrap_or(false),
        printer: printer.clone(),
        name: camera.name.clone(),
        kind,
        stall_after: STALL_AFTER,
    }
}

/// Opens a camera of the configuration.
pub fn open_camera(
    printer: &config::Printer,
    camera: &config::Camera,
    link: &Arc<dyn PrinterLink>,
    clock: &Arc<dyn Clock>,
    cancel: &CancellationToken,
    tracker: &TaskTracker,
) -> Result<Arc<dyn FrameSource>, WiringError> {
    let fault = |why: String| WiringError::Camera {
        printer: printer.name.clone(),
        camera: camera.name.clone(),
        why,
    };
    let kind = match &camera.source {
        CameraSource::Moonraker { webcam, kind } => {
            let listed = ListedCamera::new();
            let open = opener(printer.name.clone(), camera.clone(), *kind, clock, cancel);
            let list = link.webcams();
            let follow = listed.clone().follow(webcam.clone(), list, open, cancel.child_token());
            tracker.spawn(follow);
            return Ok(listed);
        }
        CameraSource::Url { url, kind, login } => {
            address_kind(&with_login(url, login.as_ref()), *kind).map_err(fault)?
        }
        CameraSource::Device(device) => camera::SourceKind::V4l2 { device: device.clone() },
        CameraSource::Files(path) => camera::SourceKind::Files { path: path.clone() },
    };
    let setup = camera_setup(&printer.name, camera, kind, None);
    open_source(setup, clock, cancel).map_err(fault)
}

fn open_source(
    setup: camera::Setup,
    clock: &Arc<dyn Clock>,
    cancel: &CancellationToken,
) -> Result<Arc<dyn FrameSource>, String> {
    match camera::open(setup, clock.clone(), cancel) {
        Ok(camera) => Ok(camera),
        Err(error) => Err(error.to_string()),
    }
}

fn opener(
    printer: Name,
    camera: config::Camera,
    kind: Option<config::UrlKind>,
    clock: &Arc<dyn Clock>,
    cancel: &CancellationToken,
) -> OpenWebcam {
    let (clock, cancel) = (clock.clone(), cancel.clone());
    Box::new(move |webcam| {
        let kind = listed_kind(webcam, kind)?;
        open_source(camera_setup(&printer, &camera, kind, Some(webcam)), &clock, &cancel)
    })
}

/// How a webcam of Moonraker's list is read: as the config says, else as its service does.
fn listed_kind(
    webcam: &crate::ports::Webcam,
    kind: Option<config::UrlKind>,
) -> Result<camera::SourceKind, String> {
    match kind {
        Some(kind) => address_kind(&webcam.stream_url, kind),
        None => camera::SourceKind::of_webcam(webcam).map_err(|error| error.to_string()),
    }
}

fn address_kind(url: &str, kind: config::UrlKind) -> Result<camera::SourceKind, String> {
    let url = camera::Address::parse(url).map_err(|error| error.to_string())?;
    Ok(match kind {
        config::UrlKind::Mjpeg => camera::SourceKind::Mjpeg { url },
        config::UrlKind::Snapshot => camera::SourceKind::Snapshot { url },
        config::UrlKind::Rtsp => camera::SourceKind::Rtsp { url },
        config::UrlKind::Hls => camera::SourceKind::Hls { url },
    })
}

fn with_login(url: &str, login: Option<&config::Login>) -> String {
    match (login, url.split_once("://")) {
        (Some(login), Some((scheme, rest))) => {
            let password = login.password.as_ref().map_or("", |password| password.expose_secret());
            let (user, password) = (escaped(&login.username), escaped(password));
            format!("{scheme}://{user}:{password}@{rest}")
        }
        (_, _) => url.to_owned(),
    }
}

/// Percent-encoding as RFC 3986 section 2.1 has it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
