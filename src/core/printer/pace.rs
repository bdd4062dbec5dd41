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

    /// How many in the minute before now.
    pub(super) fn per_minute(&self, now_ms: u64) -> usize {
        let past = |then: &u64| then.saturating_add(MINUTE_MS) <= now_ms;
        self.scored_ms.len() - self.scored_ms.partition_point(past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_minute(0), 0);
        for then in [0, 30_000, 59_999] {
            pace.note(then);
        }
        assert_eq!(pace.per_minute(59_999), 3);
        assert_eq!(pace.per_minute(60_000), 2);
        assert_eq!(pace.per_minute(119_999), 0);
        pace.note(90_000);
        assert_eq!((pace.per_minute(90_000), pace.scored_ms.len()), (2, 2));
    }
}
