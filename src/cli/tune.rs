//! `strandwatch tune`: settings proposed from a printer's own prints and from what people answered to its alerts.

use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;

use super::output::{complain, say};
use super::pictures::Progress;
use super::replay::journals_in;
use super::{Exit, OrExit, Outcome, run};
use crate::app::judge::{Change, Happening, Judged, judge};
use crate::app::replay::ReadAhead;

/// Arguments of `strandwatch tune`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Journals or folders of them; without any, those that the daemon has kept
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Wrong alerts per 100 hours of printing that you would bear; without it what the configuration says
    #[arg(long, value_name = "RATE")]
    bear: Option<f64>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Values of `alert_false_alarms_per_100h` that are tried, the most patient first.
const TRIED: [f64; 8] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
/// An alert so long before the one that people confirmed was about the same failure, seconds.
const SAME_FAILURE_S: f64 = 20.0 * 60.0;
/// People have answered for at least so many hours before anything is proposed.
const LEAST_HOURS: f64 = 10.0;

/// What people know of a recorded print.
#[derive(Debug, Default)]
struct Known {
    /// Alerts that were confirmed, seconds since the recording began.
    confirmed_s: Vec<f64>,
    /// Alerts that were dismissed.
    dismissed: usize,
    /// Alerts that nobody answered.
    unanswered: usize,
}

/// What a setting would have done over all prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Outlook {
    /// `alert_false_alarms_per_100h`.
    alert_per_100h: f64,
    /// Hours of printing.
    hours: f64,
    /// Alerts that were no failure people confirmed.
    wrong: usize,
    /// Confirmed failures that it alerts of.
    found: usize,
    /// Of so many.
    failures: usize,
    /// How much later than recorded, seconds, the mean over those found; below 0 is earlier.
    later_s: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    prints: usize,
    dismissed: usize,
    unanswered: usize,
    bear_per_100h: f64,
    tried: Vec<Outlook>,
    /// The proposed `alert_false_alarms_per_100h`; `None` when there is too little to go by.
    proposed: Option<f64>,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let config = run::load(arguments.config.as_deref())?;
    let folders = match arguments.paths.as_slice() {
        [] => vec![config.store.evidence.clone()],
        paths => paths.to_vec(),
    };
    let mut files = Vec::new();
    for path in folders {
        if path.is_dir() {
            files.extend(journals_in(&path).or_exit(Exit::Usage)?);
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        let why = anyhow!("there is no recorded print yet: the daemon records each one it watches");
        return Err(why).or_exit(Exit::Usage);
    }
    let changes: Vec<Change> = std::iter::once(Change::default())
        .chain(TRIED.map(|rate| Change { alert_per_100h: Some(rate), ..Change::default() }))
        .collect();
    let mut report = Report {
        prints: 0,
        dismissed: 0,
        unanswered: 0,
        bear_per_100h: arguments.bear.unwrap_or(config.watch.alert_false_alarms_per_100h),
        tried: TRIED
            .map(|alert_per_100h| Outlook { alert_per_100h, ..Outlook::default() })
            .to_vec(),
        proposed: None,
    };
    let progress = Progress::with_lines(files.len() as u64, "prints");
    let mut unreadable = false;
    for file in &files {
        let judged = ReadAhead::open(file)
            .and_then(|recorded| judge(&recorded.setup.clone(), recorded, &changes));
        match judged {
            Ok(judged) => report.take(&judged),
            Err(error) => {
                unreadable = true;
                progress.above(|| complain(format_args!("strandwatch: {error}")));
            }
        }
        progress.step();
    }
    progress.finish();
    report.propose();
    if arguments.json {
        say(serde_json::to_string(&report).or_exit(Exit::Internal)?);
    } else {
        table(
            &report,
            config.watch.false_alarms_per_100h / config.watch.alert_false_alarms_per_100h,
        );
    }
    Ok(if unreadable { Exit::ProblemsFound } else { Exit::Well })
}

impl Known {
    /// From the replay by the recorded settings, which decides as the daemon did.
    fn of(recorded: &Judged) -> Self {
        let mut known = Self::default();
        for alert in recorded.happenings.iter().filter(|happening| happening.what == "alert") {
            let answer = |word: &str| {
                let same = |h: &&Happening| h.what == word && h.incident == alert.incident;
                recorded.happenings.iter().any(|happening| same(&happening))
            };
            if answer("confirmed") {
                known.confirmed_s.push(alert.at_s);
            } else if answer("dismissed") {
                known.dismissed += 1;
            } else {
                known.unanswered += 1;
            }
        }
        known
    }
}

impl Report {
    fn take(&mut self, judged: &[Judged]) {
        let Some((recorded, tried)) = judged.split_first() else { return };
        let known = Known::of(recorded);
        self.prints += 1;
        self.dismissed += known.dismissed;
        self.unanswered += known.unanswered;
        for (outlook, judged) in self.tried.iter_mut().zip(tried) {
            outlook.add(judged, &known);
        }
    }

    /// The most eager setting that alerts wrongly no more often than is borne, among those that miss the fewest failures.
    fn propose(&mut self) {
        let enough = self.tried.first().is_some_and(|first| first.hours >= LEAST_HOURS);
        let borne =
            |outlook: &&Outlook| 100.0 * outlook.wrong as f64 <= self.bear_per_100h * outlook.hours;
        let best = self.tried.iter().filter(borne).max_by(|a, b| {
            (a.found, a.alert_per_100h)
                .partial_cmp(&(b.found, b.alert_per_100h))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        self.proposed = best.filter(|_| enough).map(|outlook| outlook.alert_per_100h);
    }
}

impl Outlook {
    fn add(&mut self, judged: &Judged, known: &Known) {
        self.hours += judged.hours;
        let mut found_before = self.found as f64;
        self.failures += known.confirmed_s.len();
        let alerts: Vec<f64> = judged.times("alert").collect();
        for confirmed_s in &known.confirmed_s {
            let about_it = |at: &&f64| **at >= confirmed_s - SAME_FAILURE_S;
            if let Some(at) = alerts.iter().find(about_it) {
                self.later_s =
                    (self.later_s * found_before + at - confirmed_s) / (found_before + 1.0);
                found_before += 1.0;
                self.found += 1;
            }
        }
        // After the first confirmed failure a print is no good print any more.
        let failed_s = known.confirmed_s.first().map_or(f64::INFINITY, |at| at - SAME_FAILURE_S);
        self.wrong += alerts.iter().filter(|at| **at < failed_s).count();
    }
}

fn table(report: &Report, act_part: f64) {
    let hours = report.tried.first().map_or(0.0, |first| first.hours);
    say(format_args!(
        "{} prints, {:.1} hours; of the alerts then, {} were confirmed, {} dismissed, {} not answered (counted as wrong)",
        report.prints,
        hours,
        report.tried.first().map_or(0, |first| first.failures),
        report.dismissed,
        report.unanswered,
    ));
    say("alert_false_alarms_per_100h  wrong alerts  per 100 h  failures found  later by");
    for outlook in &report.tried {
        let mark = if report.proposed == Some(outlook.alert_per_100h) { "*" } else { " " };
        say(format_args!(
            "{mark} {:25}  {:12}  {:9.2}  {:6} of {:4}  {:+.0} s",
            outlook.alert_per_100h,
            outlook.wrong,
            100.0 * outlook.wrong as f64 / outlook.hours.max(f64::MIN_POSITIVE),
            outlook.found,
            outlook.failures,
            outlook.later_s,
        ));
    }
    match report.proposed {
        Some(rate) => {
            say(format_args!(
                "\nproposed, as it alerts wrongly no more than {} times in 100 hours here and finds what can be found:\n",
                report.bear_per_100h
            ));
            say("[watch]");
            say(format_args!("false_alarms_per_100h = {}", (rate * act_part * 1e3).round() / 1e3));
            say(format_args!("alert_false_alarms_per_100h = {rate:?}"));
        }
        None if hours < LEAST_HOURS => say(format_args!(
            "\nnothing is proposed: {hours:.1} hours are too few to tell, {LEAST_HOURS} are needed"
        )),
        None => say(format_args!(
            "\nnothing is proposed: every setting alerts wrongly more than {} times in 100 hours here; masks or --bear may help",
            report.bear_per_100h
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::detect::Rule;

    fn judged(hours: f64, happenings: &[(f64, &'static str, &str)]) -> Judged {
        let happenings = happenings
            .iter()
            .map(|&(at_s, what, incident)| Happening {
                at_s,
                what,
                incident: Some(incident.to_owned()),
            })
            .collect();
        Judged {
            rule: Rule::Evidence,
            inputs: 0,
            hours,
            alert_at: None,
            happenings,
            moments: vec![],
        }
    }

    fn report(bear_per_100h: f64) -> Report {
        let tried = TRIED.map(|alert_per_100h| Outlook { alert_per_100h, ..Outlook::default() });
        let tried = tried.to_vec();
        Report { prints: 0, dismissed: 0, unanswered: 0, bear_per_100h, tried, proposed: None }
    }

    /// A print of 10 hours by every setting tried: `alerts(rate)` of it, and what people answered.
    fn print(
        answers: &[(f64, &'static str, &str)],
        alerts: impl Fn(f64) -> Vec<f64>,
    ) -> Vec<Judged> {
        let tried = TRIED.map(|rate| {
            let alerts: Vec<_> = alerts(rate).into_iter().map(|at| (at, "alert", "x")).collect();
            judged(10.0, &alerts)
        });
        std::iter::once(judged(10.0, answers)).chain(tried).collect()
    }

    #[test]
    fn the_most_eager_setting_that_is_borne_is_proposed() {
        let mut report = report(5.0);
        // A dismissed alert that settings from 10 on raise; a failure that settings from 1 on find, sooner the more eager.
        let dismissed = [(600.0, "alert", "i1"), (900.0, "dismissed", "i1")];
        report.take(&print(&dismissed, |rate| if rate >= 10.0 { vec![600.0] } else { vec![] }));
        let confirmed = [(8_000.0, "alert", "i1"), (8_100.0, "confirmed", "i1")];
        report.take(&print(&confirmed, |rate| {
            if rate >= 1.0 { vec![8_000.0 - rate * 10.0] } else { vec![] }
        }));
        report.propose();
        assert_eq!((report.prints, report.dismissed, report.unanswered), (2, 1, 0));
        assert_eq!(
            report.proposed,
            Some(50.0),
            "one wrong alert in 20 hours is borne at 5 per 100"
        );
        let mut strict = Report { bear_per_100h: 1.0, ..report };
        strict.propose();
        assert_eq!(strict.proposed, Some(5.0));
        let five = strict.tried[4];
        assert_eq!((five.wrong, five.found, five.failures), (0, 1, 1));
        assert!((five.later_s + 50.0).abs() < 1e-9);
    }

    #[test]
    fn too_little_printing_proposes_nothing() {
        let mut report = report(5.0);
        let all = std::iter::repeat_n(judged(1.0, &[]), TRIED.len() + 1);
        report.take(&all.collect::<Vec<_>>());
        report.propose();
        assert_eq!(report.proposed, None);
    }
}
