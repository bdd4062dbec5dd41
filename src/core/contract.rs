//! What goes into the core and what comes out. A journal is the list of inputs with their times; the same journal gives
//! the same outputs, byte for byte.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::Audit;
use super::authz::{Grants, Principal};
use super::command::ActionChoice;
use super::detect::DetectSettings;
use super::detect::clutter::Clutter;
use super::document::{IncidentDocument, StateDocument};
use super::event::{Event, EventKind};
use super::geometry::BedView;
use super::incident::Unanswered;
use super::screen::ScreenMessage;
use super::types::{FrameScore, LinkStatus, ModelFacts, Name, PrinterAction, SourceReport};

/// Everything that is settled before the first input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Names this run of the daemon: event ids are unique across runs.
    pub boot: String,
    /// Every printer.
    pub printers: BTreeMap<Name, PrinterSetup>,
    /// Who may do what.
    pub grants: Grants,
    /// Ids of requests answered before, by client, oldest first.
    pub answered: BTreeMap<Name, Vec<String>>,
}

/// One printer's settings and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrinterSetup {
    /// Its cameras.
    pub cameras: Vec<Name>,
    /// How it is watched.
    pub watch: WatchSettings,
    /// How it is acted upon.
    pub act: ActSettings,
    /// What an earlier run left ([`Output::Remember`]).
    pub memory: Option<PrinterMemory>,
    /// What is known of each camera's view; a camera that is not listed counts as a whole and has taught nothing.
    #[serde(default)]
    pub views: BTreeMap<Name, ViewSetup>,
}

/// What is known of a camera's view.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewSetup {
    /// Outlines as fractions of the frame; outside all of them nothing counts. None: everything does.
    pub masks: Vec<Vec<[f64; 2]>>,
    /// Where the bed lies, as people marked it.
    pub bed: Option<BedView>,
    /// What earlier prints taught ([`Output::Learned`]).
    pub clutter: Option<Clutter>,
}

/// How a printer is watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WatchSettings {
    /// The rules.
    pub detect: DetectSettings,
    /// Time between scored frames while nothing is suspected, ms.
    pub clear_interval_ms: u64,
    /// Time between scored frames while something is, ms.
    pub suspect_interval_ms: u64,
    /// How long nothing may be seen of a print before people are told to look, ms.
    #[serde(default = "blind_alert_after_ms")]
    pub blind_alert_after_ms: u64,
}

fn blind_alert_after_ms() -> u64 {
    120_000
}

/// What is done when nothing has been seen of a print for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBlind {
    /// People are told.
    #[default]
    Nothing,
    /// The print is paused as well.
    Pause,
}

/// How a printer is acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActSettings {
    /// Whether the daemon acts by itself, until a command says otherwise.
    pub armed: bool,
    /// What it does.
    pub on_failure: ActionChoice,
    /// How long people may object before it does, ms.
    pub veto_ms: u64,
    /// How many people it takes to confirm or dismiss, at least 1.
    pub votes_needed: u32,
    /// What it does when people have confirmed; `None` is as `on_failure`.
    #[serde(default)]
    pub on_confirmed: Option<ActionChoice>,
    /// How long people may take to decide what becomes of a print that it paused, ms.
    #[serde(default)]
    pub answer_within_ms: u64,
    /// What becomes of it when they do not.
    #[serde(default)]
    pub if_unanswered: Unanswered,
    /// How long a print that it paused stays hot, ms; `None` leaves that to the printer.
    #[serde(default)]
    pub heaters_off_after_ms: Option<u64>,
    /// How long the printer may take to report the new state, ms.
    pub confirm_within_ms: u64,
    /// What it does when nothing has been seen of the print for too long.
    #[serde(default)]
    pub on_blind: OnBlind,
    /// How often an own action is tried, at least 1.
    pub attempts: u32,
}

/// What of a printer survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrinterMemory {
    /// The number of its last event.
    pub seq: u64,
    /// `arm`, `disarm`.
    pub armed: Option<bool>,
    /// `set action`.
    pub on_failure: Option<ActionChoice>,
    /// `set false_alarms_per_100h`.
    pub false_alarms_per_100h: Option<f64>,
    /// The Spaghetti Detective's lifetime means, by camera.
    pub lifetime: BTreeMap<Name, super::detect::tsd::RollingMean>,
    /// What came of alerts that nobody answered, by camera.
    #[serde(default)]
    pub habits: BTreeMap<Name, super::detect::patience::Habit>,
    /// Whether a prompt of ours stands on the printer's screens.
    #[serde(default)]
    pub prompt_open: bool,
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// A printer's status, or that there is none.
    Printer {
        /// Which.
        printer: Name,
        /// What is known of it.
        link: LinkStatus,
    },
    /// A frame was scored.
    Score {
        /// Of which printer.
        printer: Name,
        /// By which camera.
        camera: Name,
        /// When the frame was taken, on the monotonic clock.
        taken_ms: u64,
        /// What the model said.
        score: FrameScore,
    },
    /// A camera's own account changed.
    Source {
        /// Of which printer.
        printer: Name,
        /// Which camera.
        camera: Name,
        /// What it says.
        report: SourceReport,
    },
    /// The model was loaded, or could not be.
    Model {
        /// What the decision must know of it, or why there is none.
        model: Result<ModelFacts, String>,
    },
    /// The known failure picture went through the chain.
    SelfTest {
        /// Whether it fired.
        passed: bool,
        /// Its score.
        score: Option<f32>,
        /// For people.
        detail: String,
    },
    /// A request came in, its sender verified.
    Request {
        /// Who asks.
        principal: Principal,
        /// The topic's printer level.
        printer: String,
        /// The topic's command level.
        command: String,
        /// Whether the broker had retained it.
        retained: bool,
        /// Its body.
        payload: Vec<u8>,
    },
    /// A request came in, and who sent it could not be verified: it is refused and announced.
    Unverified {
        /// Who its topic says it is.
        claimed: Name,
        /// The topic's printer level.
        printer: String,
        /// The topic's command level.
        command: String,
        /// The request's id, where it could be read.
        id: Option<String>,
        /// What is missing or wrong.
        why: String,
    },
    /// The command plane opened or closed.
    CommandPlane {
        /// `None` is open; otherwise why it is closed.
        closed: Option<String>,
    },
    /// The broker was audited.
    Audited {
        /// What was found.
        audit: Audit,
    },
    /// An invitation was opened, came further, or ended.
    Enrolment {
        /// The printers that it is for; `None` is every one.
        printers: Option<std::collections::BTreeSet<Name>>,
        /// What to announce there.
        event: EventKind,
    },
    /// Who may do what has changed.
    Grants {
        /// Every client's grant from now on.
        grants: Grants,
    },
    /// Moonraker answered an action, or could not be asked.
    ActionAnswered {
        /// [`Action::id`].
        id: u64,
        /// Accepted, or why not.
        outcome: Result<(), String>,
    },
    /// A snapshot that was asked for was published, or could not be.
    SnapshotTaken {
        /// [`Output::Snapshot`]'s ticket.
        ticket: u64,
        /// Done, or why not.
        outcome: Result<(), String>,
    },
    /// Time passed.
    Tick,
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "snake_case")]
pub enum Output {
    /// Make durable and announce.
    Event {
        /// What.
        event: Event,
    },
    /// The printer's state document changed.
    State {
        /// Which printer.
        printer: Name,
        /// The document.
        document: Box<StateDocument>,
    },
    /// The open incident changed; `None` when it closed.
    Incident {
        /// Which printer.
        printer: Name,
        /// The document.
        document: Option<Box<IncidentDocument>>,
    },
    /// The printer's link came up or went down.
    Availability {
        /// Which printer.
        printer: Name,
        /// Up?
        online: bool,
    },
    /// Do something with the printer; answered by [`Input::ActionAnswered`].
    Action(Action),
    /// The one answer to a request.
    Reply(Reply),
    /// Keep in the log of what clients asked for.
    Decided(Decision),
    /// Keep for [`Setup::answered`]: this client has used this id.
    Answered {
        /// Whose.
        client: Name,
        /// Every id kept for this client, oldest first.
        ids: Vec<String>,
    },
    /// Keep for [`PrinterSetup::memory`].
    Remember {
        /// Whose.
        printer: Name,
        /// What.
        memory: PrinterMemory,
    },
    /// Keep for [`ViewSetup::clutter`].
    Learned {
        /// Of which printer.
        printer: Name,
        /// Which camera.
        camera: Name,
        /// What its view shows while prints are fine; `None` when that is to be forgotten.
        clutter: Option<Clutter>,
    },
    /// How often to score a camera's frames; `None` is not at all.
    Sampling {
        /// Of which printer.
        printer: Name,
        /// Which camera.
        camera: Name,
        /// Time between frames, ms.
        interval_ms: Option<u64>,
    },
    /// Publish and keep the annotated frame that raised the incident.
    FailureImage {
        /// Which printer.
        printer: Name,
        /// Which camera.
        camera: Name,
        /// The incident.
        incident: String,
    },
    /// Show something on the printer's own screens.
    Screen {
        /// Which printer.
        printer: Name,
        /// What.
        message: ScreenMessage,
    },
    /// Publish a fresh annotated picture; answered by [`Input::SnapshotTaken`].
    Snapshot {
        /// Which printer.
        printer: Name,
        /// Hand it back.
        ticket: u64,
    },
}

/// Something to be done by a printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Unique in this run.
    pub id: u64,
    /// By which printer.
    pub printer: Name,
    /// What.
    pub action: PrinterAction,
    /// Whether the daemon wants it by itself, rather than a client.
    pub by_policy: bool,
}

/// The one answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Who asked.
    pub client: Name,
    /// The topic's printer level, as it came.
    pub printer: String,
    /// The topic's command level, as it came.
    pub command: String,
    /// The answer's body.
    pub body: ReplyBody,
}

/// What became of a request, for the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When, Unix seconds with milliseconds.
    pub at: f64,
    /// Who asked.
    pub client: String,
    /// Whether that was verified.
    pub verified: bool,
    /// On which printer, as the topic had it.
    pub printer: String,
    /// For what, as the topic had it.
    pub command: String,
    /// The request's id; null where it could not be read.
    pub request: Option<String>,
    /// How it went.
    pub status: ReplyStatus,
    /// Why not.
    pub reason: Option<String>,
}

/// The body of an answer: `{id,status,reason?,data?}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyBody {
    /// The request's id; null where it could not be read.
    pub id: Option<String>,
    /// How it went.
    pub status: ReplyStatus,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl ReplyBody {
    /// A refusal, with its reason.
    pub fn refused(id: Option<String>, reason: String) -> Self {
        Self { id, status: ReplyStatus::Refused, reason: Some(reason), data: None }
    }
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyStatus {
    /// Done: for what moves the printer, the printer reports it.
    Ok,
    /// Not tried.
    Refused,
    /// Tried, and not seen to happen.
    Failed,
}
