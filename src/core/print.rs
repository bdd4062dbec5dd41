//! A print's life: which job is on, and which phase it is in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{Heater, Now, PrintState, PrinterStatus};

/// What the printer is doing, as far as watching is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No job.
    #[default]
    Idle,
    /// A job began, a heater has not reached its target, and nothing has been extruded.
    Heating,
    /// A job began, and not every axis knows where it is.
    Homing,
    /// Homed, and nothing has been extruded: levelling, probing, wiping.
    Probing,
    /// Something was extruded, and the slicer, which tells layers, has told none yet.
    Purge,
    /// Extruding the first layer.
    FirstLayer,
    /// Extruding.
    Printing,
    /// The extruder heats up in the middle of a print: another tool, another filament.
    Toolchange,
    /// The head is parked for a timelapse picture.
    TimelapsePark,
    /// Paused, and a sensor misses filament.
    FilamentChange,
    /// Paused, by whomever.
    Paused,
    /// The file has been read to its end: the last moves.
    Ending,
}

/// What frames are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// Nothing: none are taken.
    Unwanted,
    /// They show that the camera sees, no more.
    Seen,
    /// No strand of this print can be in view: they show what lies there anyway.
    Background,
    /// They are evidence.
    Evidence,
}

/// One row a phase: phase, what frames are good for, and what is added to each frame's log-likelihood ratio.
///
/// The priors are judgement, not measured: while a tool is changed the head, the wipe tower and the light on them do odd
/// things, and nothing is extruded onto the part.
pub const PHASES: [(Phase, Frames, f32); 12] = [
    (Phase::Idle, Frames::Unwanted, 0.0),
    (Phase::Heating, Frames::Background, 0.0),
    (Phase::Homing, Frames::Background, 0.0),
    (Phase::Probing, Frames::Background, 0.0),
    // The line beside the part is meant to be there, and stays.
    (Phase::Purge, Frames::Background, 0.0),
    (Phase::FirstLayer, Frames::Evidence, 0.0),
    (Phase::Printing, Frames::Evidence, 0.0),
    (Phase::Toolchange, Frames::Evidence, -1.0),
    // Head away: the best view there is.
    (Phase::TimelapsePark, Frames::Evidence, 0.0),
    (Phase::FilamentChange, Frames::Unwanted, 0.0),
    (Phase::Paused, Frames::Unwanted, 0.0),
    // Nothing can be saved any more.
    (Phase::Ending, Frames::Seen, 0.0),
];

/// A heater this far below its target is not there yet, °C.
const COLD_C: f64 = 3.0;
/// In the middle of a print a heater wavers more, °C.
const COLD_IN_PRINT_C: f64 = 15.0;
/// No purge line takes more filament, mm: a slicer that tells how many layers there are and never which one is not waited for.
const MOST_PURGED_MM: f64 = 200.0;

impl Phase {
    /// The phase that a status shows.
    pub fn of(status: &PrinterStatus) -> Self {
        match status.print {
            PrintState::Paused if status.filament_missing == Some(true) => Self::FilamentChange,
            PrintState::Paused => Self::Paused,
            PrintState::Printing => Self::of_running(status),
            PrintState::Standby
            | PrintState::Complete
            | PrintState::Error
            | PrintState::Cancelled => Self::Idle,
        }
    }

    fn of_running(status: &PrinterStatus) -> Self {
        let cold = |heaters: &[Option<Heater>], by: f64| {
            let mut heaters = heaters.iter().flatten();
            heaters.any(|heater| heater.target > 0.0 && heater.temperature < heater.target - by)
        };
        if !(status.filament_used_mm > 0.0 || status.print_duration_s > 0.0) {
            let homed = "xyz".chars().all(|axis| status.homed_axes.contains(axis));
            return if cold(&[status.extruder, status.bed], COLD_C) {
                Self::Heating
            } else if homed {
                Self::Probing
            } else {
                Self::Homing
            };
        }
        let before_layers = status.layers.is_some() && status.layer.is_none();
        if status.timelapse_parked {
            Self::TimelapsePark
        } else if status.progress.is_some_and(|progress| progress >= 1.0) {
            Self::Ending
        } else if cold(&[status.extruder], COLD_IN_PRINT_C) {
            Self::Toolchange
        } else if before_layers && status.filament_used_mm < MOST_PURGED_MM {
            Self::Purge
        } else if status.layer == Some(1) {
            Self::FirstLayer
        } else {
            Self::Printing
        }
    }

    fn row(self) -> (Frames, f32) {
        let row = PHASES.iter().find(|(phase, _, _)| *phase == self);
        row.map_or((Frames::Unwanted, 0.0), |(_, frames, prior)| (*frames, *prior))
    }

    /// What frames are good for.
    pub fn frames(self) -> Frames {
        self.row().0
    }

    /// What is added to a frame's log-likelihood ratio.
    pub fn prior(self) -> f32 {
        self.row().1
    }

    /// Whether frames are wanted: whenever a job runs.
    pub fn wants_frames(self) -> bool {
        self.frames() != Frames::Unwanted
    }

    /// Whether frames count as evidence.
    pub fn frames_count(self) -> bool {
        self.frames() == Frames::Evidence
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

    fn printing() -> PrinterStatus {
        PrinterStatus { print: PrintState::Printing, ..PrinterStatus::default() }
    }

    #[test]
    fn every_phase_has_its_row() {
        let cold = Some(Heater { temperature: 25.0, target: 210.0 });
        let warming = Some(Heater { temperature: 203.0, target: 210.0 });
        let homed = || PrinterStatus { homed_axes: "xyz".to_owned(), ..printing() };
        let extruding = || PrinterStatus { filament_used_mm: 1.0, ..homed() };
        let paused = || PrinterStatus { print: PrintState::Paused, ..extruding() };
        let cases = [
            (PrinterStatus::default(), Phase::Idle, Frames::Unwanted),
            (PrinterStatus { extruder: cold, ..homed() }, Phase::Heating, Frames::Background),
            (printing(), Phase::Homing, Frames::Background),
            (homed(), Phase::Probing, Frames::Background),
            (
                PrinterStatus { timelapse_parked: true, ..homed() },
                Phase::Probing,
                Frames::Background,
            ),
            (PrinterStatus { layers: Some(80), ..extruding() }, Phase::Purge, Frames::Background),
            // Layers may be null for good: a purge line is not waited for for ever.
            (
                PrinterStatus { layers: Some(80), filament_used_mm: 300.0, ..extruding() },
                Phase::Printing,
                Frames::Evidence,
            ),
            (extruding(), Phase::Printing, Frames::Evidence),
            (
                PrinterStatus { layer: Some(1), layers: Some(80), ..extruding() },
                Phase::FirstLayer,
                Frames::Evidence,
            ),
            (PrinterStatus { extruder: cold, ..extruding() }, Phase::Toolchange, Frames::Evidence),
            (PrinterStatus { extruder: warming, ..extruding() }, Phase::Printing, Frames::Evidence),
            (
                PrinterStatus { timelapse_parked: true, ..extruding() },
                Phase::TimelapsePark,
                Frames::Evidence,
            ),
            (PrinterStatus { progress: Some(1.0), ..extruding() }, Phase::Ending, Frames::Seen),
            (paused(), Phase::Paused, Frames::Unwanted),
            (
                PrinterStatus { filament_missing: Some(true), ..paused() },
                Phase::FilamentChange,
                Frames::Unwanted,
            ),
        ];
        for (status, phase, frames) in cases {
            assert_eq!(Phase::of(&status), phase, "{status:?}");
            assert_eq!(phase.frames(), frames, "{phase:?}");
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
