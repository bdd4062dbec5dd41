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
        if status.filament_used_mm > 0.0 || status.print_duration_s > 0.0 {
            match (status.timelapse_parked, status.layer) {
                (true, _) => Self::TimelapsePark,
                (false, Some(1)) => Self::FirstLayer,
                (false, _) => Self::Printing,
            }
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

    /// Whether no strand of this print can be in view yet.
    pub fn is_before_extrusion(self) -> bool {
        matches!(self, Self::Heating | Self::Preparing)
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
    /// The print's state as reported last, also before the link went down.
    pub state: PrintState,
    /// `total_duration` as reported last, seconds.
    pub total_s: f64,
    /// When the printer was lost sight of, monotonic ms.
    lost_ms: Option<u64>,
}

/// How much `total_duration` may fall behind before it is another job's, seconds.
const DURATION_SLACK_S: f64 = 5.0;
/// After the printer was out of sight: how much less it may have advanced than the clock, seconds.
const UNSEEN_SLACK_S: f64 = 60.0;

impl Job {
    /// The job that `status` shows, first seen now.
    pub fn begin(now: Now, status: &PrinterStatus) -> Self {
        let total_ms = (status.total_duration_s.max(0.0) * 1000.0) as i64;
        let started_unix_ms = now.unix_ms.saturating_sub(total_ms);
        let file: String =
            status.filename.as_deref().unwrap_or("unnamed").chars().take(80).collect();
        Self {
            id: format!("{}-{file}", started_unix_ms.div_euclid(1000)),
            filename: status.filename.clone(),
            started_unix_ms,
            state: status.print,
            total_s: status.total_duration_s,
            lost_ms: None,
        }
    }

    /// The printer is out of sight: its link is down or Klipper is not ready.
    pub fn lose_sight(&mut self, now: Now) {
        self.lost_ms.get_or_insert(now.mono_ms);
    }

    /// Takes its last duration from the status that shows it ended; a restart has reset that.
    pub fn ends_in(&mut self, status: &PrinterStatus) {
        if self.filename == status.filename {
            self.total_s = self.total_s.max(status.total_duration_s);
        }
    }

    /// Whether `status` still shows this job; takes note of it.
    ///
    /// `total_duration` runs on through pauses. So the same file started again is told from this job by a duration that
    /// fell, or that advanced much less than the time during which the printer was out of sight.
    pub fn continues_in(&mut self, now: Now, status: &PrinterStatus) -> bool {
        let advanced_s = status.total_duration_s - self.total_s;
        let unseen_s = self
            .lost_ms
            .take()
            .map_or(0.0, |lost| now.mono_ms.saturating_sub(lost) as f64 / 1000.0);
        self.total_s = status.total_duration_s;
        self.state = status.print;
        self.filename == status.filename
            && advanced_s >= -DURATION_SLACK_S
            && advanced_s >= unseen_s - UNSEEN_SLACK_S
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
        assert!(job.continues_in(now, &status));
        status.total_duration_s = 1.0;
        assert!(!job.continues_in(now, &status));
    }
}
