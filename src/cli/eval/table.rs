//! The report for people.

use std::collections::BTreeMap;

use crate::cli::output::say;

use super::metrics::Interval;
use super::report::{Part, Report};

/// Prints the report as tables.
pub fn print(report: &Report) {
    let all = &report.all;
    say(format_args!(
        "{}: {} failing and {} good pictures ({} ignored, {} unreadable), {:.1} ms inference",
        report.model, all.failing, all.good, report.ignored, report.unreadable, report.infer_ms
    ));
    say("");
    say("figure                        value   95 % interval");
    let figures = [
        ("AUROC", &all.auroc),
        ("average precision", &all.average_precision),
        ("recall at 0 % false alarms", &all.recall_at_0),
        ("recall at 1 % false alarms", &all.recall_at_1),
        ("recall at 5 % false alarms", &all.recall_at_5),
    ];
    for (name, figure) in figures {
        say(format_args!("{name:28} {}", interval(figure.as_ref())));
    }
    say("");
    say("threshold                              at   recall  false alarms");
    let point = report.at_alert_point;
    let rates =
        |recall, false_positives| format!("{:>7}  {:>12}", share(recall), share(false_positives));
    say(format_args!(
        "{:32} {:8.4}  {}",
        "the manifest's alert point",
        point.threshold,
        rates(point.recall, point.false_positives)
    ));
    for webcam in &report.at_webcam_thresholds {
        let name = format!("{:.0} % of good webcam pictures", webcam.rate * 100.0);
        say(format_args!(
            "{name:32} {:8.4}  {}",
            webcam.all.threshold,
            rates(webcam.all.recall, webcam.all.false_positives)
        ));
    }
    say("");
    if let Some(found) = &report.calibration {
        say(format_args!(
            "calibration at equal priors: expected error {:.4}, Brier {:.4}",
            found.expected_error, found.brier
        ));
    }
    say(format_args!(
        "good sequences: {}, with more than one frame at the alert point: {}",
        report.good_sequences,
        report.alarming_sequences.len()
    ));
    for sequence in &report.alarming_sequences {
        say(format_args!("  {}: {} of {} frames", sequence.name, sequence.alarms, sequence.frames));
    }
    parts("source", &report.by_source);
    parts("view", &report.by_view);
}

fn parts(title: &str, parts: &BTreeMap<String, Part>) {
    say("");
    say(format_args!(
        "{title:24} failing  good   AUROC | alert point: recall  alarms | webcam 1 %: recall  alarms"
    ));
    for (name, part) in parts {
        let figures = &part.figures;
        let auroc = figures.auroc.map_or("-".to_owned(), |found| format!("{:.4}", found.value));
        let (point, webcam) = (part.at_alert_point, part.at_webcam_threshold);
        say(format_args!(
            "{:24} {:7} {:5}  {auroc:>6} | {:>19} {:>7} | {:>18} {:>7}",
            if name.is_empty() { "(not stated)" } else { name },
            figures.failing,
            figures.good,
            share(point.recall),
            share(point.false_positives),
            share(webcam.and_then(|w| w.recall)),
            share(webcam.and_then(|w| w.false_positives)),
        ));
    }
}

fn interval(found: Option<&Interval>) -> String {
    found.map_or("     -".to_owned(), |found| {
        format!("{:6.4}   {:.4} to {:.4}", found.value, found.low, found.high)
    })
}

fn share(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{:.1} %", value * 100.0))
}
