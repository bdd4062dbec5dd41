//! The plainest rule, kept for comparison: so many frames in a row that score too high. Its verdict depends on the frame
//! rate, and one good frame forgets everything.

use serde::{Deserialize, Serialize};

/// How many times as many frames acting takes.
const ACT_TIMES: u32 = 2;

/// What the rule is set to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsecutiveSettings {
    /// Frames in a row to alert, at least 1; acting takes twice as many.
    pub frames: u32,
    /// The score from which a frame counts, 0..1.
    pub score: f32,
}

impl Default for ConsecutiveSettings {
    fn default() -> Self {
        Self { frames: 3, score: 0.5 }
    }
}

impl ConsecutiveSettings {
    /// Frames in a row that it takes to alert.
    pub fn to_alert(self) -> u32 {
        self.frames.max(1)
    }

    /// Frames in a row that it takes to act.
    pub fn to_act(self) -> u32 {
        self.to_alert().saturating_mul(ACT_TIMES)
    }
}

/// The rule's memory for one camera.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Consecutive {
    in_a_row: u32,
}

impl Consecutive {
    /// Takes in a frame's score.
    pub fn add(&mut self, score: f32, settings: ConsecutiveSettings) {
        let counts = score >= settings.score;
        self.in_a_row = if counts { self.in_a_row.saturating_add(1) } else { 0 };
    }

    /// Frames in a row so far.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_frame_forgets_everything() {
        let settings = ConsecutiveSettings::default();
        let mut rule = Consecutive::default();
        for score in [0.5, 0.9, 0.49, 0.9, 0.9] {
            rule.add(score, settings);
        }
        assert_eq!(rule.in_a_row(), 2);
        rule.add(0.6, settings);
        assert_eq!(rule.in_a_row(), settings.to_alert());
    }
}
