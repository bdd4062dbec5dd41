//! Clutter: what a camera shows, cell by cell, while prints are fine. Cables, clips, logos and the print's own texture
//! must not count as failures where they are, and only there.
//!
//! A cell's log-odds of showing strands are compared with their mean while all was well, a mean that leans towards the
//! hot. What is known to be cluttered is discounted by the excess of that mean over `USUAL`, what is known to be clean
//! counts for as much more as it lies below (3.9 log-odds at most, by the margin of [`log_odds`]): a steady 0.3 in a corner
//! that never showed more than 0.02 is news, and none where a cable has always scored 0.3. Of what is clean, frames before
//! the first extrusion tell for a print's first minutes only: then the part grows.
//!
//! | learned from | may discount, log-odds | why it can be trusted |
//! |---|---|---|
//! | this print before anything was extruded | at most 3 | no strand of *this* print can be there |
//! | earlier prints that ended well | at most 6 | they ended well |
//! | what people dismissed in earlier prints that then ended well | at most 3, and fading | they looked; but it may have been that print's own look, where the next may fail |
//! | this print's good frames so far | never; it only makes clean cells count more | a failure from the first frame on must not excuse itself |
//!
//! So a cable that scores 0.9 is worth 0.3 and is not lifted ([`super::lift`]), a tangle apart from it counts in full, and
//! one that saturates the model even where a cable lies. Nothing is learned while anything is suspected, while paused, or
//! after an alert until people have looked. All is forgotten when the view moves, or another model or picture size is in use.

use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::odds::log_odds;
use super::view::ViewReference;
use crate::core::types::FailureMap;

/// Log-odds that are usual for a cell that shows nothing of interest: a probability of 0.2.
const USUAL: f32 = -1.386_294_4;
/// Frames before the first extrusion may discount a cell by this many log-odds.
const MOST_EARLY: f32 = 3.0;
/// Earlier prints, and what people dismissed in them, may.
const MOST_SETTLED: f32 = 6.0;
const MOST_DISMISSED: f32 = 3.0;
/// After so many seconds a source is half trusted.
const EARLY_HALF_S: f32 = 20.0;
const SETTLED_HALF_S: f32 = 900.0;
const PRINT_HALF_S: f32 = 600.0;
/// That a cell was clean before the first extrusion is half forgotten after so many seconds of good printing: the part grows.
const GROWN_HALF_S: f32 = 60.0;
/// Frames closer together are no independent witnesses of a background, ms.
const LEARN_EVERY_MS: u64 = 10_000;
/// The shortest stretch of good printing worth keeping, seconds.
const LEAST_KEPT_S: f32 = 600.0;
/// Earlier prints weigh as much as this many seconds, so that what has changed since is learned.
const SETTLED_WEIGHT_S: f32 = 20.0 * 3_600.0;
/// What was dismissed fades towards what is shown, by a factor of e in about so much good printing, seconds.
const DISMISSED_FADES_S: f32 = 50.0 * 3_600.0;
/// What lies above a mean weighs so many times as much as what lies below.
const LEAN: f32 = 9.0;

/// What is known of a camera's background from prints that ended well: survives restarts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Clutter {
    /// Of which cells.
    pub grid: Grid,
    /// Mean log-odds of each cell, in hundredths.
    pub log_odds: Vec<i16>,
    /// What people dismissed, each cell's log-odds in hundredths; empty while they dismissed nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dismissed: Vec<i16>,
    /// Good printing that it was learned from, seconds; at most what earlier prints may weigh.
    pub seconds: f32,
    /// Prints that it was learned from.
    pub prints: u32,
    /// What the view looked like.
    pub view: Option<ViewReference>,
}

impl Clutter {
    /// By how many log-odds each cell is discounted, 0 where it is not.
    pub fn discounts(&self) -> Vec<f32> {
        (0..self.log_odds.len()).map(|cell| self.discount(cell)).collect()
    }

    fn discount(&self, cell: usize) -> f32 {
        let excess = |of: &[i16]| of.get(cell).map_or(0.0, |kept| in_log_odds(kept) - USUAL);
        let usual = trust(self.seconds, SETTLED_HALF_S) * excess(&self.log_odds);
        usual.min(MOST_SETTLED).max(excess(&self.dismissed).min(MOST_DISMISSED)).max(0.0)
    }
}

/// A mean of cells over time that leans upwards: what lies above it weighs [`LEAN`] times as much (an expectile: Newey and
/// Powell, Econometrica 55, 1987). A cell that is hot in one light, or whenever the head is there, is no news when it is hot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    log_odds: Vec<f32>,
    seconds: f32,
}

impl Mean {
    fn add(&mut self, map: &FailureMap, seconds: f32) {
        if self.log_odds.len() != map.cells.len() {
            *self = Self { log_odds: vec![0.0; map.cells.len()], seconds: 0.0 };
        }
        self.seconds += seconds;
        let weight = seconds / self.seconds;
        for (mean, &p) in self.log_odds.iter_mut().zip(&map.cells) {
            lean_towards(mean, log_odds(p), weight);
        }
    }
}

/// One camera's background during a print.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Background {
    grid: Grid,
    settled: Option<Clutter>,
    early: Mean,
    print: Mean,
    /// What people dismissed in this print, log-odds; empty while they dismissed nothing.
    #[serde(default)]
    dismissed: Vec<f32>,
    learned_ms: Option<u64>,
}

impl Background {
    /// Starts from what earlier prints left.
    pub fn new(settled: Option<Clutter>) -> Self {
        Self { settled, ..Self::default() }
    }

    /// What earlier prints left.
    pub fn settled(&self) -> Option<&Clutter> {
        self.settled.as_ref()
    }

    /// Begins a new print: what was learned of the last one without its good end goes.
    pub fn new_print(&mut self) {
        *self = Self::new(self.settled.take());
    }

    /// The view moved: nothing of it is where it was. Says whether that was news.
    pub fn forget(&mut self) -> bool {
        let kept = self.settled.is_some();
        *self = Self::default();
        kept
    }

    /// Frames did not come or did not count for a while.
    pub fn interrupt(&mut self) {
        self.learned_ms = None;
    }

    /// People looked: what this frame shows is harmless, in the cells of which `dismissed` says so.
    pub fn dismiss(&mut self, map: &FailureMap, dismissed: impl Iterator<Item = bool>) {
        if self.grid != Grid::of(map, &self.grid.model) {
            return;
        }
        self.dismissed.resize(map.cells.len(), log_odds(0.0));
        let cells = self.dismissed.iter_mut().zip(&map.cells).zip(dismissed);
        for ((known, &p), _) in cells.filter(|(_, told)| *told) {
            *known = known.max(log_odds(p));
        }
    }

    /// Takes in a frame from before anything was extruded. Says whether it changed anything.
    pub fn learn_early(&mut self, at_ms: u64, map: &FailureMap, model: &str) -> bool {
        let seconds = self.stands_for(at_ms, map, model);
        if let Some(seconds) = seconds {
            self.early.add(map, seconds);
        }
        seconds.is_some()
    }

    /// Takes in a frame that shows a good print. Says whether it changed anything.
    pub fn learn(&mut self, at_ms: u64, map: &FailureMap, model: &str) -> bool {
        let seconds = self.stands_for(at_ms, map, model);
        if let Some(seconds) = seconds {
            self.print.add(map, seconds);
        }
        seconds.is_some()
    }

    /// The seconds that a frame stands for; `None` when it comes too soon after the last.
    fn stands_for(&mut self, at_ms: u64, map: &FailureMap, model: &str) -> Option<f32> {
        if !self.grid.is_of(map, model) {
            self.grid = Grid::of(map, model);
            self.early = Mean::default();
            self.print = Mean::default();
            self.dismissed = Vec::new();
            self.learned_ms = None;
            if self.settled.as_ref().is_some_and(|settled| settled.grid != self.grid) {
                self.settled = None;
            }
        }
        let elapsed_ms = match self.learned_ms {
            // The first frame stands for little.
            None => 1_000,
            Some(last) => at_ms.saturating_sub(last),
        };
        if self.learned_ms.is_some() && elapsed_ms < LEARN_EVERY_MS {
            return None;
        }
        self.learned_ms = Some(at_ms);
        Some(elapsed_ms.min(2 * LEARN_EVERY_MS) as f32 / 1_000.0)
    }

    /// The print ended well: keeps what it showed. `None` when that was too little to tell.
    pub fn settle(&mut self, view: Option<ViewReference>) -> Option<&Clutter> {
        if self.print.seconds < LEAST_KEPT_S {
            return None;
        }
        let before = self.settled.take().filter(|settled| settled.grid == self.grid);
        let before = before.unwrap_or_else(|| Clutter {
            grid: self.grid.clone(),
            log_odds: vec![0; self.print.log_odds.len()],
            ..Clutter::default()
        });
        let weight = self.print.seconds / (self.print.seconds + before.seconds);
        let mix = |(&old, &new): (&i16, &f32)| {
            let mut mean = f32::from(old) / 100.0;
            lean_towards(&mut mean, new, weight);
            (mean * 100.0).round() as i16
        };
        let kept = DISMISSED_FADES_S / (DISMISSED_FADES_S + self.print.seconds);
        let dismissed = |(cell, &shown): (usize, &f32)| {
            let before = before.dismissed.get(cell).map_or(log_odds(0.0), in_log_odds);
            let faded = before - (before - shown).max(0.0) * (1.0 - kept);
            let now = self.dismissed.get(cell).copied().unwrap_or(faded);
            (faded.max(now) * 100.0).round() as i16
        };
        let any = !(self.dismissed.is_empty() && before.dismissed.is_empty());
        let settled = Clutter {
            dismissed: self
                .print
                .log_odds
                .iter()
                .enumerate()
                .filter(|_| any)
                .map(dismissed)
                .collect(),
            log_odds: before.log_odds.iter().zip(&self.print.log_odds).map(mix).collect(),
            seconds: (before.seconds + self.print.seconds).min(SETTLED_WEIGHT_S).round(),
            prints: before.prints.saturating_add(1),
            view: view.or(before.view),
            grid: before.grid,
        };
        Some(self.settled.insert(settled))
    }

    /// By what each cell's odds are multiplied; empty when nothing is known of these cells.
    pub fn odds_factors(&self, map: &FailureMap, model: &str) -> Vec<f32> {
        let known = self.settled.as_ref().filter(|settled| settled.grid.is_of(map, model));
        let ours = self.grid.is_of(map, model);
        if known.is_none() && !ours {
            return Vec::new();
        }
        let early_trust = trust(self.early.seconds, EARLY_HALF_S);
        let settled_trust = known.map_or(0.0, |known| trust(known.seconds, SETTLED_HALF_S));
        let still_bare = 1.0 - trust(self.print.seconds, GROWN_HALF_S);
        let clean_trust = trust(self.print.seconds, PRINT_HALF_S)
            .max(early_trust * still_bare)
            .max(settled_trust);
        let shift = |cell: usize| {
            let of = |mean: &Mean| mean.log_odds.get(cell).copied().filter(|_| ours);
            let early = of(&self.early);
            let settled = known.and_then(|known| known.log_odds.get(cell)).map(in_log_odds);
            let excess = |mean: Option<f32>| mean.map_or(0.0, |mean| mean - USUAL);
            let discount = (early_trust * excess(early)).min(MOST_EARLY);
            let discount = discount.max(known.map_or(0.0, |known| known.discount(cell)));
            if discount > 0.0 {
                return -discount;
            }
            // Clean only where nobody ever saw anything.
            let told = known.and_then(|known| known.dismissed.get(cell)).map(in_log_odds);
            let most = [early, settled, of(&self.print), told].into_iter().flatten();
            let clean = most.reduce(f32::max).map_or(0.0, |most| USUAL - most);
            (clean_trust * clean).max(0.0)
        };
        (0..map.cells.len()).map(|cell| shift(cell).exp()).collect()
    }
}

/// Takes in a value that makes up `weight` (0..1) of all that was seen.
fn lean_towards(mean: &mut f32, value: f32, weight: f32) {
    let lean = if value > *mean { LEAN } else { 1.0 };
    *mean += (value - *mean) * (weight * lean).min(1.0);
}

fn in_log_odds(hundredths: &i16) -> f32 {
    f32::from(*hundredths) / 100.0
}

fn trust(seconds: f32, half_s: f32) -> f32 {
    seconds / (seconds + half_s)
}

#[cfg(test)]
mod tests {
    use super::super::odds::with_odds;
    use super::*;

    fn map(cells: &[f32]) -> FailureMap {
        let columns = cells.len() as u16;
        FailureMap { columns, rows: 1, content: [0.0, 0.0, 1.0, 1.0], cells: cells.to_vec() }
    }

    /// What `background` makes of cells that score so.
    fn seen(background: &Background, cells: &[f32]) -> Vec<f32> {
        let factors = background.odds_factors(&map(cells), "m");
        cells.iter().zip(factors).map(|(&p, factor)| with_odds(p, factor)).collect()
    }

    fn after_early(cells: &[f32], seconds: u64) -> Background {
        let mut background = Background::default();
        for at in 0..seconds {
            background.learn_early(at * 1_000, &map(cells), "m");
        }
        background
    }

    /// A good print so far.
    fn learn_for(background: &mut Background, seconds: u64, cells: &[f32]) {
        background.interrupt();
        for at in 0..seconds {
            background.learn(at * 1_000, &map(cells), "m");
        }
    }

    fn after_prints(cells: &[f32], prints: u64) -> Background {
        let mut background = Background::default();
        for _ in 0..prints {
            background.new_print();
            learn_for(&mut background, 7_200, cells);
            assert!(background.settle(None).is_some());
        }
        background.new_print();
        background
    }

    #[test]
    fn a_cable_seen_before_the_first_extrusion_is_discounted_and_a_saturated_tangle_there_is_not() {
        let background = after_early(&[0.9, 0.02], 180);
        assert!(seen(&background, &[0.9, 0.02])[0] < 0.35);
        let background = after_early(&[0.99, 0.02], 180);
        assert!(seen(&background, &[0.99, 0.02])[0] > 0.8);
    }

    #[test]
    fn what_was_clean_before_the_first_extrusion_counts_for_more_until_the_part_has_grown() {
        let mut background = after_early(&[0.02, 0.1], 180);
        let at_once = seen(&background, &[0.3, 0.3]);
        assert!(at_once[0] > 0.75 && at_once[1] < at_once[0], "{at_once:?}");
        learn_for(&mut background, 180, &[0.02, 0.1]);
        let later = seen(&background, &[0.3, 0.3]);
        assert!(later[0] < 0.5 && later[0] > 0.35, "{later:?}");
    }

    #[test]
    fn what_earlier_good_prints_showed_is_discounted_where_it_is_and_only_there() {
        let background = after_prints(&[0.97, 0.02, 0.02], 3);
        let seen = seen(&background, &[0.97, 0.97, 0.02]);
        assert!(seen[0] < 0.5, "{seen:?}");
        assert!(seen[1] >= 0.97, "{seen:?}");
        assert!(seen[2] < 0.25, "clean as ever is no more than usual: {seen:?}");
    }

    #[test]
    fn a_good_print_so_far_makes_clean_cells_count_more_and_excuses_nothing() {
        let mut background = Background::default();
        learn_for(&mut background, 3_600, &[0.02, 0.9]);
        let seen = seen(&background, &[0.3, 0.9]);
        assert!(seen[0] > 0.7, "{seen:?}");
        assert_eq!(seen[1], 0.9);
    }

    #[test]
    fn what_is_hot_in_one_light_of_three_is_no_news_in_that_light() {
        let mut background = Background::default();
        for at in 0..7_200 {
            let p = if at / 600 % 3 == 0 { 0.85 } else { 0.05 };
            background.learn(at * 1_000, &map(&[p]), "m");
        }
        background.settle(None);
        background.new_print();
        assert!(seen(&background, &[0.85])[0] < 0.6, "{:?}", seen(&background, &[0.85]));
    }

    #[test]
    fn a_print_that_did_not_end_well_leaves_nothing() {
        let mut background = Background::default();
        learn_for(&mut background, 3_600, &[0.9]);
        background.new_print();
        assert_eq!(background, Background::default());
    }

    #[test]
    fn too_short_a_print_teaches_nothing() {
        let mut background = Background::default();
        background.learn(0, &map(&[0.9]), "m");
        background.learn(3_600_000, &map(&[0.9]), "m");
        assert!(background.settle(None).is_none(), "a gap is no hour of printing");
    }

    #[test]
    fn cells_of_another_model_or_picture_size_are_not_compared() {
        let mut background = after_prints(&[0.9, 0.9], 1);
        assert!(background.odds_factors(&map(&[0.9, 0.9]), "other").is_empty());
        let cropped = FailureMap { content: [0.0, 0.1, 1.0, 0.9], ..map(&[0.9, 0.9]) };
        assert!(background.odds_factors(&cropped, "m").is_empty());
        background.learn(0, &map(&[0.9, 0.9]), "other");
        assert_eq!(background.settled(), None);
    }

    #[test]
    fn one_failure_among_good_prints_moves_the_background_little() {
        let mut background = after_prints(&[0.02], 5);
        for at in 0..7_200 {
            // More would raise the evidence, and nothing is learned while that happens.
            let p = if at < 6_000 { 0.02 } else { 0.5 };
            background.learn(100_000_000 + at * 1_000, &map(&[p]), "m");
        }
        background.settle(None);
        background.new_print();
        assert!(seen(&background, &[0.95])[0] > 0.9);
    }

    #[test]
    fn what_is_learned_does_not_depend_on_the_frame_rate() {
        let learned = |interval_ms: u64| {
            let mut background = Background::default();
            for at in (0..1_800_000).step_by(interval_ms as usize) {
                background.learn(at, &map(&[if at % 60_000 < 30_000 { 0.9 } else { 0.1 }]), "m");
            }
            background.settle(None).unwrap().log_odds[0]
        };
        assert!((learned(100) - learned(5_000)).abs() < 30);
    }
}
