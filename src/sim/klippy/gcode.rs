//! The few commands of G-code that the simulated printer knows.

use super::machine::Machine;
use super::print::Print;
use super::{Pausing, Refused};
use crate::core::types::KlippyState;

/// Lines of G-code that are remembered.
const LOG_LINES: usize = 1000;

/// A macro whose effect shows when its delay has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    Pause,
    Resume,
    Cancel,
}

/// What a line of G-code leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// It takes a while.
    Runs(Macro),
    /// The host is to restart.
    Restarts,
}

impl Machine {
    /// Runs one line of G-code.
    pub(super) fn gcode(&mut self, line: &str) -> Result<Outcome, Refused> {
        self.log.push(line.to_owned());
        if self.log.len() > LOG_LINES {
            self.log.remove(0);
        }
        let (command, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let command = command.to_ascii_uppercase();
        if matches!(command.as_str(), "RESTART" | "FIRMWARE_RESTART") {
            return Ok(Outcome::Restarts);
        }
        if self.options.macros && self.console_gcode(&command, arguments) {
            return Ok(Outcome::Done);
        }
        if self.klippy != KlippyState::Ready {
            return Err(Refused(self.klippy_message.clone()));
        }
        match command.as_str() {
            "PAUSE" => match &self.pausing {
                Pausing::Refused(message) => Err(Refused(message.clone())),
                Pausing::Works | Pausing::Ignored => Ok(Outcome::Runs(Macro::Pause)),
            },
            "RESUME" => Ok(Outcome::Runs(Macro::Resume)),
            "CANCEL_PRINT" => Ok(Outcome::Runs(Macro::Cancel)),
            "M112" => {
                self.shutdown("Shutdown due to M112 command");
                Ok(Outcome::Done)
            }
            "SDCARD_PRINT_FILE" => self.print_file(arguments),
            "TURN_OFF_HEATERS" => {
                self.cool();
                Ok(Outcome::Done)
            }
            "EXCLUDE_OBJECT" => Ok(self.exclude(arguments)),
            "SET_GCODE_VARIABLE" => {
                self.timelapse_parked = argument(arguments, "VALUE").as_deref() == Some("True");
                Ok(Outcome::Done)
            }
            // As with Klipper, an unknown command is no error.
            _ => Ok(Outcome::Done),
        }
    }

    fn print_file(&mut self, arguments: &str) -> Result<Outcome, Refused> {
        let file = argument(arguments, "FILENAME").unwrap_or_default();
        let prepared = self.prepared.get(&file).cloned();
        let on_disk = !file.is_empty() && self.options.gcodes.join(&file).is_file();
        let Some(print) = prepared.or_else(|| on_disk.then(|| Print::new(file))) else {
            return Err(Refused("Unable to open file".to_owned()));
        };
        self.start(print)?;
        Ok(Outcome::Done)
    }

    fn exclude(&mut self, arguments: &str) -> Outcome {
        let name = argument(arguments, "NAME").unwrap_or_default().to_uppercase();
        if let Some(job) = &mut self.job
            && !job.excluded.contains(&name)
        {
            job.excluded.push(name);
        }
        Outcome::Done
    }
}

/// The value of `NAME=value` or `NAME="value"` among a line's arguments.
pub(super) fn argument(arguments: &str, name: &str) -> Option<String> {
    let at = arguments.find(&format!("{name}="))? + name.len() + 1;
    let value = arguments.get(at..)?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => value.split_whitespace().next().map(str::to_owned),
    }
}
