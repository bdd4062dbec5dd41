//! A print's life: which job is on, and which phase it is in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{Now, PrintState, PrinterStatus};

/// What the printer is doing, as far as watching is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No job.
    #[default]
    Idle,
    /// A job began, a heater has not reached its target, and nothing has been extruded.
    Heating,
    /// A job began and nothing has been extruded: homing, probing, wiping.
    Preparing,
    /// Extruding the first layer.
    FirstLayer,
    /// Extruding.
    Printing,
    /// The head is parked for a timelapse picture.
    TimelapsePark,
    /// Paused, by whomever; filament changes and runouts too.
    Paused,
}

impl Phase {
    /// The phase that a status shows.
    pub fn of(status: &PrinterStatus) -> Self {
        match status.print {
            PrintState::Paused => Self::Paused,
            PrintState::Printing => Self::of_running(status),
            PrintState::Standby
            | PrintState::Complete
            | PrintState::Error
            | PrintState::Cancelled => Self::Idle,
        }
    }

    fn of_running(status: &PrinterStatus) -> Self {
        let cold = [status.extruder, status.bed]
            .into_iter()
            .flatten()
            .any(|heater| heater.target > 0.0 && heater.temperature < heater.target - 3.0);
        if status.timelapse_parked {
            Self::TimelapsePark
        } else if status.filament_used_mm > 0.0 || status.print_duration_s > 0.0 {
            if status.layer == Some(1) { Self::FirstLayer } else { Self::Printing }
        } else if cold {
            Self::Heating
        } else {
            Self::Preparing
        }
    }

    /// Whether frames are wanted: whenever a job runs.
    pub fn wants_frames(self) -> bool {
        !matches!(self, Self::Idle | Self::Paused)
    }

    /// Whether frames count as evidence: only once something has been extruded.
    pub fn frames_count(self) -> bool {
        matches!(self, Self::FirstLayer | Self::Printing | Self::TimelapsePark)
    }
}

/// One print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Names it towards clients: its start in Unix seconds and its file.
    pub id: String,
    /// The file.
    pub filename: Option<String>,
    /// When it began, by the printer's own account.
    pub started_unix_ms: i64,
    last_total_s: f64,
}

/// How much `total_duration` may fall behind before it is another job's, seconds.
const DURATION_SLACK_S: f64 = 5.0;

impl Job {
    /// The job that `status` shows, first seen now.
    pub fn begin(now: Now, status: &PrinterStatus) -> Self {
        let started_unix_ms = now.unix_ms - (status.total_duration_s.max(0.0) * 1000.0) as i64;
        let file: String =
            status.filename.as_deref().unwrap_or("unnamed").chars().take(80).collect();
        Self {
            id: format!("{}-{file}", started_unix_ms.div_euclid(1000)),
            filename: status.filename.clone(),
            started_unix_ms,
            last_total_s: status.total_duration_s,
        }
    }

    /// Whether `status` still shows this job; takes note of its duration.
    pub fn continues_in(&mut self, status: &PrinterStatus) -> bool {
        let same = self.filename == status.filename
            && status.total_duration_s >= self.last_total_s - DURATION_SLACK_S;
        self.last_total_s = status.total_duration_s;
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::Heater;

    fn printing() -> PrinterStatus {
        PrinterStatus { print: PrintState::Printing, ..PrinterStatus::default() }
    }

    #[test]
    fn frames_count_only_once_something_was_extruded() {
        let cold = Some(Heater { temperature: 25.0, target: 210.0 });
        let cases = [
            (PrinterStatus::default(), Phase::Idle, false),
            (PrinterStatus { extruder: cold, ..printing() }, Phase::Heating, false),
            (printing(), Phase::Preparing, false),
            (PrinterStatus { filament_used_mm: 1.0, ..printing() }, Phase::Printing, true),
            (
                PrinterStatus { filament_used_mm: 1.0, layer: Some(1), ..printing() },
                Phase::FirstLayer,
                true,
            ),
            // A toolchange heats in the middle of a print: still a print.
            (
                PrinterStatus { filament_used_mm: 1.0, extruder: cold, ..printing() },
                Phase::Printing,
                true,
            ),
            (PrinterStatus { print: PrintState::Paused, ..printing() }, Phase::Paused, false),
        ];
        for (status, phase, count) in cases {
            assert_eq!(Phase::of(&status), phase, "{status:?}");
            assert_eq!(phase.frames_count(), count, "{phase:?}");
        }
    }

    #[test]
    fn a_job_that_starts_over_is_another_job() {
        let now = Now { mono_ms: 0, unix_ms: 1_000_000 };
        let mut status = PrinterStatus {
            filename: Some("a.gcode".into()),
            total_duration_s: 100.0,
            ..printing()
        };
        let mut job = Job::begin(now, &status);
        assert_eq!(job.id, "900-a.gcode");
        status.total_duration_s = 101.0;
        assert!(job.continues_in(&status));
        status.total_duration_s = 1.0;
        assert!(!job.continues_in(&status));
    }
}
