//! How many frames are scored.

use std::collections::VecDeque;

const MINUTE_MS: u64 = 60_000;
/// Frames may come later than twice their interval by this much, ms.
const SLACK_MS: u64 = 2_000;

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

    /// The mean time between the last frames, ms, where it is much longer than it should be: a busy host, a slow model.
    pub(super) fn slower_than(&self, interval_ms: u64) -> Option<u64> {
        let (first, last) = (self.scored_ms.front()?, self.scored_ms.back()?);
        let gaps = self.scored_ms.len() as u64 - 1;
        let mean = last.saturating_sub(*first).checked_div(gaps)?;
        (gaps >= 3 && mean > 2 * interval_ms + SLACK_MS).then_some(mean)
    }

    /// Nothing was to be scored for a while.
    pub(super) fn forget(&mut self) {
        self.scored_ms.clear();
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
    fn frames_that_come_much_later_than_asked_for_are_noticed() {
        let paced = |every_ms: u64| {
            let mut pace = Pace::default();
            (0..10).for_each(|n| pace.note(n * every_ms));
            pace.slower_than(2_000)
        };
        assert_eq!(paced(500), None);
        assert_eq!(paced(5_000), None);
        assert_eq!(paced(9_000), Some(9_000));
        let mut pace = Pace::default();
        pace.note(0);
        pace.note(30_000);
        assert_eq!(pace.slower_than(2_000), None, "one gap is no pace");
    }

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
