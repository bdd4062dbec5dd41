//! The evidence rule: Page's CUSUM of calibrated log-likelihood ratios, weighted by elapsed time.
//!
//! `S ← max(0, S + llr · Δt / τ)`: frames closer together than the correlation time `τ` are no independent witnesses,
//! so each weighs as much as the time it stands for; the verdict does not depend on the frame rate. A gap counts for at
//! most one `τ`: what was not seen is neither good nor bad.
//!
//! The threshold for a tolerated rate of false alarms follows from Lorden's bound for the CUSUM, mean time between false
//! alarms ≥ eʰ observations (Page, Biometrika 41, 1954; Lorden, Ann. Math. Statist. 42, 1971), an observation being one `τ`.

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

/// The sum at which a rate of false alarms of `per_100h` per 100 hours is met, at least 1.
pub fn threshold(per_100h: f64, correlation_ms: u64) -> f64 {
    let observations = 100.0 * 3_600_000.0 / correlation_ms.max(1) as f64;
    (observations / per_100h).ln().max(1.0)
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
        assert!((threshold(1.0, CORRELATION_MS) - 36_000f64.ln()).abs() < 1e-9);
        assert!(threshold(5.0, CORRELATION_MS) < threshold(1.0, CORRELATION_MS));
        assert!(threshold(1e9, CORRELATION_MS) >= 1.0);
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
