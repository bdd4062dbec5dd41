//! Names, clocks and the plain data that crosses the seams.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::detect::evidence::FalseAlarms;
use super::detect::light::Brightness;
use super::detect::view::ViewSignature;
pub use super::source::{Decoding, SourceFault, SourceHealth, SourceReport};

/// One reading of both clocks. Durations and deadlines use `mono_ms`; people and requests use `unix_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Milliseconds on a clock that never steps, from an arbitrary start.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch, as the host's wall clock has it.
    pub unix_ms: i64,
}

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a valid name: use 1 to 64 of the characters a-z, 0-9, '_' and '-', starting with a letter or digit"
)]
pub struct BadName {
    /// The text as it was found.
    pub found: String,
}

/// A name that is safe as one level of an MQTT topic and as a file name: `[a-z0-9][a-z0-9_-]{0,63}`.
///
/// Printers, cameras and clients are all named so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Takes `text` as a name, or says why it is none.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let valid = text.len() <= 64
            && text.starts_with(ok)
            && text.chars().all(|c| ok(c) || c == '_' || c == '-');
        if valid { Ok(Self(text.to_owned())) } else { Err(BadName { found: text.to_owned() }) }
    }

    /// [`CONSOLE`](super::authz::CONSOLE).
    pub(super) fn console() -> Self {
        Self(super::authz::CONSOLE.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::str::FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What Klippy says of itself (`webhooks.state`), or that it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum KlippyState {
    /// Connected and able to print.
    Ready,
    /// Starting: printer objects cannot be queried yet.
    Startup,
    /// Emergency stop or a fault; nothing moves until a restart.
    Shutdown,
    /// Klippy could not start (configuration, micro-controller).
    Error,
    /// Moonraker has no connection to Klippy.
    #[default]
    Disconnected,
}

/// `print_stats.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PrintState {
    /// No print since start, or the last one was reset.
    #[default]
    Standby,
    /// A file is being printed.
    Printing,
    /// The print is paused and can be resumed.
    Paused,
    /// The last print ended well.
    Complete,
    /// The last print ended with an error.
    Error,
    /// The last print was cancelled.
    Cancelled,
}

impl PrintState {
    /// Whether a job is in progress (printing or paused).
    pub fn is_active(self) -> bool {
        matches!(self, Self::Printing | Self::Paused)
    }
}

/// A heater: its temperature and target in degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Heater {
    /// Measured temperature, °C.
    pub temperature: f64,
    /// Target, °C; 0 is off.
    pub target: f64,
}

/// The `exclude_object` status: which objects the slicer labelled, and which are skipped already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Objects {
    /// Every labelled object, in Klipper's order.
    pub known: Vec<PrintObject>,
    /// Names of the objects already excluded.
    pub excluded: Vec<String>,
    /// The object being printed now.
    pub current: Option<String>,
}

/// One labelled object of `exclude_object.objects`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PrintObject {
    /// Its name as the slicer gave it.
    pub name: String,
    /// Centre on the bed, mm.
    pub center: Option<[f64; 2]>,
    /// Outline on the bed, mm; empty when the slicer gave none.
    pub polygon: Vec<[f64; 2]>,
}

/// The whole state of a printer, merged from Moonraker's partial updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct PrinterStatus {
    /// Klippy's own state.
    pub klippy: KlippyState,
    /// `print_stats.state`.
    pub print: PrintState,
    /// `print_stats.filename`; `None` when empty.
    pub filename: Option<String>,
    /// `print_stats.total_duration`, seconds since the job began, pauses included.
    pub total_duration_s: f64,
    /// `print_stats.print_duration`, seconds of extruding, pauses and heating excluded.
    pub print_duration_s: f64,
    /// `print_stats.filament_used`, mm.
    pub filament_used_mm: f64,
    /// `print_stats.message`, why a print ended in error; while Klippy is not ready, its `state_message`.
    pub message: Option<String>,
    /// `virtual_sdcard.progress`, 0..1.
    pub progress: Option<f64>,
    /// `print_stats.info.current_layer`, from 1; `None` unless the slicer sets it.
    pub layer: Option<u32>,
    /// `print_stats.info.total_layer`.
    pub layers: Option<u32>,
    /// `motion_report.live_position` x, y, z in mm.
    pub live_position: Option<[f64; 3]>,
    /// `toolhead.homed_axes`, such as `"xyz"`.
    pub homed_axes: String,
    /// The active extruder.
    pub extruder: Option<Heater>,
    /// The bed.
    pub bed: Option<Heater>,
    /// `idle_timeout.idle_timeout`: seconds after which an idle (also a paused) printer turns its heaters off.
    pub idle_timeout_s: Option<f64>,
    /// Whether `gcode_macro TIMELAPSE_TAKE_FRAME` holds the head parked for a picture.
    pub timelapse_parked: bool,
    /// Whether a filament sensor misses filament; `None` where there is no sensor.
    pub filament_missing: Option<bool>,
    /// Labelled objects, where the printer has `[exclude_object]`.
    pub objects: Option<Objects>,
}

/// What is known of a printer: its status, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    /// Moonraker answers; Klippy's state is inside.
    Up(Box<PrinterStatus>),
    /// Moonraker does not answer, or refuses us.
    Down {
        /// What was tried, and what to do, for people.
        why: String,
    },
}

/// Something to be done by a printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PrinterAction {
    /// `printer.print.pause`.
    Pause,
    /// `printer.print.resume`.
    Resume,
    /// `printer.print.cancel`.
    Cancel,
    /// `EXCLUDE_OBJECT NAME=…`.
    ExcludeObject {
        /// The object's name as [`PrintObject::name`] has it.
        object: String,
    },
    /// `TURN_OFF_HEATERS`, of a print that the daemon paused; no client can ask for it.
    TurnOffHeaters,
}

impl PrinterAction {
    /// The command's name, as topics and events have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::ExcludeObject { .. } => "exclude_object",
            Self::TurnOffHeaters => "turn_off_heaters",
        }
    }
}

/// Probabilities (0..1) of loose strands, one a cell, row by row from the top left of the model's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureMap {
    /// Cells a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// The part of the map that the frame covers, `[x0, y0, x1, y1]` as fractions of the map; the rest is letterbox bars.
    pub content: [f32; 4],
    /// `columns × rows` probabilities; 0 in the bars.
    #[serde(with = "super::cells")]
    pub cells: Vec<f32>,
}

/// A detected region: corners as fractions of the frame, and its probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredBox {
    /// Left, 0..1 of the frame's width.
    pub x0: f32,
    /// Top, 0..1 of the frame's height.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
    /// Probability or confidence, 0..1.
    pub p: f32,
}

/// How a frame's score comes from the model's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum ScoreRule {
    /// Mean of the `k` largest cells of the failure map.
    TopKMean {
        /// How many cells, at least 1.
        k: u16,
    },
    /// Sum of the boxes' confidences, cut at 1: The Spaghetti Detective's statistic.
    SumOfConfidences,
}

/// What the model said of one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameScore {
    /// The frame's score by the manifest's rule over the whole map, 0..1.
    pub score: f32,
    /// Regions, most probable first.
    pub boxes: Vec<ScoredBox>,
    /// The map; box models have theirs drawn from the boxes.
    pub map: FailureMap,
    /// Time of inference alone, ms.
    pub infer_ms: f32,
    /// What the picture looks like as a whole, now and then: tells whether the camera was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewSignature>,
    /// How bright the parts of the picture are: tells whether the light has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brightness: Option<Brightness>,
}

impl FrameScore {
    /// Rounded as a journal keeps it: probabilities to three decimals, box corners to four, the time to one.
    ///
    /// The application gives the core this, live, and journals the same: so a replay decides on the very numbers that
    /// the live decision saw. What is not a finite number becomes -1, which JSON can carry and the core refuses as well.
    pub fn quantised(mut self) -> Self {
        fn round(value: &mut f32, steps: f32) {
            // Adding zero turns a negative zero into a plain one.
            *value = if value.is_finite() { (*value * steps).round() / steps + 0.0 } else { -1.0 };
        }
        round(&mut self.score, 1e3);
        round(&mut self.infer_ms, 10.0);
        self.map.content.iter_mut().for_each(|edge| round(edge, 1e4));
        self.map.cells.iter_mut().for_each(|cell| round(cell, 1e3));
        for scored in &mut self.boxes {
            for corner in [&mut scored.x0, &mut scored.y0, &mut scored.x1, &mut scored.y1] {
                round(corner, 1e4);
            }
            round(&mut scored.p, 1e3);
        }
        self
    }
}

/// Score to natural-log likelihood ratio of failing against good: knots ascending, linear between, clamped outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Scores, strictly ascending, at least one.
    pub score: Vec<f32>,
    /// ln P(score | failing) / P(score | good), as many.
    pub log_likelihood_ratio: Vec<f32>,
}

impl Calibration {
    /// What is wrong with the table, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let ascending = self.score.windows(2).all(|pair| pair[0] < pair[1]);
        if self.score.is_empty() {
            Some("is empty")
        } else if self.score.len() != self.log_likelihood_ratio.len() {
            Some("has not one ratio a score")
        } else if !self.score.iter().chain(&self.log_likelihood_ratio).all(|knot| knot.is_finite())
        {
            Some("has a value that is not a finite number")
        } else if !ascending {
            Some("is not strictly ascending in score")
        } else {
            None
        }
    }
}

/// What the decision must know of the model in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// The manifest's name of it.
    pub name: String,
    /// Hash of the file, hex.
    pub sha256: String,
    /// How a score follows from a map or boxes.
    pub score_rule: ScoreRule,
    /// What a score is worth.
    pub calibration: Calibration,
    /// What a threshold costs, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarms: Option<FalseAlarms>,
}
