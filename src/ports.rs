//! The seams: what the application needs of the outside, as traits. Adapters implement them, `app` wires them,
//! tests replace them with peers that misbehave.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::core::audit::Audit;
use crate::core::authz::{Grant, Principal};
use crate::core::contract::Decision;
use crate::core::event::{Event, EventKind};
use crate::core::screen::ScreenMessage;
use crate::core::types::{
    FrameScore, LinkStatus, ModelFacts, Name, Now, PrinterAction, SourceReport,
};

/// A decoded picture: 8-bit RGB, rows packed without padding, already rotated and flipped.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
    /// When it arrived from the camera.
    pub taken_at: Now,
    /// Counts the frames that the camera delivered, decoded or not; never decreases while the camera is open.
    pub sequence: u64,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}x{} #{})", self.width, self.height, self.sequence)
    }
}

/// A frame and what the model said of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The frame.
    pub frame: Arc<Frame>,
    /// Its score.
    pub score: FrameScore,
    /// What stands below it when it is shown.
    pub caption: String,
}

/// No frame can be had now; [`SourceReport`] says why at length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoFrame(pub String);

/// A camera. It keeps itself open while frames are asked for, and reconnects by itself.
pub trait FrameSource: Send + Sync {
    /// The newest frame that arrives after the call, decoded. Frames nobody asks for are not decoded and never queue.
    /// Fails within a few seconds when none arrives.
    fn capture(&self) -> BoxFuture<'_, Result<Frame, NoFrame>>;

    /// Asks for frames (`true`) or lets the camera rest (`false`): a resting camera costs nothing and reads `Idle`.
    fn set_wanted(&self, wanted: bool);

    /// How well it sees; changes are seen at once, the latest wins.
    fn report(&self) -> watch::Receiver<SourceReport>;
}

/// Why a frame could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoScore(pub String);

/// A loaded model. One thread behind it owns the session.
pub trait Scorer: Send + Sync {
    /// Scores one frame through the whole chain: preprocess, session, postprocess.
    fn score(&self, frame: Arc<Frame>) -> BoxFuture<'_, Result<FrameScore, NoScore>>;

    /// What the decision must know of the model.
    fn facts(&self) -> ModelFacts;
}

/// Why an action was not accepted by the printer. Accepted is not done: done is what the status reports afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ActionRefused(pub String);

/// Why a message did not come to the printer's screens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotShown(pub String);

/// Why Moonraker does not list our cameras as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotListed(pub String);

/// A printer behind Moonraker. It reconnects by itself.
pub trait PrinterLink: Send + Sync {
    /// The merged status; the latest wins.
    fn status(&self) -> watch::Receiver<LinkStatus>;

    /// Sends an action. `Ok` when Moonraker accepted it (its RPC returned), which is not yet success.
    fn act(&self, action: PrinterAction) -> BoxFuture<'_, Result<(), ActionRefused>>;

    /// Shows a message on the printer's own screens. `Ok` when the printer has passed it on; while it runs a long command,
    /// such as heating, that takes as long. Fails where the printer's configuration does not include
    /// `klipper/strandwatch.cfg`: so it is its owner who wants to be told there.
    fn show(&self, message: ScreenMessage) -> BoxFuture<'_, Result<(), NotShown>>;

    /// Lists these as cameras of ours in Moonraker, now and after every connection, and no others of ours; none takes all
    /// of them out. `Ok` when Moonraker has done so.
    fn list_own(&self, webcams: Vec<OwnWebcam>) -> BoxFuture<'_, Result<(), NotListed>>;

    /// Moonraker's cameras, `server.webcams.list`, without our own; re-read on `notify_webcams_changed`.
    fn webcams(&self) -> watch::Receiver<Vec<Webcam>>;
}

/// A camera of ours, to be listed by Moonraker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWebcam {
    /// Which of the printer's cameras it shows.
    pub camera: Name,
    /// JPEG after JPEG: absolute, or a path of the host's web server.
    pub stream_url: String,
    /// One JPEG.
    pub snapshot_url: String,
}

/// A camera as Moonraker lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webcam {
    /// Moonraker's stable key.
    pub uid: String,
    /// The name people gave it.
    pub name: String,
    /// Such as `mjpegstreamer` or `webrtc-go2rtc`.
    pub service: String,
    /// Whether people turned it on.
    pub enabled: bool,
    /// Absolute (a relative one has been resolved against the host's port 80); empty when there is none.
    pub stream_url: String,
    /// Absolute, or empty.
    pub snapshot_url: String,
    /// Mirror left and right.
    pub flip_horizontal: bool,
    /// Mirror top and bottom.
    pub flip_vertical: bool,
    /// Clockwise degrees: 0, 90, 180 or 270.
    pub rotation: u16,
}

/// A message to be published under the daemon's base topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Publication {
    /// `<base>/health`, retained; the latest wins.
    Health(serde_json::Value),
    /// `<base>/<printer>/availability`, retained.
    Availability {
        /// Which printer.
        printer: Name,
        /// Whether its link is up.
        online: bool,
    },
    /// `<base>/<printer>/state`, retained; the latest wins.
    State {
        /// Which printer.
        printer: Name,
        /// The whole document.
        document: serde_json::Value,
    },
    /// `<base>/<printer>/incident`, retained; `None` clears it.
    Incident {
        /// Which printer.
        printer: Name,
        /// The open incident.
        document: Option<serde_json::Value>,
    },
    /// `<base>/<printer>/image/failure`, retained JPEG.
    FailureImage {
        /// Which printer.
        printer: Name,
        /// The annotated frame.
        jpeg: Vec<u8>,
    },
    /// `<base>/<printer>/image/preview`, QoS 0 JPEG.
    PreviewImage {
        /// Which printer.
        printer: Name,
        /// The annotated frame.
        jpeg: Vec<u8>,
    },
    /// The one answer to a request.
    Response {
        /// Who asked.
        client: Name,
        /// The printer as the request's topic had it.
        printer: String,
        /// The command as the request's topic had it.
        command: String,
        /// `{id,status,reason?,data?}`.
        body: serde_json::Value,
    },
}

/// Somebody whose identity could not be verified. Nothing makes a [`Principal`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// Who the topic says it is.
    pub claimed: Name,
    /// What is missing or wrong.
    pub why: String,
}

/// A request as it came off the bus or from a printer's own macros, its content not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRequest {
    /// Who sent it, known by a verified credential; or why that is not known.
    pub sender: Result<Principal, Unverified>,
    /// The topic's printer level, not yet checked; of a macro, the printer that ran it.
    pub printer: String,
    /// The topic's command level, or the macro's word for it, not yet checked.
    pub command: String,
    /// Whether the broker marked it retained.
    pub retained: bool,
    /// The body without its signature, at most a few KiB.
    pub payload: Vec<u8>,
}

/// The message bus. It reconnects and resubscribes by itself. Events do not pass here: the bus takes them from the
/// [`Store`]'s outbox, oldest first, and marks each delivered when the broker has acknowledged it.
pub trait Bus: Send + Sync {
    /// Publishes; never blocks. Documents are kept by topic, latest wins, until the bus is up; responses wait in a
    /// bounded queue, the oldest dropped and logged when it is full.
    fn publish(&self, publication: Publication);

    /// Publishes a retained document on a whole topic outside the base, or clears it, and again after each reconnection.
    /// Done when the broker has taken it, however long that takes; dropping the future changes nothing.
    fn announce(&self, topic: String, document: Option<serde_json::Value>) -> BoxFuture<'_, ()>;

    /// How often Home Assistant has said that it started.
    fn births(&self) -> watch::Receiver<u64>;

    /// Tells the bus that the outbox has grown.
    fn outbox_grew(&self);

    /// Whether the broker is connected, and if not, why.
    fn link(&self) -> watch::Receiver<BusLink>;

    /// Publishes what is pending and a retained `offline`, then disconnects, within a second or two.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The bus's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusLink {
    /// Connected and subscribed.
    Up,
    /// Not connected.
    Down {
        /// What was tried, on which broker, what to do.
        why: String,
    },
}

/// Where newcomers become clients: what the desk that hears them needs of the application.
pub trait Reception: Send + Sync {
    /// Whether a newcomer may have this name, or why not.
    fn is_free(&self, name: &Name) -> Result<(), String>;

    /// Makes it a client with these rights; from now on it may ask.
    fn admit(&self, name: &Name, grant: &Grant) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// Takes that back.
    fn forget(&self, name: &Name) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// Announces an event on these printers; `None` is every one.
    fn announce(&self, printers: Option<&BTreeSet<Name>>, event: EventKind);

    /// Shows something on these printers' own screens; `None` is every one.
    fn show(&self, printers: Option<&BTreeSet<Name>>, message: ScreenMessage);
}

/// How the broker of our own is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerHealth {
    /// Being started for the first time.
    Starting,
    /// It runs.
    Up {
        /// How often it had to be started again.
        restarts: u32,
    },
    /// It does not run; it is started again after a while.
    Down {
        /// Why, and what to do.
        why: String,
    },
}

/// Tries with real connections whether the broker keeps clients apart.
pub trait BrokerAudit: Send + Sync {
    /// One audit, within a minute at most. What cannot be tried is found unproven.
    fn audit(&self) -> BoxFuture<'_, Audit>;
}

/// Requests reach the application through this channel; when it is full the bus answers `refused: busy` itself.
pub type Requests = mpsc::Receiver<IncomingRequest>;

/// Why the store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);

/// What must survive a restart. All calls are served by one blocking thread, in order.
pub trait Store: Send + Sync {
    /// Makes an event durable, and so due for delivery. Returns once it is on disk.
    fn append_event(&self, event: Event) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// The oldest events not yet delivered, at most `limit`, in the order of appending, with the key to [`Store::delivered`].
    fn undelivered(&self, limit: usize) -> BoxFuture<'_, Result<Vec<(i64, Event)>, StoreFault>>;

    /// Marks an event delivered.
    fn delivered(&self, key: i64) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// Adds to the log of what clients asked for, from which the oldest go when it is long.
    fn log_decision(&self, decision: Decision) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// The newest of that log, newest first, at most `limit`; of one client if `client` is given.
    fn decisions(
        &self,
        client: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Decision>, StoreFault>>;

    /// Writes a small document under a key, replacing what was there.
    fn put(&self, key: String, value: serde_json::Value) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// Every document whose key starts with `prefix`, by key.
    fn list(
        &self,
        prefix: String,
    ) -> BoxFuture<'_, Result<Vec<(String, serde_json::Value)>, StoreFault>>;

    /// Forgets a document; no error when there was none.
    fn remove(&self, key: String) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// A number that changes when another process has written to the store.
    fn version(&self) -> BoxFuture<'_, Result<i64, StoreFault>>;
}

/// Both clocks.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Now;
}
