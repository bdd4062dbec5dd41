//! Patience with a camera whose alerts nobody answers.
//!
//! Whoever answers an alert teaches the camera's cells ([`super::clutter`]). Where nobody ever does, the same place would
//! alert in print after print. An alert that went away by itself was probably wrong, all the more when its print ended
//! well: a camera that alerts so `k` times as often as tolerated is held to a `k`-th of the tolerated rate, down to the rate
//! for acting, which stays what it is. The estimate of `k` begins with one alert where one was tolerated.

use serde::{Deserialize, Serialize};

use super::Level;

/// What was before weighs no more than the time in which so many alerts are tolerated, so that old habits fade.
const MOST_TOLERATED: f64 = 10.0;

/// What a camera's alerts came to in prints that ended well: survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Habit {
    /// Alerts that went away with nobody having looked.
    alerts: f64,
    /// Alerts that were tolerated meanwhile.
    tolerated: f64,
}

/// One camera's alerts, earlier and in this print.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Patience {
    habit: Habit,
    /// One is raised that nobody has looked at.
    open: bool,
    /// This print's that went away with nobody having looked.
    cleared: u32,
    /// Alerts that were tolerated in this print so far.
    tolerated: f64,
}

impl Patience {
    /// With what earlier prints taught.
    pub fn new(habit: Habit) -> Self {
        Self { habit, ..Self::default() }
    }

    /// What earlier prints taught.
    pub fn habit(&self) -> Habit {
        self.habit
    }

    /// Whether this print raised an alert that nobody has looked at.
    pub fn is_doubted(&self) -> bool {
        self.open || self.cleared > 0
    }

    /// The rate that this camera is held to, per 100 hours, where people tolerate `alerting` wrong alerts and `acting`
    /// wrong actions.
    pub fn rate(&self, alerting: f64, acting: f64) -> f64 {
        let alerts = self.habit.alerts + f64::from(self.cleared) + 1.0;
        let tolerated = self.habit.tolerated + self.tolerated + 1.0;
        (alerting * tolerated / alerts).max(acting).min(alerting)
    }

    /// Takes in a frame that stands for `elapsed_ms`, while the camera was held to `per_100h`, and what it led to.
    pub fn follow(&mut self, level: Level, per_100h: f64, elapsed_ms: u64) {
        self.tolerated += per_100h * elapsed_ms as f64 / (100.0 * 3_600_000.0);
        self.open |= level >= Level::Alert;
        if self.open && level == Level::Clear {
            self.open = false;
            self.cleared = self.cleared.saturating_add(1);
        }
    }

    /// The camera shows something else from now on: what earlier prints taught is of no use. This print stays in doubt.
    pub fn moved(&mut self) {
        self.habit = Habit::default();
    }

    /// People have looked: this print's alerts so far are answered.
    pub fn looked(&mut self) {
        self.open = false;
        self.cleared = 0;
    }

    /// The print ended well.
    pub fn ended_well(&mut self) {
        let kept = MOST_TOLERATED / (MOST_TOLERATED + self.tolerated);
        self.habit.alerts = self.habit.alerts * kept + f64::from(self.cleared);
        self.habit.tolerated = self.habit.tolerated * kept + self.tolerated;
        self.new_print();
    }

    /// Begins a new print: of one that did not end well nothing is known.
    pub fn new_print(&mut self) {
        *self = Self::new(self.habit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// A print of so many hours with so many alerts that nobody looks at.
    fn print(patience: &mut Patience, hours: u64, alerts: u32) {
        let rate = patience.rate(5.0, 1.0);
        for _ in 0..hours {
            patience.follow(Level::Clear, rate, HOUR_MS);
        }
        for _ in 0..alerts {
            patience.follow(Level::Alert, rate, 0);
            patience.follow(Level::Suspect, rate, 0);
            patience.follow(Level::Alert, rate, 0);
            patience.follow(Level::Clear, rate, 0);
        }
    }

    #[test]
    fn a_camera_is_held_to_less_the_more_often_it_alerted_for_nothing() {
        let mut patience = Patience::default();
        assert_eq!(patience.rate(5.0, 1.0), 5.0);
        print(&mut patience, 4, 1);
        let once = patience.rate(5.0, 1.0);
        print(&mut patience, 4, 1);
        let twice = patience.rate(5.0, 1.0);
        assert!(5.0 > once && once > twice, "within a print: {once}, {twice}");
        patience.ended_well();
        assert!((patience.rate(5.0, 1.0) - twice).abs() < 1e-9, "and in the next one");
        print(&mut patience, 4, 100);
        assert_eq!(patience.rate(5.0, 1.0), 1.0, "no less than for acting");
    }

    #[test]
    fn who_alerts_as_often_as_tolerated_or_less_stays_as_eager() {
        let mut patience = Patience::default();
        for _ in 0..30 {
            print(&mut patience, 20, 1);
            patience.ended_well();
        }
        assert!(patience.rate(5.0, 1.0) > 4.0, "{patience:?}");
        for _ in 0..30 {
            print(&mut patience, 20, 0);
            patience.ended_well();
        }
        assert_eq!(patience.rate(5.0, 1.0), 5.0);
    }

    #[test]
    fn alerts_that_people_looked_at_and_those_of_prints_that_did_not_end_well_do_not_count() {
        let mut patience = Patience::default();
        print(&mut patience, 4, 3);
        patience.looked();
        assert_eq!(patience.rate(5.0, 1.0), 5.0);
        print(&mut patience, 4, 3);
        patience.new_print();
        assert_eq!(patience.habit(), Habit::default());
    }

    #[test]
    fn a_moved_camera_begins_anew_and_its_print_stays_in_doubt() {
        let mut patience = Patience::default();
        print(&mut patience, 4, 3);
        patience.ended_well();
        print(&mut patience, 4, 1);
        patience.moved();
        assert_eq!(patience.habit(), Habit::default());
        assert!(patience.is_doubted());
    }

    #[test]
    fn what_was_long_ago_fades() {
        let mut patience = Patience::default();
        print(&mut patience, 4, 10);
        patience.ended_well();
        let before = patience.rate(5.0, 1.0);
        for _ in 0..200 {
            print(&mut patience, 10, 0);
            patience.ended_well();
        }
        assert_eq!((before, patience.rate(5.0, 1.0)), (1.0, 5.0));
    }
}
