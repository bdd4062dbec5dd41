//! The retained documents of a printer: what clients read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::ActionChoice;
use super::incident::Vote;
use super::print::Phase;
use super::types::{KlippyState, PrintState};
use super::watch::WatchWord;

/// `<base>/<printer>/state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateDocument {
    /// How well the print is watched.
    pub watch: WatchWord,
    /// Why it is not simply watched.
    pub why: Option<String>,
    /// `clear`, `suspect`, `failing`, or `unknown` whenever it cannot be known.
    pub verdict: Verdict,
    /// Whether people should look: an alert is open, or nothing has been seen for `watch.blind_alert_after`.
    pub problem: bool,
    /// The last frame's score against what this camera always shows, 0..1, three decimals: 0.2 is nothing new; null while nothing is scored.
    pub score: Option<f64>,
    /// Evidence as a fraction of what acting needs, three decimals.
    pub evidence: f64,
    /// The open incident's id.
    pub incident: Option<String>,
    /// The job, to be named in requests.
    pub job: Option<String>,
    /// The file.
    pub filename: Option<String>,
    /// What the printer is doing.
    pub phase: Phase,
    /// Printing progress, 0..1, three decimals.
    pub progress: Option<f64>,
    /// Layer, where the slicer says.
    pub layer: Option<u32>,
    /// Layers in all, where the slicer says.
    pub layers: Option<u32>,
    /// The print's state as Moonraker reports it; null while the link is down.
    pub print: Option<PrintStateWord>,
    /// Klippy's state; null while the link is down.
    pub klippy: Option<KlippyWord>,
    /// Why there is no link to Moonraker.
    pub link_fault: Option<String>,
    /// Whether the daemon acts by itself.
    pub armed: bool,
    /// What it would do.
    pub action: ActionChoice,
    /// Tolerated wrong actions per 100 print-hours.
    pub false_alarms_per_100h: f64,
    /// Unix seconds until which people want quiet.
    pub snoozed_until: Option<f64>,
    /// Frames scored in the minute up to the last one, all cameras together; null while nothing is scored.
    pub frames_per_minute: Option<usize>,
    /// Every camera.
    pub cameras: BTreeMap<String, CameraDocument>,
    /// The model in use.
    pub model: Option<String>,
    /// The last self-test: whether the known failure picture fired.
    pub self_test_passed: Option<bool>,
}

/// What can be said of the print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Watched, and nothing suspicious.
    Clear,
    /// Evidence gathers.
    Suspect,
    /// An alert is open.
    Failing,
    /// Not watched, or not well enough to say.
    Unknown,
}

/// One camera in the state document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraDocument {
    /// `idle`, `opening`, `seeing`, `impaired` or `blind`.
    pub health: String,
    /// Why, where it is impaired or blind.
    pub why: Option<String>,
    /// GStreamer's element that decodes.
    pub decoder: Option<String>,
    /// Whether that is hardware.
    pub hardware: bool,
    /// Decoders that were given up, and why.
    pub decoders_given_up: Vec<String>,
    /// Picture size, px.
    pub size: Option<(u32, u32)>,
    /// Time of the last inference, ms, one decimal.
    pub infer_ms: Option<f64>,
    /// Wrong alerts per 100 print-hours that it is held to, one decimal, as nobody answered too many of its alerts; null while
    /// it is what was asked for.
    pub held_to_per_100h: Option<f64>,
}

/// `print_stats.state`.
pub type PrintStateWord = String;
/// `webhooks.state`.
pub type KlippyWord = String;

/// A print state's word.
pub fn print_word(state: PrintState) -> PrintStateWord {
    word(&state)
}

/// A Klippy state's word.
pub fn klippy_word(state: KlippyState) -> KlippyWord {
    word(&state)
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// `<base>/<printer>/incident`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentDocument {
    /// Unique over restarts.
    pub incident: String,
    /// The job.
    pub job: Option<String>,
    /// The camera that opened it.
    pub camera: String,
    /// When, Unix seconds.
    pub opened_at: f64,
    /// `suspect`, `alert`, `veto` or `acted`.
    pub stage: String,
    /// When the daemon acts unless somebody objects, Unix seconds.
    pub acts_at: Option<f64>,
    /// After its pause: until when people may decide, Unix seconds.
    pub answer_by: Option<f64>,
    /// Whether people have confirmed it.
    pub confirmed: bool,
    /// The votes by client.
    pub votes: BTreeMap<String, Vote>,
    /// How many it takes.
    pub votes_needed: u32,
    /// The one object whose footprint holds the evidence: it can be excluded instead of pausing. Null where that cannot be
    /// told: the camera is not calibrated, the slicer named no objects, or more than one is concerned.
    pub object: Option<String>,
    /// The frame's score, three decimals.
    pub score: f64,
    /// Where in the frame: `[x0, y0, x1, y1, p]`, three decimals.
    pub boxes: Vec<[f64; 5]>,
}

/// Three decimals: finer changes are not worth a message.
pub fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// One decimal.
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Milliseconds since the epoch as seconds with milliseconds.
pub fn unix_seconds(unix_ms: i64) -> f64 {
    unix_ms as f64 / 1000.0
}
