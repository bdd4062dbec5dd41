//! The manifest as it is written, and its check.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::core::detect::evidence::FalseAlarms;
use crate::core::types::{Calibration, ScoreRule};

use super::{Input, Model, Output, Resize, SCHEMA};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    schema: u32,
    default: String,
    self_test: PathBuf,
    #[serde(rename = "model")]
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: String,
    file: PathBuf,
    sha256: String,
    kind: Kind,
    licence: String,
    provenance: String,
    input: Input,
    output: RawOutput,
    score: Score,
    calibration: RawCalibration,
    false_alarms: Option<FalseAlarms>,
    #[serde(default)]
    metrics: toml::Table,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    FailureMap,
    YoloBoxes,
}

/// The keys of both kinds: which belong together is checked, so that each problem can be named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    map: Option<String>,
    boxes: Option<String>,
    confidences: Option<String>,
    failure_class: Option<usize>,
    box_format: Option<BoxFormat>,
    overlap: Option<f32>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum BoxFormat {
    Xyxy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    rule: Rule,
    k: Option<u16>,
    box_threshold: f32,
    alert_point: f32,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Rule {
    TopKMean,
    SumOfConfidences,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalibration {
    score: Vec<f32>,
    log_likelihood_ratio: Vec<f32>,
    probability: Option<Vec<f32>>,
}

/// Collects problems, each with its key.
struct Problems {
    found: Vec<String>,
    prefix: String,
}

impl Problems {
    fn require(&mut self, holds: bool, key: &str, must: impl std::fmt::Display) {
        if !holds {
            self.found.push(format!("{}{key} {must}", self.prefix));
        }
    }

    fn fraction(&mut self, value: f32, key: &str) {
        self.require(
            (0.0..=1.0).contains(&value),
            key,
            format_args!("must be between 0 and 1, found {value}"),
        );
    }
}

impl Manifest {
    pub(super) fn check(self, path: &Path) -> Result<super::Manifest, Vec<String>> {
        let mut problems = Problems { found: Vec::new(), prefix: String::new() };
        problems.require(
            self.schema == SCHEMA,
            "schema",
            format_args!("must be {SCHEMA}, found {}: this manifest belongs to another version of Strandwatch", self.schema),
        );
        problems.require(!self.models.is_empty(), "[[model]]", "must be there at least once");
        problems.require(
            self.models.iter().any(|model| model.name == self.default),
            "default",
            format_args!("must name one of the models, found {:?}", self.default),
        );
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut models: Vec<Model> = Vec::new();
        for raw in self.models {
            problems.prefix = format!("model {:?}: ", raw.name);
            let unique = models.iter().all(|model| model.name != raw.name);
            problems.require(unique, "name", "must differ from every other model's");
            models.extend(raw.check(folder, &mut problems));
        }
        if problems.found.is_empty() {
            Ok(super::Manifest {
                path: path.to_owned(),
                default: self.default,
                self_test: folder.join(self.self_test),
                models,
            })
        } else {
            Err(problems.found)
        }
    }
}

impl RawModel {
    /// The model; `None`, and at least one problem more, when its output or score section contradicts its kind.
    fn check(self, folder: &Path, problems: &mut Problems) -> Option<Model> {
        problems.require(!self.name.is_empty(), "name", "must not be empty");
        problems.require(!self.file.as_os_str().is_empty(), "file", "must name the ONNX file");
        let hex = self.sha256.len() == 64 && self.sha256.chars().all(|c| c.is_ascii_hexdigit());
        problems.require(hex, "sha256", "must be 64 hex digits (`sha256sum FILE`)");
        check_input(&self.input, self.kind, problems);
        problems.fraction(self.score.box_threshold, "score.box_threshold");
        problems.fraction(self.score.alert_point, "score.alert_point");
        check_calibration(&self.calibration, problems);
        if let Some(fault) = self.false_alarms.as_ref().and_then(FalseAlarms::fault) {
            problems.require(false, "false_alarms", fault);
        }
        let output = self.output.check(self.kind, problems);
        let rule = self.score.check(problems);
        Some(Model {
            name: self.name,
            file: folder.join(self.file),
            sha256: self.sha256.to_ascii_lowercase(),
            licence: self.licence,
            provenance: self.provenance,
            input: self.input,
            output: output?,
            rule: rule?,
            box_threshold: self.score.box_threshold,
            alert_point: self.score.alert_point,
            calibration: Calibration {
                score: self.calibration.score,
                log_likelihood_ratio: self.calibration.log_likelihood_ratio,
            },
            false_alarms: self.false_alarms,
            probability: self.calibration.probability,
            metrics: self.metrics,
        })
    }
}

fn check_input(input: &Input, kind: Kind, problems: &mut Problems) {
    problems.require(!input.name.is_empty(), "input.name", "must not be empty");
    for (side, key) in [(input.width, "input.width"), (input.height, "input.height")] {
        let must = format_args!("must be between 16 and 4096, found {side}");
        problems.require((16..=4096).contains(&side), key, must);
    }
    let finite = input.mean.iter().all(|v| v.is_finite());
    problems.require(finite, "input.mean", "must be three numbers");
    let divides = input.std.iter().all(|v| v.is_finite() && *v > 0.0);
    problems.require(divides, "input.std", "must be three numbers above 0");
    if let Some(by) = input.trim_bars {
        let whole = input.width % by == 0 && input.height % by == 0;
        let must = format_args!("must divide input.width and input.height, found {by}");
        problems.require(whole, "input.trim_bars", must);
        let fits = matches!((kind, input.resize), (Kind::FailureMap, Resize::Letterbox));
        let must = "is for models of kind failure_map with resize = \"letterbox\" only";
        problems.require(fits, "input.trim_bars", must);
    }
}

fn check_calibration(table: &RawCalibration, problems: &mut Problems) {
    let RawCalibration { score, log_likelihood_ratio, probability } = table;
    problems.require(!score.is_empty(), "calibration.score", "must have at least one knot");
    let ascending = score.windows(2).all(|pair| pair[0] < pair[1]);
    let finite = score.iter().chain(log_likelihood_ratio).all(|v| v.is_finite());
    problems.require(
        ascending && finite,
        "calibration.score",
        "must be finite and strictly ascending",
    );
    problems.require(
        log_likelihood_ratio.len() == score.len(),
        "calibration.log_likelihood_ratio",
        format_args!(
            "must have {} values as calibration.score has, found {}",
            score.len(),
            log_likelihood_ratio.len()
        ),
    );
    if let Some(probability) = probability {
        let fits =
            probability.len() == score.len() && probability.iter().all(|p| (0.0..=1.0).contains(p));
        problems.require(
            fits,
            "calibration.probability",
            format_args!("must have {} values between 0 and 1", score.len()),
        );
    }
}

impl RawOutput {
    fn check(self, kind: Kind, problems: &mut Problems) -> Option<Output> {
        let before = problems.found.len();
        let boxes = self.boxes.is_some() || self.confidences.is_some() || self.overlap.is_some();
        let output = match kind {
            Kind::FailureMap => {
                let alone = !boxes && self.failure_class.is_none() && self.box_format.is_none();
                problems.require(
                    alone,
                    "output",
                    "must have only `map` for kind = \"failure_map\"",
                );
                problems.require(self.map.is_some(), "output.map", "must name the map's tensor");
                Output::FailureMap { map: self.map? }
            }
            Kind::YoloBoxes => {
                problems.require(
                    self.map.is_none(),
                    "output.map",
                    "does not belong to kind = \"yolo_boxes\"",
                );
                problems.require(
                    self.boxes.is_some(),
                    "output.boxes",
                    "must name the boxes' tensor",
                );
                problems.require(
                    self.confidences.is_some(),
                    "output.confidences",
                    "must name the confidences' tensor",
                );
                problems.require(
                    self.failure_class.is_some(),
                    "output.failure_class",
                    "must say which class is a failed print, from 0",
                );
                problems.require(
                    self.box_format.is_some(),
                    "output.box_format",
                    "must be \"xyxy\"",
                );
                let overlap = self.overlap.unwrap_or(0.45);
                problems.fraction(overlap, "output.overlap");
                Output::YoloBoxes {
                    boxes: self.boxes?,
                    confidences: self.confidences?,
                    failure_class: self.failure_class?,
                    overlap,
                }
            }
        };
        (problems.found.len() == before).then_some(output)
    }
}

impl Score {
    fn check(&self, problems: &mut Problems) -> Option<ScoreRule> {
        match self.rule {
            Rule::TopKMean => {
                let k = self.k.filter(|k| *k > 0);
                problems.require(
                    k.is_some(),
                    "score.k",
                    "must say how many cells count, at least 1",
                );
                Some(ScoreRule::TopKMean { k: k? })
            }
            Rule::SumOfConfidences => {
                problems.require(
                    self.k.is_none(),
                    "score.k",
                    "belongs to rule = \"top_k_mean\" only",
                );
                Some(ScoreRule::SumOfConfidences)
            }
        }
    }
}
