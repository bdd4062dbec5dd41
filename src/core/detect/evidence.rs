//! The evidence rule: Page's CUSUM of calibrated log-likelihood ratios, weighted by elapsed time.
//!
//! `S ← max(0, S + llr · Δt / τ)`: frames closer together than the correlation time `τ` are no independent witnesses,
//! so each weighs as much as the time it stands for; the verdict does not depend on the frame rate. A gap counts for at
//! most one `τ`: what was not seen is neither good nor bad.
//!
//! A tolerated rate of false alarms decides what is added to every `llr` (the CUSUM's reference value, here the *lift*) and
//! the sum that is an alarm, by what was measured with this model over whole prints, where it was ([`FalseAlarms`]); known
//! clutter is spared the lift ([`super::lift`]). Thresholds alone would not do: scores are calibrated on single pictures, and
//! what a camera shows for hours is either under any threshold or over it. Nor would lifts alone: one that takes what is
//! usual for a failure makes some cameras alarm all the time and others still not. Alerting and acting, at rates of their
//! own, have each a sum of their own.
//!
//! Where nothing was measured the threshold follows from Lorden's bound for the CUSUM, mean time between false alarms ≥ eʰ
//! observations (Page, Biometrika 41, 1954; Lorden, Ann. Math. Statist. 42, 1971), an observation being one `τ`: patient, as
//! real good prints are not the worst ones possible.

use serde::{Deserialize, Serialize};

/// The accumulated evidence of one camera.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    sum: f64,
    last_ms: Option<u64>,
}

/// A frame may move the evidence by at most this much, whatever the calibration says.
const LARGEST_STEP: f64 = 4.0;

impl Evidence {
    /// Takes in one frame's log-likelihood ratio, lifted; `at_ms` is when the frame was taken. A frame that is not newer than
    /// the one before adds nothing. `most` bounds the sum, so that an hour of failure is forgotten in minutes. Returns for how
    /// long the frame stands, ms.
    pub fn add(
        &mut self,
        at_ms: u64,
        log_likelihood_ratio: f64,
        correlation_ms: u64,
        most: f64,
    ) -> u64 {
        let Some(last) = self.last_ms.replace(at_ms.max(self.last_ms.unwrap_or(0))) else {
            return 0;
        };
        let elapsed = at_ms.saturating_sub(last).min(correlation_ms);
        let weight = elapsed as f64 / correlation_ms.max(1) as f64;
        if !log_likelihood_ratio.is_nan() {
            let step = log_likelihood_ratio.clamp(-LARGEST_STEP, LARGEST_STEP) * weight;
            self.sum = (self.sum + step).clamp(0.0, most);
        }
        elapsed
    }

    /// The sum, 0 or more.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Frames did not count for a while: the next one stands for no time yet.
    pub fn interrupt(&mut self) {
        self.last_ms = None;
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How often good prints were taken for failing ones, measured over whole prints: what each bar costs, from the most patient
/// to the most eager, at least two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalseAlarms {
    /// What was added to every frame's log-likelihood ratio, never falling.
    pub lift: Vec<f64>,
    /// The sum at which it was an alarm, above 0, never rising.
    pub threshold: Vec<f64>,
    /// False alarms per 100 print-hours, above 0 and strictly rising.
    pub per_100h: Vec<f64>,
    /// The correlation time that they were measured at, ms.
    pub correlation_ms: u64,
}

impl FalseAlarms {
    /// Each bar with its rate per 100 print-hours.
    pub fn of(bars: &[(Bar, f64)], correlation_ms: u64) -> Self {
        Self {
            lift: bars.iter().map(|(bar, _)| bar.lift).collect(),
            threshold: bars.iter().map(|(bar, _)| bar.threshold).collect(),
            per_100h: bars.iter().map(|(_, rate)| *rate).collect(),
            correlation_ms,
        }
    }

    /// What is wrong with the table, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let Self { lift, threshold, per_100h, .. } = self;
        let positive =
            |values: &[f64]| values.iter().all(|value| value.is_finite() && *value > 0.0);
        if lift.len() < 2 || lift.len() != threshold.len() || lift.len() != per_100h.len() {
            Some("must have two lifts or more, and a threshold and a rate for each")
        } else if !lift.iter().all(|lift| lift.abs() <= LARGEST_STEP) {
            Some("has a lift that is not a number from -4 to 4")
        } else if !positive(threshold) || !positive(per_100h) {
            Some("has a threshold or a rate that is not a number above 0")
        } else if !lift.is_sorted() || !threshold.iter().rev().is_sorted() {
            Some("must go from patient to eager: lifts may not fall, thresholds not rise")
        } else if !per_100h.is_sorted_by(|rate, next| rate < next) {
            Some("must ascend in rate")
        } else if self.correlation_ms == 0 {
            Some("must say which correlation time it was measured at")
        } else {
            None
        }
    }

    /// The bar for a rate. Between what was measured the lift and the threshold's logarithm go with the rate's logarithm; below,
    /// the threshold is higher by Lorden's bound, 1 for each factor of e.
    fn bar_at(&self, rate: f64) -> Bar {
        let known = |at: usize| {
            let bar = Bar { lift: *self.lift.get(at)?, threshold: *self.threshold.get(at)? };
            Some((*self.per_100h.get(at)?, bar))
        };
        let above = self.per_100h.partition_point(|known| *known <= rate);
        match (above.checked_sub(1).and_then(known), known(above)) {
            (Some((r0, patient)), Some((r1, eager))) => {
                let part = (rate / r0).ln() / (r1 / r0).ln();
                Bar {
                    lift: patient.lift + (eager.lift - patient.lift) * part,
                    threshold: patient.threshold * (eager.threshold / patient.threshold).powf(part),
                }
            }
            (Some((_, eager)), None) => eager,
            (None, Some((known, patient))) => {
                Bar { threshold: patient.threshold + (known / rate).ln(), ..patient }
            }
            (None, None) => Bar { lift: 0.0, threshold: f64::INFINITY },
        }
    }
}

/// What a tolerated rate comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Added to every frame's log-likelihood ratio.
    pub lift: f64,
    /// The sum at which it is an alarm.
    pub threshold: f64,
}

/// How false alarms are kept to `per_100h` per 100 hours: no more eager than the most eager bar that was measured, and more
/// patient than the most patient by the threshold.
pub fn bar(per_100h: f64, correlation_ms: u64, measured: Option<&FalseAlarms>) -> Bar {
    let correlation_ms = correlation_ms.max(1) as f64;
    let Some(measured) = measured else {
        let threshold = (100.0 * 3_600_000.0 / correlation_ms / per_100h).ln().max(1.0);
        return Bar { lift: 0.0, threshold };
    };
    // Twice as many observations an hour, twice as many chances to be wrong.
    measured.bar_at(per_100h * (correlation_ms / measured.correlation_ms as f64).min(1.0))
}

/// As [`bar`], for wrong actions: held to half of what is tolerated. What a rate comes to is known within a factor of two on
/// other printers; an alert may err by that either way, an action is to keep what it was allowed.
pub fn bar_to_act(per_100h: f64, correlation_ms: u64, measured: Option<&FalseAlarms>) -> Bar {
    bar(per_100h / 2.0, correlation_ms, measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CORRELATION_MS: u64 = 10_000;

    fn time_to(limit: f64, interval_ms: u64, ratio: f64) -> u64 {
        let mut evidence = Evidence::default();
        let mut at = 0;
        while evidence.sum() < limit {
            evidence.add(at, ratio, CORRELATION_MS, 100.0);
            at += interval_ms;
        }
        at - interval_ms
    }

    #[test]
    fn unmeasured_the_threshold_follows_from_the_bound() {
        let at = |rate| bar(rate, CORRELATION_MS, None);
        assert!((at(1.0).threshold - 36_000f64.ln()).abs() < 1e-9);
        assert!(at(5.0).threshold < at(1.0).threshold);
        assert!(at(1e9).threshold >= 1.0);
        assert_eq!(at(5.0).lift, 0.0);
    }

    #[test]
    fn measured_rates_are_met_between_them_smoothly_below_them_by_the_bound_and_above_them_not_at_all()
     {
        let measured = FalseAlarms {
            lift: vec![0.0, 2.0, 2.0],
            threshold: vec![4.0, 4.0, 1.0],
            per_100h: vec![0.2, 20.0, 80.0],
            correlation_ms: CORRELATION_MS,
        };
        assert_eq!(measured.fault(), None);
        let at = |rate| bar(rate, CORRELATION_MS, Some(&measured));
        for (rate, lift, threshold) in [
            (20.0, 2.0, 4.0),
            (2.0, 1.0, 4.0),
            (0.2, 0.0, 4.0),
            (0.2 / 1f64.exp(), 0.0, 5.0),
            (40.0, 2.0, 2.0),
            (1e9, 2.0, 1.0),
        ] {
            let found = at(rate);
            assert!((found.lift - lift).abs() < 1e-9, "{rate}: {found:?}");
            assert!((found.threshold - threshold).abs() < 1e-9, "{rate}: {found:?}");
        }
        assert_eq!(bar(2.0, CORRELATION_MS / 2, Some(&measured)), at(1.0));
        assert_eq!(bar(2.0, CORRELATION_MS * 2, Some(&measured)), at(2.0));
    }

    #[test]
    fn a_table_that_does_not_go_from_patient_to_eager_says_what_is_wrong_with_it() {
        let fault = |bars: [(f64, f64, f64); 2]| {
            let bars = bars.map(|(lift, threshold, rate)| (Bar { lift, threshold }, rate));
            FalseAlarms::of(&bars, CORRELATION_MS).fault()
        };
        assert_eq!(fault([(1.0, 4.0, 1.0), (1.0, 2.0, 3.0)]), None);
        for (bars, said) in [
            ([(1.0, 4.0, 1.0), (0.5, 4.0, 3.0)], "patient to eager"),
            ([(1.0, 4.0, 1.0), (1.0, 5.0, 3.0)], "patient to eager"),
            ([(1.0, 4.0, 1.0), (1.0, 2.0, 1.0)], "ascend in rate"),
            ([(1.0, 4.0, 1.0), (1.0, 0.0, 3.0)], "above 0"),
            ([(1.0, 4.0, 1.0), (4.5, 4.0, 3.0)], "-4 to 4"),
        ] {
            assert!(fault(bars).unwrap_or_default().contains(said), "{bars:?}: {:?}", fault(bars));
        }
        let uneven = FalseAlarms { threshold: vec![4.0], ..FalseAlarms::of(&[], CORRELATION_MS) };
        assert!(uneven.fault().is_some());
    }

    #[test]
    fn acting_is_held_to_half_of_what_is_tolerated() {
        assert_eq!(bar_to_act(2.0, CORRELATION_MS, None), bar(1.0, CORRELATION_MS, None));
    }

    #[test]
    fn a_gap_counts_for_one_correlation_time_at_most() {
        let mut evidence = Evidence::default();
        evidence.add(0, 3.0, CORRELATION_MS, 100.0);
        evidence.add(3_600_000, 3.0, CORRELATION_MS, 100.0);
        assert!((evidence.sum() - 3.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_verdict_comes_within_one_interval_at_any_frame_rate(ratio in 0.5f64..4.0, limit in 3.0f64..12.0) {
            let reference = time_to(limit, 100, ratio);
            for interval in [1_000, 5_000] {
                let time = time_to(limit, interval, ratio);
                prop_assert!(time.abs_diff(reference) <= interval, "{time} against {reference} at {interval}");
            }
        }

        #[test]
        fn a_clock_that_stands_still_or_goes_back_adds_nothing(steps in proptest::collection::vec((0u64..1_000, -4f64..4.0), 1..50)) {
            let mut evidence = Evidence::default();
            evidence.add(1_000, 4.0, CORRELATION_MS, 100.0);
            for (at, ratio) in steps {
                evidence.add(at, ratio, CORRELATION_MS, 100.0);
                prop_assert_eq!(evidence.sum(), 0.0);
            }
        }
    }
}
