//! An incident: from the first suspicion to what became of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::detect::Level;
use super::types::{FrameScore, Name, ScoredBox};

/// How far an incident has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Evidence gathers.
    Suspect,
    /// People were told.
    Alert,
    /// The daemon acts unless somebody objects before the deadline.
    Veto {
        /// Deadline, monotonic ms.
        until_ms: u64,
        /// The same by the wall clock as it was then, Unix ms.
        until_unix_ms: i64,
    },
    /// The one action of this incident is under way or over.
    Acted,
}

/// What becomes of a print that the daemon paused, when people do not decide in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// It stays paused.
    #[default]
    Nothing,
    /// It is cancelled.
    Cancel,
}

/// What somebody thinks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// A failure.
    Confirm,
    /// None.
    Dismiss,
}

/// What is asked of people after the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Question {
    /// Not yet: the printer has not reported the pause.
    #[default]
    Unasked,
    /// What is to become of the paused print.
    Open {
        /// Deadline, monotonic ms.
        until_ms: u64,
        /// The same by the wall clock as it was then, Unix ms.
        until_unix_ms: i64,
    },
    /// The deadline has passed and the print stays paused: they may still decide.
    Lapsed,
    /// Nothing more: it is decided.
    Closed,
}

/// The open incident of a printer.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Unique over restarts.
    pub id: String,
    /// The camera that opened it.
    pub camera: Name,
    /// When, Unix ms.
    pub opened_unix_ms: i64,
    /// How far it has come.
    pub stage: Stage,
    /// Whether people have confirmed it.
    pub confirmed: bool,
    /// One vote a person, the last one counts.
    pub votes: BTreeMap<Name, Vote>,
    /// What is asked of people once the daemon has paused for it.
    pub question: Question,
    /// The one object whose footprint holds the evidence, where that can be told.
    pub object: Option<String>,
    /// Where, in the frame that moved it last.
    pub boxes: Vec<ScoredBox>,
    /// The score of that frame.
    pub score: f32,
    /// The worst frame of each camera that became suspicious, and what it counted.
    pub worst: BTreeMap<Name, (f32, FrameScore)>,
}

/// What the policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The detector's level.
    pub level: Level,
    /// Whether people let the daemon act by itself now: armed, not snoozed, an action chosen, the print not paused.
    pub may_act: bool,
    /// Whether it can: the link and Klipper are up, the print is running, nobody's own action is under way.
    pub can_act: bool,
    /// Whether people want quiet.
    pub snoozed: bool,
    /// Monotonic ms.
    pub now_ms: u64,
    /// The veto window, ms.
    pub veto_ms: u64,
}

/// What follows for the incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// It came to nothing.
    Clear,
    /// Tell people.
    Alert,
    /// Start the veto window.
    StartVeto {
        /// Its end, monotonic ms.
        until_ms: u64,
    },
    /// Evidence fell, or the daemon may no longer act: no veto window now.
    StopVeto,
    /// Act, once.
    Act,
}

impl Incident {
    /// What follows now. A pure function: the caller carries it out.
    pub fn step(&self, now: Circumstances) -> Step {
        match self.stage {
            Stage::Acted => Step::Stay,
            Stage::Veto { .. } if !now.may_act => Step::StopVeto,
            Stage::Veto { until_ms, .. } => {
                if !self.confirmed && now.level < Level::Alert {
                    Step::StopVeto
                } else if now.can_act && (self.confirmed || now.now_ms >= until_ms) {
                    Step::Act
                } else {
                    Step::Stay
                }
            }
            Stage::Alert if now.may_act && self.confirmed => {
                if now.can_act {
                    Step::Act
                } else {
                    Step::Stay
                }
            }
            Stage::Alert if now.may_act && now.can_act && now.level == Level::Act => {
                Step::StartVeto { until_ms: now.now_ms.saturating_add(now.veto_ms) }
            }
            Stage::Suspect if (self.confirmed || now.level >= Level::Alert) && !now.snoozed => {
                Step::Alert
            }
            Stage::Suspect | Stage::Alert if now.level == Level::Clear && !self.confirmed => {
                Step::Clear
            }
            Stage::Suspect | Stage::Alert => Step::Stay,
        }
    }

    /// Who voted so.
    pub fn voters(&self, vote: Vote) -> Vec<String> {
        self.votes.iter().filter(|(_, v)| **v == vote).map(|(name, _)| name.to_string()).collect()
    }
}
