//! The evidence rule: Page's CUSUM of calibrated log-likelihood ratios, weighted by elapsed time.
//!
//! `S ← max(0, S + llr · Δt / τ)`: frames closer together than the correlation time `τ` are no independent witnesses,
//! so each weighs as much as the time it stands for; the verdict does not depend on the frame rate. A gap counts for at
//! most one `τ`: what was not seen is neither good nor bad.
//!
//! The threshold for a tolerated rate of false alarms is what was measured with this model over whole prints, where it was
//! ([`FalseAlarms`]). Else it follows from Lorden's bound for the CUSUM, mean time between false alarms ≥ eʰ observations
//! (Page, Biometrika 41, 1954; Lorden, Ann. Math. Statist. 42, 1971), an observation being one `τ`: patient, as real good
//! prints are not the worst ones possible.

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
    /// Takes in one frame's log-likelihood ratio; `at_ms` is when the frame was taken. A frame that is not newer than
    /// the one before adds nothing. `most` bounds the sum, so that an hour of failure is forgotten in minutes.
    pub fn add(&mut self, at_ms: u64, log_likelihood_ratio: f32, correlation_ms: u64, most: f64) {
        let Some(last) = self.last_ms.replace(at_ms.max(self.last_ms.unwrap_or(0))) else {
            return;
        };
        let elapsed = at_ms.saturating_sub(last).min(correlation_ms);
        let weight = elapsed as f64 / correlation_ms.max(1) as f64;
        if log_likelihood_ratio.is_nan() {
            return;
        }
        let step = f64::from(log_likelihood_ratio).clamp(-LARGEST_STEP, LARGEST_STEP) * weight;
        self.sum = (self.sum + step).clamp(0.0, most);
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

/// How often good prints were taken for failing ones, measured over whole prints: what a threshold of the evidence costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalseAlarms {
    /// Thresholds, strictly ascending, at least two.
    pub threshold: Vec<f64>,
    /// False alarms per 100 print-hours at each, above 0 and strictly falling.
    pub per_100h: Vec<f64>,
    /// The correlation time that they were measured at, ms.
    pub correlation_ms: u64,
    /// Added to every frame's log-likelihood ratio, there and in use. The calibration is of single pictures; of a camera's
    /// frames it is known what else it shows, so that the same score is worth more.
    #[serde(default)]
    pub lift: f32,
}

impl FalseAlarms {
    /// What is wrong with the table, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let ascending = self.threshold.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = self.per_100h.windows(2).all(|pair| pair[0] > pair[1]);
        if self.threshold.len() < 2 || self.threshold.len() != self.per_100h.len() {
            Some("must have two thresholds or more and a rate for each")
        } else if !self.threshold.iter().chain(&self.per_100h).all(|v| v.is_finite() && *v > 0.0) {
            Some("has a value that is not a number above 0")
        } else if !ascending || !falling {
            Some("must ascend in threshold and fall in rate")
        } else if self.correlation_ms == 0 {
            Some("must say which correlation time it was measured at")
        } else if !(f64::from(self.lift).abs() < LARGEST_STEP) {
            Some("must have a lift between -4 and 4")
        } else {
            None
        }
    }
}

/// The sum at which a rate of false alarms of `per_100h` per 100 hours is met. Not below the least that was measured, or
/// 1 where nothing was. The one place where a rate becomes a threshold.
pub fn threshold(per_100h: f64, correlation_ms: u64, measured: Option<&FalseAlarms>) -> f64 {
    let correlation_ms = correlation_ms.max(1) as f64;
    let Some(measured) = measured else {
        return (100.0 * 3_600_000.0 / correlation_ms / per_100h).ln().max(1.0);
    };
    // Twice as many observations an hour, twice as many chances to be wrong.
    let observations = (measured.correlation_ms as f64 / correlation_ms).ln();
    let least = measured.threshold.first().copied().unwrap_or(1.0);
    (at_rate(measured, per_100h) + observations).max(least)
}

/// Linear in the logarithm of the rate between what was measured; beyond it as Lorden's bound has it, a factor of e for
/// each 1.
fn at_rate(measured: &FalseAlarms, per_100h: f64) -> f64 {
    let knots = || measured.per_100h.iter().copied().zip(measured.threshold.iter().copied());
    let below = knots().take_while(|&(rate, _)| rate >= per_100h).last();
    let above = knots().find(|&(rate, _)| rate < per_100h);
    match (below, above) {
        (Some((r0, h0)), Some((r1, h1))) => h0 + (h1 - h0) * (r0 / per_100h).ln() / (r0 / r1).ln(),
        (Some((rate, threshold)), None) | (None, Some((rate, threshold))) => {
            threshold + (rate / per_100h).ln()
        }
        (None, None) => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CORRELATION_MS: u64 = 10_000;

    fn time_to(limit: f64, interval_ms: u64, ratio: f32) -> u64 {
        let mut evidence = Evidence::default();
        let mut at = 0;
        while evidence.sum() < limit {
            evidence.add(at, ratio, CORRELATION_MS, 100.0);
            at += interval_ms;
        }
        at - interval_ms
    }

    #[test]
    fn thresholds_follow_the_tolerated_rate() {
        assert!((threshold(1.0, CORRELATION_MS, None) - 36_000f64.ln()).abs() < 1e-9);
        assert!(threshold(5.0, CORRELATION_MS, None) < threshold(1.0, CORRELATION_MS, None));
        assert!(threshold(1e9, CORRELATION_MS, None) >= 1.0);
    }

    #[test]
    fn measured_rates_are_met_between_them_smoothly_above_them_by_the_bound_and_below_them_not_at_all()
     {
        let measured = FalseAlarms {
            threshold: vec![4.0, 8.0],
            per_100h: vec![20.0, 0.2],
            correlation_ms: CORRELATION_MS,
            lift: 0.0,
        };
        let at = |rate| threshold(rate, CORRELATION_MS, Some(&measured));
        for (rate, expected) in
            [(20.0, 4.0), (2.0, 6.0), (0.2, 8.0), (0.2 / 1f64.exp(), 9.0), (1e9, 4.0)]
        {
            assert!((at(rate) - expected).abs() < 1e-9, "{rate}: {}", at(rate));
        }
        assert!(threshold(2.0, CORRELATION_MS / 2, Some(&measured)) > at(2.0));
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
        fn the_verdict_comes_within_one_interval_at_any_frame_rate(ratio in 0.5f32..4.0, limit in 3.0f64..12.0) {
            let reference = time_to(limit, 100, ratio);
            for interval in [1_000, 5_000] {
                let time = time_to(limit, interval, ratio);
                prop_assert!(time.abs_diff(reference) <= interval, "{time} against {reference} at {interval}");
            }
        }

        #[test]
        fn a_clock_that_stands_still_or_goes_back_adds_nothing(steps in proptest::collection::vec((0u64..1_000, -4f32..4.0), 1..50)) {
            let mut evidence = Evidence::default();
            evidence.add(1_000, 4.0, CORRELATION_MS, 100.0);
            for (at, ratio) in steps {
                evidence.add(at, ratio, CORRELATION_MS, 100.0);
                prop_assert_eq!(evidence.sum(), 0.0);
            }
        }
    }
}
