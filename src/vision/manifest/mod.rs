//! `manifest.toml`: which models there are, what they take and give, and what their scores are worth.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::core::detect::evidence::FalseAlarms;
use crate::core::types::{Calibration, ModelFacts, ScoreRule};

use super::VisionError;

mod raw;

/// The version of the manifest's shape that this program reads.
pub const SCHEMA: u32 = 1;

/// The manifest's file name inside a models folder.
pub const FILE: &str = "manifest.toml";

/// A checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Where it was read from.
    pub path: PathBuf,
    /// Name of the model that is taken when nobody asks for another.
    pub default: String,
    /// A picture on which every model must fire.
    pub self_test: PathBuf,
    /// The models, at least one, names unique.
    pub models: Vec<Model>,
}

/// One model, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The ONNX file.
    pub file: PathBuf,
    /// The file's hash, 64 hex digits in lower case.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where it comes from.
    pub provenance: String,
    /// What it takes.
    pub input: Input,
    /// What it gives.
    pub output: Output,
    /// How a frame's score follows from the output.
    pub rule: ScoreRule,
    /// Cells (or confidences) from here on become boxes, 0..1.
    pub box_threshold: f32,
    /// A frame at or above this score should be looked at by people, 0..1.
    pub alert_point: f32,
    /// What a score is worth as evidence.
    pub calibration: Calibration,
    /// What lifts and thresholds of the evidence cost, where it was measured.
    pub false_alarms: Option<FalseAlarms>,
    /// P(failing) at each of the calibration's scores, where the manifest gives it.
    pub probability: Option<Vec<f32>>,
    /// Measured figures, for people.
    pub metrics: toml::Table,
}

/// What a model takes: one float32 tensor with one picture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The tensor's name.
    pub name: String,
    /// Columns, px.
    pub width: u32,
    /// Rows, px.
    pub height: u32,
    /// Order of the axes.
    pub layout: Layout,
    /// Order of the colours.
    pub colour: Colour,
    /// How a frame of another shape is fitted in.
    pub resize: Resize,
    /// Byte value of letterbox bars, all colours.
    pub pad: u8,
    /// Subtracted from each colour (scaled to 0..1), in the tensor's colour order.
    pub mean: [f32; 3],
    /// Divides each colour afterwards.
    pub std: [f32; 3],
    /// Whether shrinking averages all pixels (Pillow) or interpolates between the nearest four (OpenCV's `INTER_LINEAR`).
    #[serde(default = "yes")]
    pub antialias: bool,
    /// Letterbox bars are left out by whole multiples of so many pixels, on both sides alike: a webcam's frame then costs a
    /// fifth (4:3) to two fifths (16:9) less than a square. For fully convolutional networks whose stride divides it, with
    /// rows and columns that the ONNX file leaves open; without it the bars go through the network.
    #[serde(default)]
    pub trim_bars: Option<NonZeroU32>,
}

fn yes() -> bool {
    true
}

/// Order of a tensor's axes: N pictures, C colours, H rows, W columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Planes.
    Nchw,
    /// Pixels.
    Nhwc,
}

/// Order of a tensor's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How a frame is fitted into the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Keeping its proportions, with bars.
    Letterbox,
    /// Filling the input.
    Stretch,
}

/// What a model gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Kind `failure_map`: one tensor `[1, 1, rows, columns]` of probabilities.
    FailureMap {
        /// The tensor's name.
        map: String,
    },
    /// Kind `yolo_boxes`: boxes `[1, N, 1, 4]` (corners as fractions of the input) and confidences `[1, N, classes]`.
    YoloBoxes {
        /// The boxes' tensor.
        boxes: String,
        /// The confidences' tensor.
        confidences: String,
        /// Which class means a failed print.
        failure_class: usize,
        /// Intersection over union above which the weaker of two boxes goes, 0..1.
        overlap: f32,
    },
}

impl Manifest {
    /// Finds and loads a manifest: `explicit` is the file or its folder; without it the usual places are tried.
    pub fn find(explicit: Option<&Path>) -> Result<Self, VisionError> {
        let tried = explicit.map_or_else(usual_places, |path| {
            vec![if path.is_dir() { path.join(FILE) } else { path.to_owned() }]
        });
        match tried.iter().find(|path| path.is_file()) {
            Some(path) => Self::load(path),
            None => Err(VisionError::ManifestMissing { tried }),
        }
    }

    /// Loads and checks the manifest at `path`.
    pub fn load(path: &Path) -> Result<Self, VisionError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| VisionError::ManifestUnreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks a manifest's text; `path` is where it lies, and what its file names are relative to.
    pub fn parse(path: &Path, text: &str) -> Result<Self, VisionError> {
        let raw: raw::Manifest =
            toml::from_str(text).map_err(|error| VisionError::ManifestSyntax {
                path: path.to_owned(),
                reason: error.to_string().trim().to_owned(),
            })?;
        raw.check(path)
            .map_err(|problems| VisionError::ManifestInvalid { path: path.to_owned(), problems })
    }

    /// The model of this name, or the default one.
    pub fn model(&self, name: Option<&str>) -> Result<&Model, VisionError> {
        let name = name.unwrap_or(&self.default);
        self.models.iter().find(|model| model.name == name).ok_or_else(|| {
            VisionError::NoSuchModel {
                path: self.path.clone(),
                name: name.to_owned(),
                known: self.models.iter().map(|model| model.name.clone()).collect(),
            }
        })
    }
}

impl Model {
    /// What the decision must know of it.
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            score_rule: self.rule,
            calibration: self.calibration.clone(),
            false_alarms: self.false_alarms.clone(),
        }
    }
}

/// Where a models folder may lie, nearest to the executable first.
fn usual_places() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(executable) = std::env::current_exe() {
        let above: Vec<&Path> = executable.ancestors().skip(1).collect();
        if let Some(prefix) = above.get(1) {
            folders.push(prefix.join("share/strandwatch/models"));
        }
        // A checkout: target/debug/strandwatch lies below the folder that holds models/.
        let checkout = |folder: &&Path| folder.join("Cargo.toml").is_file();
        folders.extend(above.into_iter().filter(checkout).map(|folder| folder.join("models")));
    }
    folders.push("/usr/local/share/strandwatch/models".into());
    folders.push("/usr/share/strandwatch/models".into());
    folders.into_iter().map(|folder| folder.join(FILE)).collect()
}

#[cfg(test)]
mod tests;
