//! Light that changes at once: a lamp is switched, a door opened, the sun comes out. What cells show more from that moment
//! on is put down to the light, within bounds: strands do not grow in a second, and not because of a lamp.
//!
//! A light is how bright the blocks of a picture are. One in which most blocks are brighter than before, or darker, is another
//! one; in its first seconds, and then only, what is news in a cell is excused for as long as this light lasts, and whenever
//! it comes back. A tangle that was there before, or grows later, is no news of these seconds and counts in full. After
//! darkness nothing is excused: it may have grown there unseen. New lights are few: a camera that adjusts its exposure all
//! the time soon has none.

use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::odds::log_odds;
use crate::core::cells::{DIGITS, digit};
use crate::core::types::FailureMap;

/// Blocks a row.
pub const LIGHT_COLUMNS: usize = 8;
/// Rows of blocks.
pub const LIGHT_ROWS: usize = 6;
/// Blocks.
pub const LIGHT_BLOCKS: usize = LIGHT_COLUMNS * LIGHT_ROWS;

/// What is darker than this, of 255, is noise rather than light.
const DARK: f32 = 8.0;
/// Steps of a block's brightness, as so many parts of a logarithm.
const STEPS: f32 = 18.0;

/// Another light makes the middle block (the median) brighter or darker by so much, as a logarithm: a fifth. In 20 webcam
/// sequences of real bed slingers, whose bed and head change a third of the blocks from picture to picture, it is 0.17 at
/// most, and 0.34 at least where the lamp gives six tenths.
const CHANGES: f32 = 0.2;
/// Blocks are this bright on average at least, as a logarithm, or it is dark: 16 of 255.
const LEAST_LIT: f32 = 1.1;
/// A light follows the daylight in about so many ms.
const FOLLOWS_MS: f32 = 60_000.0;
/// For so long what is news is put down to the new light, ms.
const SETTLES_MS: u64 = 20_000;
/// What cells show is known in about so many ms where it rises, and forgotten in about so many.
const RISES_MS: f32 = 30_000.0;
const FALLS_MS: f32 = 600_000.0;
/// Frames closer together tell little more of that, ms.
const LEARN_EVERY_MS: u64 = 5_000;
/// A frame stands for no more than this, ms.
const LONGEST_MS: u64 = 30_000;
/// New lights at once, and after how many ms one more.
const MOST_NEW: f32 = 4.0;
const NEW_EVERY_MS: f32 = 900_000.0;
/// So many lights are remembered.
const MOST_KNOWN: usize = 8;
/// A light excuses no more than this factor of a cell's odds, beyond what the cell counts for more because it is clean:
/// 3 log-odds.
const MOST_EXCUSED: f32 = 0.049_787_07;

/// How bright each block of a picture is, row by row, in steps of a logarithm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Brightness(Vec<u8>);

impl Brightness {
    /// From the blocks' mean levels, 0..255.
    pub fn of_levels(levels: [f32; LIGHT_BLOCKS]) -> Self {
        let step = |level: f32| ((level / DARK + 1.0).ln() * STEPS).round().clamp(0.0, 63.0) as u8;
        Self(levels.map(step).to_vec())
    }

    fn logarithms(&self) -> impl Iterator<Item = f32> {
        self.0.iter().map(|step| f32::from(*step) / STEPS)
    }
}

impl From<Brightness> for String {
    /// A character a block.
    fn from(brightness: Brightness) -> Self {
        brightness.0.iter().map(|step| char::from(DIGITS[usize::from(*step)])).collect()
    }
}

impl TryFrom<String> for Brightness {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let step = |byte| digit(byte).map(|step| step as u8);
        let steps: Option<Vec<u8>> = text.bytes().map(step).collect();
        let whole = steps.filter(|steps| steps.len() == LIGHT_BLOCKS);
        whole.map(Self).ok_or("not the brightness of a picture")
    }
}

/// A light that the print was seen in.
#[derive(Debug, Clone, PartialEq)]
struct Light {
    /// Brightness of each block, as logarithms.
    blocks: Vec<f32>,
    /// By how many log-odds more each cell shows than before, in this light.
    excused: Vec<f32>,
}

impl Light {
    /// Whether this picture is in another light.
    fn differs(&self, brightness: &Brightness) -> bool {
        let changes =
            self.blocks.iter().zip(brightness.logarithms()).map(|(known, now)| now - known);
        let mut changes: Vec<f32> = changes.collect();
        let middle = changes.len() / 2;
        let (_, median, _) = changes.select_nth_unstable_by(middle, f32::total_cmp);
        median.abs() > CHANGES
    }

    fn is_dark(&self) -> bool {
        self.blocks.iter().sum::<f32>() < LEAST_LIT * self.blocks.len() as f32
    }

    fn follow(&mut self, brightness: &Brightness, weight: f32) {
        for (known, now) in self.blocks.iter_mut().zip(brightness.logarithms()) {
            *known += (now - *known) * weight;
        }
    }
}

/// The lights that a camera saw a print in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lights {
    grid: Grid,
    /// The last one is the present one.
    known: Vec<Light>,
    /// Until when the present one is new.
    new_until_ms: u64,
    /// How many new ones there may be.
    new_left: f32,
    /// Log-odds that cells show, apart from what is excused.
    shown: Vec<f32>,
    learned_ms: Option<u64>,
    last_ms: Option<u64>,
}

impl Lights {
    /// Takes in a frame. Says whether what is excused has changed.
    pub fn follow(
        &mut self,
        at_ms: u64,
        map: &FailureMap,
        brightness: Option<&Brightness>,
        model: &str,
    ) -> bool {
        let Some(brightness) = brightness else { return false };
        if !self.grid.is_of(map, model) {
            *self = Self { grid: Grid::of(map, model), new_left: MOST_NEW, ..Self::default() };
        }
        let since_ms = self.last_ms.map_or(0, |last| at_ms.saturating_sub(last));
        let elapsed_ms = since_ms.min(LONGEST_MS) as f32;
        self.last_ms = Some(at_ms);
        self.new_left = (self.new_left + since_ms as f32 / NEW_EVERY_MS).min(MOST_NEW);
        let changed = self.turn_to(at_ms, brightness, elapsed_ms);
        let is_new = at_ms < self.new_until_ms;
        if is_new {
            self.excuse_news(map);
        } else {
            self.learn(at_ms, map);
        }
        changed || is_new
    }

    /// The present light is new: what cells show more than before is its doing.
    fn excuse_news(&mut self, map: &FailureMap) {
        let Some(light) = self.known.last_mut() else { return };
        for ((excused, shown), &p) in light.excused.iter_mut().zip(&self.shown).zip(&map.cells) {
            *excused = excused.max(log_odds(p) - shown);
        }
    }

    fn learn(&mut self, at_ms: u64, map: &FailureMap) {
        let Some(light) = self.known.last() else { return };
        let Some(learned_ms) = self.learned_ms else {
            self.shown = map.cells.iter().map(|&p| log_odds(p)).collect();
            self.learned_ms = Some(at_ms);
            return;
        };
        let elapsed_ms = at_ms.saturating_sub(learned_ms);
        if elapsed_ms < LEARN_EVERY_MS {
            return;
        }
        self.learned_ms = Some(at_ms);
        let stands_for_ms = elapsed_ms.min(LONGEST_MS) as f32;
        for ((excused, shown), &p) in light.excused.iter().zip(&mut self.shown).zip(&map.cells) {
            let news = log_odds(p) - excused - *shown;
            let takes_ms = if news > 0.0 { RISES_MS } else { FALLS_MS };
            *shown += news * (stands_for_ms / takes_ms).min(1.0);
        }
    }

    /// Finds the light of this frame among the known ones, or begins a new one. Says whether it is another than before.
    fn turn_to(&mut self, at_ms: u64, brightness: &Brightness, elapsed_ms: f32) -> bool {
        let same = |light: &Light| !light.differs(brightness);
        let Some(present) = self.known.last_mut() else {
            self.known.push(self.new_light(brightness));
            return true;
        };
        if same(present) {
            present.follow(brightness, elapsed_ms / FOLLOWS_MS);
            return false;
        }
        let was_dark = present.is_dark();
        self.new_until_ms = at_ms;
        if let Some(at) = self.known.iter().rposition(same) {
            self.known[at..].rotate_left(1);
            return true;
        }
        if !was_dark && self.new_left >= 1.0 {
            self.new_left -= 1.0;
            self.new_until_ms = at_ms + SETTLES_MS;
        }
        if self.known.len() == MOST_KNOWN {
            self.known.remove(0);
        }
        self.known.push(self.new_light(brightness));
        true
    }

    fn new_light(&self, brightness: &Brightness) -> Light {
        let blocks = brightness.logarithms().collect();
        let cells = usize::from(self.grid.columns) * usize::from(self.grid.rows);
        Light { blocks, excused: vec![0.0; cells] }
    }

    /// Takes what the present light excuses off the factors by which the odds of the cells of `map` are multiplied.
    pub fn excuse(&self, factors: &mut Vec<f32>, map: &FailureMap, model: &str) {
        let Some(light) = self.known.last().filter(|_| self.grid.is_of(map, model)) else { return };
        if light.excused.iter().all(|excused| *excused == 0.0) {
            return;
        }
        factors.resize(map.cells.len(), 1.0);
        for (factor, excused) in factors.iter_mut().zip(&light.excused) {
            let left = (factor.max(1.0) * (-excused).exp()).max(MOST_EXCUSED);
            *factor = factor.min(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::odds::with_odds;
    use super::*;

    const LAMP: f32 = 120.0;
    const DUSK: f32 = 60.0;

    fn map(cells: &[f32]) -> FailureMap {
        let columns = cells.len() as u16;
        FailureMap { columns, rows: 1, content: [0.0, 0.0, 1.0, 1.0], cells: cells.to_vec() }
    }

    /// A camera that sees a frame a second.
    #[derive(Default)]
    struct Seen {
        lights: Lights,
        at_s: u64,
    }

    impl Seen {
        /// So many seconds of a picture whose blocks are so bright.
        fn blocks(
            &mut self,
            seconds: u64,
            levels: [f32; LIGHT_BLOCKS],
            cells: &[f32],
        ) -> &mut Self {
            for _ in 0..seconds {
                self.at_s += 1;
                let brightness = Brightness::of_levels(levels);
                self.lights.follow(self.at_s * 1_000, &map(cells), Some(&brightness), "m");
            }
            self
        }

        fn for_s(&mut self, seconds: u64, level: f32, cells: &[f32]) -> &mut Self {
            self.blocks(seconds, [level; LIGHT_BLOCKS], cells)
        }

        /// What cells that score so count as.
        fn count(&self, cells: &[f32]) -> Vec<f32> {
            let mut factors = Vec::new();
            self.lights.excuse(&mut factors, &map(cells), "m");
            factors.resize(cells.len(), 1.0);
            cells.iter().zip(factors).map(|(&p, factor)| with_odds(p, factor)).collect()
        }
    }

    #[test]
    fn what_shines_from_the_moment_that_the_light_changes_is_excused_in_that_light_whenever_it_is_on()
     {
        let mut seen = Seen::default();
        seen.for_s(600, LAMP, &[0.02, 0.02]);
        for _ in 0..2 {
            seen.for_s(600, DUSK, &[0.7, 0.02]);
            assert!(seen.count(&[0.7, 0.7])[0] < 0.2);
            assert_eq!(seen.count(&[0.7, 0.7])[1], 0.7, "there it is news of its own");
            seen.for_s(600, LAMP, &[0.02, 0.02]);
            assert_eq!(seen.count(&[0.7, 0.7]), [0.7, 0.7]);
        }
    }

    #[test]
    fn a_tangle_that_was_there_before_is_no_news_of_the_light() {
        let mut seen = Seen::default();
        seen.for_s(600, LAMP, &[0.02]).for_s(120, LAMP, &[0.8]).for_s(30, DUSK, &[0.8]);
        assert!(seen.count(&[0.8])[0] > 0.7);
        seen.for_s(30, LAMP, &[0.8]);
        assert_eq!(seen.count(&[0.8]), [0.8]);
    }

    #[test]
    fn a_tangle_that_grows_later_counts_in_full_and_one_that_saturates_always() {
        let mut seen = Seen::default();
        seen.for_s(600, LAMP, &[0.02, 0.02, 0.02]).for_s(60, DUSK, &[0.1, 0.02, 0.99]);
        let counted = seen.count(&[0.9, 0.9, 0.99]);
        assert!(counted[0] > 0.6, "{counted:?}");
        assert_eq!(counted[1], 0.9);
        assert!(counted[2] > 0.8, "{counted:?}");
    }

    #[test]
    fn what_hides_less_than_half_of_the_picture_is_no_light() {
        let mut seen = Seen::default();
        let mut levels = [LAMP; LIGHT_BLOCKS];
        seen.blocks(60, levels, &[0.02]);
        levels[..LIGHT_BLOCKS / 2 - 1].fill(DUSK);
        seen.blocks(60, levels, &[0.9]);
        assert_eq!(seen.count(&[0.9]), [0.9]);
    }

    #[test]
    fn a_bed_that_moves_is_no_light() {
        let mut seen = Seen::default();
        for second in 0..120 {
            let mut levels = [LAMP; LIGHT_BLOCKS];
            // Half of the blocks are under the bed now and then, some darker and some brighter for it.
            let bed = if second % 2 == 0 { LAMP * 0.7 } else { LAMP * 1.3 };
            levels[..LIGHT_BLOCKS / 2 - 1].fill(bed);
            let p = if second < 60 { 0.02 } else { 0.9 };
            seen.blocks(1, levels, &[p]);
        }
        assert_eq!(seen.count(&[0.9]), [0.9]);
    }

    #[test]
    fn what_grew_in_the_dark_counts_in_full_when_the_light_goes_on() {
        let mut seen = Seen::default();
        seen.for_s(600, LAMP, &[0.02]).for_s(600, 5.0, &[0.02]).for_s(30, DUSK, &[0.8]);
        assert_eq!(seen.count(&[0.8]), [0.8]);
    }

    #[test]
    fn daylight_that_fades_is_no_new_light() {
        let mut seen = Seen::default();
        for minute in 0..60 {
            let p = if minute < 30 { 0.02 } else { 0.9 };
            seen.for_s(60, LAMP - 2.0 * minute as f32, &[p]);
        }
        assert_eq!(seen.count(&[0.9]), [0.9]);
    }

    #[test]
    fn a_picture_that_changes_all_the_time_excuses_a_growing_tangle_little() {
        let mut seen = Seen::default();
        let mut excused = 0;
        for second in 0..3_600_u32 {
            // No two lights alike.
            let level = 20.0 + (second * 37 % 200) as f32;
            let p = second as f32 / 3_600.0;
            seen.for_s(1, level, &[p]);
            excused += u32::from(seen.count(&[p])[0] < p);
        }
        assert!(excused < 300, "{excused} s of an hour");
    }

    #[test]
    fn without_a_brightness_and_for_other_cells_nothing_is_excused() {
        let mut seen = Seen::default();
        seen.for_s(60, LAMP, &[0.02]).for_s(60, DUSK, &[0.9]);
        let mut factors = Vec::new();
        seen.lights.excuse(&mut factors, &map(&[0.9, 0.9]), "m");
        seen.lights.excuse(&mut factors, &map(&[0.9]), "other");
        assert!(factors.is_empty());
        assert!(!Lights::default().follow(0, &map(&[0.9]), None, "m"));
    }

    #[test]
    fn a_brightness_is_written_as_text_and_read_back() {
        let brightness = Brightness::of_levels(std::array::from_fn(|block| block as f32 * 5.3));
        let text = serde_json::to_string(&brightness).unwrap();
        assert_eq!(text.len(), 50, "{text}");
        assert_eq!(serde_json::from_str::<Brightness>(&text).unwrap(), brightness);
        for wrong in ["\"\"", "\"AB\"", &text.replace('A', "!")] {
            assert!(serde_json::from_str::<Brightness>(wrong).is_err(), "{wrong}");
        }
    }
}
