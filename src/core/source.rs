//! What a camera says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well a camera sees, as its adapter judges it from the frames alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SourceHealth {
    /// Not opened yet, or nobody asked for frames.
    Idle,
    /// Being opened.
    Opening,
    /// Frames arrive and differ.
    Seeing,
    /// Frames arrive, but something about them limits what can be seen.
    Impaired {
        /// What.
        fault: SourceFault,
        /// For people.
        why: String,
    },
    /// Nothing can be seen.
    Blind {
        /// What.
        fault: SourceFault,
        /// What was tried, on which address, what to do.
        why: String,
    },
}

/// What is wrong with a camera or its picture.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SourceFault {
    /// Cannot be reached or opened: refused, 404, no such device.
    Unreachable,
    /// Was there, and ended or went away.
    Vanished,
    /// Open, yet no frame for too long.
    Stalled,
    /// Frames repeat, bit for bit: a live camera always has some noise.
    Frozen,
    /// Noise changes and nothing else: so looks a hung picture that is encoded anew, and a printer that rests.
    Still,
    /// Nearly black.
    Dark,
    /// Nearly white.
    Overexposed,
    /// Too blurred to show strands.
    Blurred,
    /// Something stands before the camera.
    Occluded,
    /// What arrives is no picture.
    Undecodable,
}

/// Which element reads a camera and which decodes it: shown in health and `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Decoding {
    /// GStreamer's element, such as `jpegdec` or `v4l2h264dec`; `None` before the first frame.
    pub element: Option<String>,
    /// Whether it is a hardware decoder.
    pub hardware: bool,
    /// Decoders tried before it, and why each was given up.
    pub gave_up: Vec<String>,
}

/// Everything a camera says of itself at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// How well it sees.
    pub health: SourceHealth,
    /// Who decodes.
    pub decoding: Decoding,
    /// Width and height of the newest frame, px, after rotation.
    pub size: Option<(u32, u32)>,
}
