//! The Spaghetti Detective's rule, kept for comparison: an exponentially weighted mean of the sum of confidences
//! against rolling means of this print and of the printer's lifetime, one frame each ten seconds.

use serde::{Deserialize, Serialize};

const EWM_ALPHA: f64 = 2.0 / 13.0;
const SHORT_FRAMES: u64 = 310;
const LONG_FRAMES: u64 = 7_200;
const SAFE_FRAMES: u64 = 30;
const LOW: f64 = 0.38;
const HIGH: f64 = 0.78;
const SHORT_MULTIPLE: f64 = 3.8;
const FRAME_EVERY_MS: u64 = 10_000;
/// How much more it takes to alert.
pub const ESCALATION_ALERT: f64 = 1.0;
/// How much more it takes to pause.
pub const ESCALATION_ACT: f64 = 1.75;

/// A rolling mean as the rule has it: exact until `window` frames, then with weight 1/window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RollingMean {
    mean: f64,
    frames: u64,
}

impl RollingMean {
    fn add(&mut self, p: f64, window: u64) {
        self.frames += 1;
        self.mean += (p - self.mean) / self.frames.min(window) as f64;
    }
}

/// The rule's memory for one camera. The lifetime's mean outlives the print.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tsd {
    ewm: f64,
    short: RollingMean,
    /// The lifetime's rolling mean.
    pub lifetime: RollingMean,
    last_ms: Option<u64>,
}

impl Tsd {
    /// Begins a new print; the lifetime's mean stays.
    pub fn new_print(&mut self) {
        *self = Self { lifetime: self.lifetime, ..Self::default() };
    }

    /// Takes in `p`, the sum of confidences, of a frame taken at `at_ms`; frames within ten seconds of the last are passed over.
    pub fn add(&mut self, at_ms: u64, p: f64) {
        if self.last_ms.is_some_and(|last| at_ms < last.saturating_add(FRAME_EVERY_MS)) {
            return;
        }
        self.last_ms = Some(at_ms);
        self.ewm = p * EWM_ALPHA + self.ewm * (1.0 - EWM_ALPHA);
        self.short.add(p, SHORT_FRAMES);
        self.lifetime.add(p, LONG_FRAMES);
    }

    /// The adjusted mean, to be compared with 0.38 and 0.78.
    pub fn adjusted(&self, sensitivity: f64, escalation: f64) -> f64 {
        (self.ewm - self.lifetime.mean) * sensitivity / escalation
    }

    /// Whether the rule calls this a failure.
    pub fn is_failing(&self, sensitivity: f64, escalation: f64) -> bool {
        let adjusted = self.adjusted(sensitivity, escalation);
        self.short.frames >= SAFE_FRAMES
            && adjusted >= LOW
            && (adjusted > HIGH
                || adjusted > SHORT_MULTIPLE * (self.short.mean - self.lifetime.mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(frames: &[(u64, f64)]) -> Tsd {
        let mut tsd = Tsd::default();
        let mut at = 0;
        for &(count, p) in frames {
            for _ in 0..count {
                tsd.add(at, p);
                at += FRAME_EVERY_MS;
            }
        }
        tsd
    }

    #[test]
    fn a_sudden_failure_after_a_long_good_time_fires() {
        let tsd = after(&[(3_000, 0.0), (20, 0.9)]);
        assert!(tsd.is_failing(1.0, ESCALATION_ALERT));
    }

    #[test]
    fn a_failure_from_the_first_frame_of_a_new_printer_never_fires() {
        let mut tsd = Tsd::default();
        for frame in 0..2_000 {
            tsd.add(frame * FRAME_EVERY_MS, 0.9);
            assert!(!tsd.is_failing(1.0, ESCALATION_ALERT));
        }
    }

    #[test]
    fn a_steady_half_never_pauses() {
        let tsd = after(&[(3_000, 0.0), (300, 0.5)]);
        assert!(!tsd.is_failing(1.0, ESCALATION_ACT));
    }

    #[test]
    fn frames_closer_than_ten_seconds_are_passed_over() {
        let mut tsd = Tsd::default();
        tsd.add(0, 1.0);
        let once = tsd.clone();
        tsd.add(9_999, 1.0);
        assert_eq!(tsd, once);
    }
}
