//! The report for people.

use super::Report;
use super::contest::Entry;
use crate::cli::output::say;
use crate::cli::replay::rule_word;
use crate::sim::workload::tally::{Estimate, Times};

/// Prints it.
pub(super) fn print(report: &Report) {
    say(format_args!(
        "{} prints of {} printers ({}), seed {}, model {}",
        report.prints, report.printers, report.material, report.seed, report.model
    ));
    if let Some(first) = report.entries.first() {
        say(format_args!(
            "{:.0} hours of good printing, {} failures; intervals hold 95 %, bootstrapped over printers",
            first.tally.good_h, first.tally.failures
        ));
    }
    say("");
    say(
        "rule                                    wrong alerts/100 h    wrong pauses/100 h  found            to alert: median, 95 %   to pause",
    );
    for entry in &report.entries {
        line(entry);
    }
    say("");
    for entry in &report.entries {
        let tally = &entry.tally;
        let by_clutter = entry.false_alerts_by_clutter_per_100h;
        let by_clutter = by_clutter.map_or_else(String::new, |found| {
            format!(" ({} more than in the same prints without it)", interval(found))
        });
        say(format_args!(
            "{:12} {:26} in clutter {}/100 h{}; there from the first frame: {} of {} found; dead or frozen camera: {} of {} told",
            rule_word(entry.rule),
            entry.setting,
            interval(tally.false_alerts_in_clutter_per_100h),
            by_clutter,
            tally.from_the_start.1,
            tally.from_the_start.0,
            tally.blind.1,
            tally.blind.0,
        ));
    }
    say(format_args!(
        "a failure from the first frame of a new printer's first print: {} of {} found at the default setting; the same, \
         when it comes halfway through: {}",
        report.newborn.from_the_start, report.newborn.printers, report.newborn.halfway
    ));
    if let Some(found) = &report.false_alarms {
        say(format_args!(
            "\n[model.false_alarms]\nlift = {:?}\nthreshold = {:?}\nper_100h = {:?}\ncorrelation_ms = {}",
            found.lift, found.threshold, found.per_100h, found.correlation_ms
        ));
    }
}

fn line(entry: &Entry) {
    let tally = &entry.tally;
    say(format_args!(
        "{:12} {:26} {:20}  {:20}  {:16} {:24}  {}",
        rule_word(entry.rule),
        entry.setting,
        interval(tally.false_alerts_per_100h),
        interval(tally.false_pauses_per_100h),
        percent(tally.recall),
        times(tally.to_alert),
        times(tally.to_pause),
    ));
}

fn interval(found: Estimate) -> String {
    format!("{:.2} ({:.2}..{:.2})", found.value, found.low, found.high)
}

fn percent(found: Estimate) -> String {
    format!("{:.1} % ({:.0}..{:.0})", 100.0 * found.value, 100.0 * found.low, 100.0 * found.high)
}

fn times(found: Option<Times>) -> String {
    let Some(times) = found else { return "never".to_owned() };
    format!("{}, {}", span(times.median_s), span(times.p95_s))
}

fn span(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.1} min", seconds / 60.0) }
}
