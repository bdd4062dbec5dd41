//! From prints to figures.

use serde::Serialize;

use super::life::{Found, Told};
use crate::sim::scene::chance::Chance;

/// Resamplings for an interval.
const RESAMPLINGS: usize = 1_000;

/// A figure and the interval that holds it with 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Times over the failures that were found, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// Half of them took no longer.
    pub median_s: f64,
    /// 95 % of them took no longer.
    pub p95_s: f64,
    /// The median over all failures, those never found counting as later than any; `None` is never.
    pub median_of_all_s: Option<f64>,
}

/// What one rule at one setting did over all prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// How many prints.
    pub prints: usize,
    /// Hours of good printing.
    pub good_h: f64,
    /// Wrong alerts per 100 hours of good printing. Intervals are bootstrapped over printers: prints of one printer look
    /// alike and are no independent witnesses.
    pub false_alerts_per_100h: Estimate,
    /// Wrong alerts per 100 hours with clutter in view.
    pub false_alerts_in_clutter_per_100h: Estimate,
    /// Wrong pauses per 100 hours.
    pub false_pauses_per_100h: Estimate,
    /// Failures.
    pub failures: usize,
    /// Which part of them was alerted of within an hour.
    pub recall: Estimate,
    /// Which part was paused.
    pub paused: Estimate,
    /// From the failure's beginning to the alert.
    pub to_alert: Option<Times>,
    /// To the pause.
    pub to_pause: Option<Times>,
    /// Failures that were there from the first frame on, and how many of them were alerted of.
    pub from_the_start: (usize, usize),
    /// Prints whose camera died or froze, and how many of them were told of.
    pub blind: (usize, usize),
}

impl Tally {
    /// Over every printer's prints.
    pub fn of(printers: &[Vec<Told>]) -> Self {
        let all: Vec<&Told> = printers.iter().flatten().collect();
        let failures: Vec<Found> = all.iter().filter_map(|told| told.failure).collect();
        let first: Vec<&Found> = failures.iter().filter(|found| found.from_the_start).collect();
        let troubled: Vec<_> = all.iter().filter(|told| told.troubled).collect();
        let found = |found: &Found| f64::from(u8::from(found.alert_s.is_some()));
        let paused = |found: &Found| f64::from(u8::from(found.pause_s.is_some()));
        Self {
            prints: all.len(),
            good_h: all.iter().map(|told| told.good_h).sum(),
            false_alerts_per_100h: false_alerts_per_100h(printers),
            false_alerts_in_clutter_per_100h: false_alerts_per_100h(&cluttered(printers)),
            false_pauses_per_100h: rate(printers, |told| f64::from(told.false_pauses)),
            failures: failures.len(),
            recall: share(printers, found),
            paused: share(printers, paused),
            to_alert: times(failures.iter().map(|found| found.alert_s).collect()),
            to_pause: times(failures.iter().map(|found| found.pause_s).collect()),
            from_the_start: (
                first.len(),
                first.iter().filter(|found| found.alert_s.is_some()).count(),
            ),
            blind: (troubled.len(), troubled.iter().filter(|told| told.blind > 0).count()),
        }
    }
}

/// Those prints that had clutter in view.
pub fn cluttered(printers: &[Vec<Told>]) -> Vec<Vec<Told>> {
    let of_printer =
        |prints: &Vec<Told>| prints.iter().filter(|told| told.cluttered).cloned().collect();
    printers.iter().map(of_printer).collect()
}

/// Wrong alerts per 100 hours of good printing, over every printer's prints.
pub fn false_alerts_per_100h(printers: &[Vec<Told>]) -> Estimate {
    rate(printers, wrong_alerts)
}

/// How many more wrong alerts per 100 hours the same printers have in `some` prints than in `others`.
pub fn more_false_alerts_per_100h(some: &[Vec<Told>], others: &[Vec<Told>]) -> Estimate {
    let both = some.iter().zip(others);
    let parts: Vec<_> = both
        .map(|(some, others)| (per_printer(some, wrong_alerts), per_printer(others, wrong_alerts)))
        .collect();
    bootstrap(&parts, |picked| {
        let (some, others): (Vec<_>, Vec<_>) = picked.unzip();
        sum_over_sum(some.into_iter()) - sum_over_sum(others.into_iter())
    })
}

fn wrong_alerts(told: &Told) -> f64 {
    f64::from(told.false_alerts)
}

/// A hundred times the events, and the hours of good printing.
fn per_printer(prints: &[Told], events: impl Fn(&Told) -> f64) -> (f64, f64) {
    let hours: f64 = prints.iter().map(|told| told.good_h).sum();
    (100.0 * prints.iter().map(events).sum::<f64>(), hours)
}

fn rate(printers: &[Vec<Told>], events: impl Fn(&Told) -> f64) -> Estimate {
    ratio(&printers.iter().map(|prints| per_printer(prints, &events)).collect::<Vec<_>>())
}

fn share(printers: &[Vec<Told>], holds: impl Fn(&Found) -> f64) -> Estimate {
    let of_printer = |prints: &Vec<Told>| {
        let failures = || prints.iter().filter_map(|told| told.failure.as_ref());
        (failures().map(&holds).sum(), failures().count() as f64)
    };
    ratio(&printers.iter().map(of_printer).collect::<Vec<_>>())
}

/// Sum over sum, with a bootstrap over the parts.
fn ratio(parts: &[(f64, f64)]) -> Estimate {
    bootstrap(parts, |picked| sum_over_sum(picked))
}

fn sum_over_sum(parts: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (above, below) = parts.fold((0.0, 0.0), |(above, below), (a, b)| (above + a, below + b));
    if below > 0.0 { above / below } else { 0.0 }
}

fn bootstrap<T: Copy>(parts: &[T], of: impl Fn(&mut dyn Iterator<Item = T>) -> f64) -> Estimate {
    let mut chance = Chance::new(parts.len() as u64, 7);
    let mut drawn: Vec<f64> = (0..RESAMPLINGS)
        .map(|_| of(&mut parts.iter().map(|_| parts[chance.bits() as usize % parts.len()])))
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |part: f64| drawn.get((part * RESAMPLINGS as f64) as usize).copied().unwrap_or(0.0);
    Estimate { value: of(&mut parts.iter().copied()), low: at(0.025), high: at(0.975) }
}

fn times(all: Vec<Option<f64>>) -> Option<Times> {
    let total = all.len();
    let mut found: Vec<f64> = all.into_iter().flatten().collect();
    found.sort_by(f64::total_cmp);
    let at = |part: f64| {
        found.get(((part * found.len() as f64) as usize).min(found.len().saturating_sub(1)))
    };
    Some(Times {
        median_s: *at(0.5)?,
        p95_s: *at(0.95)?,
        median_of_all_s: found.get(total / 2).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(good_h: f64, false_alerts: u32, alert_s: Option<Option<f64>>) -> Told {
        let failure =
            alert_s.map(|alert_s| Found { from_the_start: false, alert_s, pause_s: None });
        Told {
            good_h,
            false_alerts,
            false_pauses: 0,
            failure,
            blind: 0,
            troubled: false,
            cluttered: false,
        }
    }

    #[test]
    fn rates_are_over_all_hours_and_intervals_hold_them() {
        let printers: Vec<Vec<Told>> = (0..20)
            .map(|i| vec![told(4.0, u32::from(i % 4 == 0), None), told(6.0, 0, None)])
            .collect();
        let tally = Tally::of(&printers);
        let found = tally.false_alerts_per_100h;
        assert!((found.value - 2.5).abs() < 1e-9 && (tally.good_h - 200.0).abs() < 1e-9);
        assert!(found.low < 2.5 && found.low > 0.0 && found.high > 2.5, "{found:?}");
        assert_eq!(tally, Tally::of(&printers));
    }

    #[test]
    fn what_is_more_is_told_printer_by_printer() {
        let printers = |more: u32| -> Vec<Vec<Told>> {
            (0..20).map(|i| vec![told(10.0, i % 4 + more, None)]).collect()
        };
        let same = more_false_alerts_per_100h(&printers(0), &printers(0));
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
        // However unlike the printers are, each has one more in ten hours.
        let more = more_false_alerts_per_100h(&printers(1), &printers(0));
        assert!([more.low, more.value, more.high].iter().all(|more| (more - 10.0).abs() < 1e-9));
    }

    #[test]
    fn failures_never_found_are_later_than_any() {
        let prints = [Some(10.0), Some(20.0), None, None, None];
        let printers = [prints.map(|alert_s| told(1.0, 0, Some(alert_s))).to_vec()];
        let tally = Tally::of(&printers);
        assert!((tally.recall.value - 0.4).abs() < 1e-9);
        let times = tally.to_alert.unwrap();
        assert_eq!((times.median_s, times.median_of_all_s), (20.0, None));
        assert_eq!(tally.to_pause, None);
    }
}
