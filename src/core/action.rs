//! Actions under way: done is what the printer *reports*, not what it accepted.

use serde::{Deserialize, Serialize};

use super::types::{KlippyState, Name, PrintState, PrinterAction, PrinterStatus};

/// Who wanted an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The daemon, for an incident.
    Policy {
        /// The incident.
        incident: String,
    },
    /// A client's request, whose answer is due.
    Client {
        /// Who.
        client: Name,
        /// The request's id.
        request: String,
        /// The request's command, as its topic had it.
        command: String,
    },
}

impl Origin {
    /// For events: `strandwatch` or the client's name.
    pub fn by(&self) -> String {
        match self {
            Self::Policy { .. } => "strandwatch".to_owned(),
            Self::Client { client, .. } => client.to_string(),
        }
    }

    /// The incident it is for, if any.
    pub fn incident(&self) -> Option<String> {
        match self {
            Self::Policy { incident } => Some(incident.clone()),
            Self::Client { .. } => None,
        }
    }
}

/// Where an action stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Sent; the printer must report the new state by the deadline.
    Sent {
        /// Deadline, monotonic ms.
        until_ms: u64,
    },
    /// Failed for now; tried again at this time.
    Waiting {
        /// Monotonic ms.
        until_ms: u64,
    },
}

/// An action whose effect is not reported yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The id of the last attempt.
    pub id: u64,
    /// What.
    pub action: PrinterAction,
    /// Who wanted it.
    pub origin: Origin,
    /// Attempts made.
    pub attempts: u32,
    /// Where it stands.
    pub standing: Standing,
    /// What the last failure was.
    pub last_failure: Option<String>,
    /// Sent, but people called it off since: not repeated, and nothing is owed if it fails.
    pub called_off: bool,
}

impl Pending {
    /// When something is due.
    pub fn deadline_ms(&self) -> u64 {
        match self.standing {
            Standing::Sent { until_ms } | Standing::Waiting { until_ms } => until_ms,
        }
    }
}

/// Whether `status` shows the action done. Only Klipper itself can say so: while it starts, its objects read as defaults.
pub fn is_reported(action: &PrinterAction, status: &PrinterStatus) -> bool {
    if status.klippy != KlippyState::Ready {
        return false;
    }
    match action {
        PrinterAction::Pause => status.print == PrintState::Paused,
        PrinterAction::Resume => status.print == PrintState::Printing,
        PrinterAction::Cancel => !status.print.is_active(),
        PrinterAction::ExcludeObject { object } => {
            status.objects.as_ref().is_some_and(|objects| objects.excluded.contains(object))
        }
        PrinterAction::TurnOffHeaters => {
            [status.extruder, status.bed].iter().flatten().all(|heater| heater.target <= 0.0)
        }
    }
}

/// Whether the action makes sense now; the error says why not.
pub fn is_possible(action: &PrinterAction, status: &PrinterStatus) -> Result<(), String> {
    let state = status.print;
    if status.klippy != KlippyState::Ready {
        return Err("Klipper is not ready".to_owned());
    }
    match action {
        PrinterAction::Pause if state != PrintState::Printing => {
            Err(format!("nothing to pause: the print is {}", describe(state)))
        }
        PrinterAction::Resume if state != PrintState::Paused => {
            Err(format!("nothing to resume: the print is {}", describe(state)))
        }
        PrinterAction::Cancel if !state.is_active() => {
            Err(format!("nothing to cancel: the print is {}", describe(state)))
        }
        PrinterAction::TurnOffHeaters if state != PrintState::Paused => {
            Err(format!("the heaters stay on: the print is {}", describe(state)))
        }
        PrinterAction::ExcludeObject { object } => {
            let Some(objects) = status.objects.as_ref().filter(|_| state.is_active()) else {
                return Err("no print with labelled objects is running".to_owned());
            };
            if objects.excluded.contains(object) {
                Err(format!("object {object:?} is excluded already"))
            } else if objects.known.iter().any(|known| known.name == *object) {
                Ok(())
            } else {
                let known: Vec<&str> = objects.known.iter().map(|o| o.name.as_str()).collect();
                Err(format!("no object {object:?} in this print; there are: {}", known.join(", ")))
            }
        }
        PrinterAction::Pause
        | PrinterAction::Resume
        | PrinterAction::Cancel
        | PrinterAction::TurnOffHeaters => Ok(()),
    }
}

/// A print state in words.
pub fn describe(state: PrintState) -> &'static str {
    match state {
        PrintState::Standby => "not started",
        PrintState::Printing => "running",
        PrintState::Paused => "paused",
        PrintState::Complete => "complete",
        PrintState::Error => "ended with an error",
        PrintState::Cancelled => "cancelled",
    }
}
