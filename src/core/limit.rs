//! How much one client may ask for, and how much of its being refused is announced: token buckets, so that a client that
//! repeats itself without end neither holds up the others nor fills the disk.

use std::collections::BTreeMap;

use super::types::Name;

/// A bucket's size and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// One more each so many ms.
    pub every_ms: u64,
}

/// Requests of one client to one printer.
pub const REQUESTS: Rate = Rate { burst: 20, every_ms: 1_000 };

/// Refusals of one client by one printer that are announced as events and kept in the log; all are answered.
pub const ANNOUNCED: Rate = Rate { burst: 10, every_ms: 30_000 };

/// What is left of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    left: u32,
    /// When it was last full or given one, ms.
    since_ms: u64,
}

impl Bucket {
    fn full(rate: Rate, now_ms: u64) -> Self {
        Self { left: rate.burst, since_ms: now_ms }
    }

    /// Takes one out, if there is one.
    fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        let grown = now_ms.saturating_sub(self.since_ms) / rate.every_ms;
        if grown >= u64::from(rate.burst - self.left) {
            *self = Self::full(rate, now_ms);
        } else {
            self.left += u32::try_from(grown).unwrap_or(u32::MAX);
            self.since_ms += grown * rate.every_ms;
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }
}

/// What one client has left.
#[derive(Debug)]
struct Allowance {
    requests: Bucket,
    announced: Bucket,
    /// Refusals since the last one that was announced.
    silent: u64,
}

/// Who asks of which printer. `client` is `None` for clients without a grant and names that nobody proved: there may be
/// any number of them, and none can use up a client's allowance. `printer` is `None` for all that do not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Asking {
    /// The client, if it has a grant.
    pub client: Option<Name>,
    /// The printer, if there is one: what is asked of one takes nothing from another.
    pub printer: Option<Name>,
}

/// What everybody has left.
#[derive(Debug, Default)]
pub struct Limits {
    allowances: BTreeMap<Asking, Allowance>,
}

impl Limits {
    /// Whether one more request is within the limit.
    pub fn admits(&mut self, asking: &Asking, now_ms: u64) -> bool {
        self.of(asking, now_ms).requests.take(REQUESTS, now_ms)
    }

    /// Whether a refusal is announced, and if so, how many before it were not.
    pub fn announces(&mut self, asking: &Asking, now_ms: u64) -> Option<u64> {
        let allowance = self.of(asking, now_ms);
        if allowance.announced.take(ANNOUNCED, now_ms) {
            Some(std::mem::take(&mut allowance.silent))
        } else {
            allowance.silent += 1;
            None
        }
    }

    fn of(&mut self, asking: &Asking, now_ms: u64) -> &mut Allowance {
        self.allowances.entry(asking.clone()).or_insert_with(|| Allowance {
            requests: Bucket::full(REQUESTS, now_ms),
            announced: Bucket::full(ANNOUNCED, now_ms),
            silent: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_one_at_a_time_and_never_more_than_its_burst() {
        let rate = Rate { burst: 3, every_ms: 100 };
        let mut bucket = Bucket::full(rate, 1_000);
        let mut taken = |now_ms| (0..10).filter(|_| bucket.take(rate, now_ms)).count();
        assert_eq!(taken(1_000), 3);
        assert_eq!(taken(1_099), 0);
        assert_eq!(taken(1_100), 1);
        assert_eq!(taken(1_350), 2);
        assert_eq!(taken(1_399), 0, "what was taken late is not given twice");
        assert_eq!(taken(1_400), 1);
        assert_eq!(taken(u64::MAX), 3);
    }

    #[test]
    fn each_client_has_its_own_for_each_printer_and_strangers_share_one() {
        let mut limits = Limits::default();
        let strangers = Asking::default();
        let phone = Asking { client: Name::parse("phone").ok(), printer: None };
        let phone_of_voron = Asking { printer: Name::parse("voron").ok(), ..phone.clone() };
        assert!((0..20).all(|_| limits.admits(&strangers, 0)));
        assert!(!limits.admits(&strangers, 0));
        assert!((0..20).all(|_| limits.admits(&phone, 0)));
        assert!(!limits.admits(&phone, 0));
        assert!(limits.admits(&phone_of_voron, 0));
        assert_eq!(limits.allowances.len(), 3);
    }

    #[test]
    fn what_was_not_announced_is_counted() {
        let mut limits = Limits::default();
        let all = Asking::default();
        let announced = (0..1_000).filter(|_| limits.announces(&all, 0) == Some(0)).count();
        assert_eq!(announced, 10);
        assert_eq!(limits.announces(&all, 30_000), Some(990));
        assert_eq!(limits.announces(&all, 60_000), Some(0));
    }
}
