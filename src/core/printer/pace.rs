//! How many frames are scored.

use std::collections::VecDeque;

const MINUTE_MS: u64 = 60_000;

/// When frames were scored in the last minute.
#[derive(Debug, Default)]
pub(super) struct Pace {
    scored_ms: VecDeque<u64>,
}

impl Pace {
    /// One more, now.
    pub(super) fn note(&mut self, now_ms: u64) {
        while self.scored_ms.front().is_some_and(|then| then.saturating_add(MINUTE_MS) <= now_ms) {
            self.scored_ms.pop_front();
        }
        self.scored_ms.push_back(now_ms);
    }

    /// How many in the minute before the last one, that one included.
    pub(super) fn per_minute(&self) -> usize {
        self.scored_ms.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_minute(), 0);
        for (now, expected) in [(0, 1), (30_000, 2), (59_999, 3), (60_000, 3), (119_999, 2)] {
            pace.note(now);
            assert_eq!(pace.per_minute(), expected, "at {now}");
        }
    }
}
