//! Events: what is announced once, durably, and delivered at least once. The JSON schema under `config/` is derived
//! from these types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::SourceFault;

/// The version of the event contract; grows when a field changes its meaning or goes.
pub const EVENT_SCHEMA: u32 = 1;

/// One event, as it stands on `<base>/<printer>/event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// Unique over restarts: receivers drop what they have seen.
    pub id: String,
    /// Counts this printer's events, over restarts.
    pub seq: u64,
    /// Unix time, seconds with milliseconds.
    pub at: f64,
    /// The printer's name.
    pub printer: String,
    /// The job it belongs to, if any.
    pub job: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened, with its own fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename_all = "snake_case")]
pub enum EventKind {
    /// Frames are scored and can be trusted.
    Watching,
    /// Frames are scored, but something limits what can be seen.
    Degraded {
        /// What limits it.
        fault: Option<SourceFault>,
        /// For people.
        why: String,
    },
    /// A print is running and nothing is seen of it: said at once, and once more when it lasts.
    Blind {
        /// What is wrong.
        fault: Option<SourceFault>,
        /// For people.
        why: String,
        /// Seconds that it has lasted, when people should look; null when it begins.
        #[serde(default)]
        for_s: Option<f64>,
    },
    /// Evidence began to gather.
    Suspect {
        /// The incident it opens.
        incident: String,
        /// The camera that sees it.
        camera: String,
        /// The frame's score, 0..1.
        score: f32,
        /// Evidence as a fraction of what acting needs.
        evidence: f32,
    },
    /// People should look.
    Alert {
        /// The incident.
        incident: String,
        /// The camera that sees it.
        camera: String,
        /// The frame's score, 0..1.
        score: f32,
        /// Evidence as a fraction of what acting needs.
        evidence: f32,
        /// Where in the frame: `[x0, y0, x1, y1, p]` as fractions.
        boxes: Vec<[f32; 5]>,
    },
    /// The daemon acts by itself.
    Acting {
        /// The incident.
        incident: String,
        /// `pause`, `cancel`, `exclude_object` or `turn_off_heaters`.
        action: String,
        /// From 1.
        attempt: u32,
    },
    /// The printer reports the print paused.
    Paused {
        /// The incident, when the daemon paused for one.
        incident: Option<String>,
        /// `strandwatch`, a client's name, or `printer` when nobody here asked for it.
        by: String,
        /// Seconds until `idle_timeout` turns the heaters off, where known.
        idle_timeout_s: Option<f64>,
    },
    /// The printer reports the print cancelled.
    Cancelled {
        /// The incident, when the daemon cancelled for one.
        incident: Option<String>,
        /// `strandwatch`, a client's name, or `printer`.
        by: String,
    },
    /// An action was tried and the printer did not report the new state.
    ActFailed {
        /// The incident, when the daemon acted for one.
        incident: Option<String>,
        /// Which action.
        action: String,
        /// How often it was tried.
        attempts: u32,
        /// What the printer said.
        reason: String,
    },
    /// People said it is fine.
    Dismissed {
        /// The incident.
        incident: String,
        /// Whose votes.
        by: Vec<String>,
    },
    /// People said it is a failure.
    Confirmed {
        /// The incident.
        incident: String,
        /// Whose votes.
        by: Vec<String>,
    },
    /// Evidence went away by itself (what people say of an alert still counts until the print or another alert), or the print ended.
    Cleared {
        /// The incident.
        incident: String,
        /// Why.
        why: String,
    },
    /// A job began.
    PrintStarted {
        /// The file.
        filename: Option<String>,
    },
    /// A job ended.
    PrintEnded {
        /// `complete`, `cancelled`, `error` or `unknown`.
        outcome: String,
        /// Seconds since it began.
        duration_s: f64,
    },
    /// A request was refused.
    CommandRefused {
        /// Who asked.
        client: String,
        /// For what.
        command: String,
        /// Why not.
        reason: String,
    },
    /// The audit of the broker found something else than the last.
    BrokerAudit {
        /// What does not hold, each with what to do; empty when all is well again.
        problems: Vec<String>,
    },
    /// Somebody is invited, comes, and gets a credential or none.
    Enrolment {
        /// The invitation's label.
        invitation: String,
        /// How far it is.
        step: EnrolmentStep,
        /// The newcomer's name, once it has come.
        client: Option<String>,
        /// Why it ended without a credential.
        why: Option<String>,
    },
    /// The known failure picture went through the chain.
    SelfTest {
        /// Whether it fired.
        passed: bool,
        /// Its score, 0..1.
        score: Option<f32>,
        /// For people.
        detail: String,
    },
}

/// How far an invitation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentStep {
    /// It is open.
    Invited,
    /// A newcomer knows the code; the owner is to compare the numbers.
    Presented,
    /// The owner confirmed, and the credential went over.
    Admitted,
    /// It is gone: refused, expired, or something was wrong.
    Burned,
}

impl EventKind {
    /// The value of `event_type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Degraded { .. } => "degraded",
            Self::Blind { .. } => "blind",
            Self::Suspect { .. } => "suspect",
            Self::Alert { .. } => "alert",
            Self::Acting { .. } => "acting",
            Self::Paused { .. } => "paused",
            Self::Cancelled { .. } => "cancelled",
            Self::ActFailed { .. } => "act_failed",
            Self::Dismissed { .. } => "dismissed",
            Self::Confirmed { .. } => "confirmed",
            Self::Cleared { .. } => "cleared",
            Self::PrintStarted { .. } => "print_started",
            Self::PrintEnded { .. } => "print_ended",
            Self::CommandRefused { .. } => "command_refused",
            Self::BrokerAudit { .. } => "broker_audit",
            Self::Enrolment { .. } => "enrolment",
            Self::SelfTest { .. } => "self_test",
        }
    }
}
