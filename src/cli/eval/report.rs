//! Everything that `eval` finds out, as one document.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::vision::Model;

use super::Scored;
use super::metrics::{self, Bootstrap, Figure, Interval, Ranking, Reliability, Sample};

const BOOTSTRAP: Bootstrap = Bootstrap { rounds: 1000, seed: 1 };

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Hash of its file.
    pub sha256: String,
    /// Pictures labelled `ignore`.
    pub ignored: usize,
    /// Pictures that could not be read.
    pub unreadable: usize,
    /// Over all pictures.
    pub all: Figures,
    /// At the manifest's alert point, where a score equal to it counts as an alarm.
    pub at_alert_point: Rates,
    /// At thresholds that let 0, 1 and 5 % of the good webcam pictures through; empty without such pictures.
    pub at_webcam_thresholds: Vec<WebcamRates>,
    /// Of the manifest's calibration, at equal priors; `None` when all pictures are failing or all good.
    pub calibration: Option<Reliability>,
    /// By `source`.
    pub by_source: BTreeMap<String, Part>,
    /// By `view`.
    pub by_view: BTreeMap<String, Part>,
    /// Sequences of good frames.
    pub good_sequences: usize,
    /// Those with more than one frame at or above the alert point.
    pub alarming_sequences: Vec<Sequence>,
    /// Median time of inference, ms.
    pub infer_ms: f32,
}

/// Figures that need no threshold of ours.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Failing pictures.
    pub failing: usize,
    /// Good pictures.
    pub good: usize,
    /// Area under the receiver operating characteristic.
    pub auroc: Option<Interval>,
    /// Average precision.
    pub average_precision: Option<Interval>,
    /// Recall where no good picture alarms.
    pub recall_at_0: Option<Interval>,
    /// Recall where 1 % of the good pictures alarm.
    pub recall_at_1: Option<Interval>,
    /// Recall where 5 % of the good pictures alarm.
    pub recall_at_5: Option<Interval>,
}

/// What a threshold gives.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// The threshold.
    pub threshold: f32,
    /// Share of the failing pictures that alarm; `None` without any.
    pub recall: Option<f64>,
    /// Share of the good pictures that alarm; `None` without any.
    pub false_positives: Option<f64>,
}

/// What a threshold set on good webcam pictures gives over all pictures.
#[derive(Debug, Serialize)]
pub struct WebcamRates {
    /// Share of the good webcam pictures that may exceed it.
    pub rate: f64,
    /// Over all pictures; a score must exceed the threshold.
    #[serde(flatten)]
    pub all: Rates,
}

/// One source or view.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Threshold-free figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// At the alert point.
    pub at_alert_point: Rates,
    /// At the threshold that lets 1 % of all good webcam pictures through.
    pub at_webcam_threshold: Option<Rates>,
}

/// A print whose good frames alarm.
#[derive(Debug, Serialize)]
pub struct Sequence {
    /// Its name.
    pub name: String,
    /// Good frames of it.
    pub frames: usize,
    /// Those at or above the alert point.
    pub alarms: usize,
}

impl Report {
    pub(super) fn new(model: &Model, scored: &[Scored], ignored: usize, unreadable: usize) -> Self {
        let everything: Vec<&Scored> = scored.iter().collect();
        let webcam_goods: Vec<f32> = scored
            .iter()
            .filter(|s| !s.failing() && s.label.view == "webcam")
            .map(|s| s.score)
            .collect();
        let webcam = |rate| metrics::threshold_at(&webcam_goods, rate);
        let point = model.alert_point;
        let by = |key: fn(&Scored) -> &str| parts(scored, key, point, webcam(0.01));
        let sequences = good_sequences(scored, point);
        Self {
            model: model.name.clone(),
            sha256: model.sha256.clone(),
            ignored,
            unreadable,
            all: figures(&everything),
            at_alert_point: rates(&everything, point, |score| score >= point),
            at_webcam_thresholds: [0.0, 0.01, 0.05]
                .into_iter()
                .filter_map(|rate| Some((rate, webcam(rate)?)))
                .map(|(rate, t)| WebcamRates { rate, all: rates(&everything, t, |s| s > t) })
                .collect(),
            calibration: metrics::reliability(&probabilities(model, scored)),
            by_source: by(|scored| &scored.label.source),
            by_view: by(|scored| &scored.label.view),
            good_sequences: sequences.len(),
            alarming_sequences: sequences.into_iter().filter(|s| s.alarms > 1).collect(),
            infer_ms: median(scored.iter().map(|s| s.infer_ms).collect()),
        }
    }
}

fn figures(scored: &[&Scored]) -> Figures {
    let samples: Vec<Sample> = scored.iter().map(|s| s.sample()).collect();
    let failing = samples.iter().filter(|s| s.failing).count();
    let ranking = Ranking::new(&samples);
    let figure = |figure| ranking.figure(figure, &BOOTSTRAP);
    Figures {
        failing,
        good: samples.len() - failing,
        auroc: figure(Figure::Auroc),
        average_precision: figure(Figure::AveragePrecision),
        recall_at_0: figure(Figure::RecallAt(0.0)),
        recall_at_1: figure(Figure::RecallAt(0.01)),
        recall_at_5: figure(Figure::RecallAt(0.05)),
    }
}

fn rates(scored: &[&Scored], threshold: f32, alarms: impl Fn(f32) -> bool) -> Rates {
    let share = |failing: bool| {
        let kind = || scored.iter().filter(move |s| s.failing() == failing);
        let count = kind().count();
        (count > 0).then(|| kind().filter(|s| alarms(s.score)).count() as f64 / count as f64)
    };
    Rates { threshold, recall: share(true), false_positives: share(false) }
}

fn parts(
    scored: &[Scored],
    key: fn(&Scored) -> &str,
    alert_point: f32,
    webcam: Option<f32>,
) -> BTreeMap<String, Part> {
    let mut groups: BTreeMap<String, Vec<&Scored>> = BTreeMap::new();
    for one in scored {
        groups.entry(key(one).to_owned()).or_default().push(one);
    }
    let part = |(name, group): (String, Vec<&Scored>)| {
        let part = Part {
            figures: figures(&group),
            at_alert_point: rates(&group, alert_point, |score| score >= alert_point),
            at_webcam_threshold: webcam.map(|t| rates(&group, t, |score| score > t)),
        };
        (name, part)
    };
    groups.into_iter().map(part).collect()
}

fn good_sequences(scored: &[Scored], alert_point: f32) -> Vec<Sequence> {
    let mut found: BTreeMap<&str, Sequence> = BTreeMap::new();
    for one in scored.iter().filter(|one| !one.failing()) {
        let Some(name) = one.label.sequence.as_deref() else { continue };
        let sequence = found.entry(name).or_insert_with(|| Sequence {
            name: name.to_owned(),
            frames: 0,
            alarms: 0,
        });
        sequence.frames += 1;
        sequence.alarms += usize::from(one.score >= alert_point);
    }
    found.into_values().collect()
}

/// The calibrated probability of each picture: the manifest's own table, or what its likelihood ratio means at equal
/// priors.
fn probabilities(model: &Model, scored: &[Scored]) -> Vec<(f64, bool)> {
    let calibration = &model.calibration;
    let logistic = |ratio: &f32| 1.0 / (1.0 + (-f64::from(*ratio)).exp());
    let at_knots: Vec<f64> = match &model.probability {
        Some(table) => table.iter().copied().map(f64::from).collect(),
        None => calibration.log_likelihood_ratio.iter().map(logistic).collect(),
    };
    let said = |score: f32| interpolate(&calibration.score, &at_knots, score);
    scored.iter().map(|one| (said(one.score), one.failing())).collect()
}

/// Linear between ascending knots, flat outside.
fn interpolate(knots: &[f32], values: &[f64], at: f32) -> f64 {
    let above = knots.partition_point(|knot| *knot < at);
    match (above.checked_sub(1), values.get(above)) {
        (Some(below), Some(value)) => {
            let share = f64::from((at - knots[below]) / (knots[above] - knots[below]));
            values[below] + (value - values[below]) * share
        }
        (Some(below), None) => values[below],
        (None, value) => value.copied().unwrap_or(0.5),
    }
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
