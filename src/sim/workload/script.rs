//! What one print's camera sees when: drawn by lot from a seed, the same for every rule.

use super::View;
use crate::core::types::FrameScore;
use crate::sim::scene::chance::Chance;

/// What kinds of prints there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Which part of the prints fails, 0..=1.
    pub failing: f32,
    /// Shortest and longest print, hours.
    pub hours: (f64, f64),
    /// Slowest and fastest cameras, frames a second.
    pub rate: (f64, f64),
}

impl Default for Mix {
    fn default() -> Self {
        Self { failing: 0.35, hours: (1.5, 8.0), rate: (0.1, 1.0) }
    }
}

/// Heating and homing take so long; nothing is extruded yet.
pub const HEATING_S: f64 = 180.0;
/// A failing print goes on for so long unless it is paused.
pub const FAILS_FOR_S: f64 = 3_600.0;
/// One failure in so many is there, whole, from the first extruded frame on.
const FROM_THE_START: f32 = 0.1;
/// Visits an hour.
const VISITS: f64 = 1.5;
/// Which part of visitors stays and reaches in.
const STAYS: f32 = 0.2;
/// Changes of the light an hour.
const LIGHT_CHANGES: f64 = 0.3;
/// Which part of prints loses its camera for a while.
const LOSES_CAMERA: f32 = 0.05;

/// A failure's beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// When, seconds since the print began.
    pub at_s: f64,
    /// From nothing to full size, seconds; 0 is whole at once.
    pub grows_s: f64,
    /// Which of the view's growths.
    pub growth: usize,
}

/// What happens to the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is gone.
    Dies,
    /// It repeats one picture.
    Freezes,
}

/// A stretch of a print.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// From, seconds since the print began.
    pub from_s: f64,
    /// Until.
    pub until_s: f64,
}

impl Stretch {
    fn holds(&self, at_s: f64) -> bool {
        (self.from_s..self.until_s).contains(&at_s)
    }

    /// How far through it is, 0..1.
    fn part(&self, at_s: f64) -> f64 {
        (at_s - self.from_s) / (self.until_s - self.from_s)
    }
}

/// One print.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Decides which of several scorings a frame is.
    seed: u64,
    /// How long a good print takes, seconds.
    pub length_s: f64,
    /// Between two frames while all is well, ms.
    pub interval_ms: u64,
    /// Whether the slicer tells layers.
    pub layers: bool,
    /// The failure, if it fails.
    pub onset: Option<Onset>,
    /// Camera trouble.
    pub trouble: Option<(Stretch, Trouble)>,
    lights: Vec<(f64, usize)>,
    visits: Vec<(Stretch, bool)>,
}

impl Script {
    /// Draws the print `index` of the printer that `seed` chooses.
    pub fn draw(seed: u64, index: u64, view: &View, mix: &Mix) -> Self {
        let mut chance = Chance::new(seed, 1_000 + index);
        let log = |chance: &mut Chance, (low, high): (f64, f64)| {
            low * (high / low).powf(f64::from(chance.between(0.0, 1.0)))
        };
        let length_s = HEATING_S + 3_600.0 * log(&mut chance, mix.hours);
        let interval_ms = (1_000.0 / log(&mut chance, mix.rate)) as u64;
        let layers = chance.between(0.0, 1.0) < 0.5;
        let fails = chance.between(0.0, 1.0) < mix.failing;
        let onset = fails.then(|| onset(&mut chance, view, length_s));
        let end_s = onset.map_or(length_s, |onset| onset.at_s + FAILS_FOR_S);
        let trouble = (chance.between(0.0, 1.0) < LOSES_CAMERA).then(|| {
            let from_s = f64::from(chance.between(0.0, 1.0)) * end_s;
            let until_s = from_s + 60.0 * log(&mut chance, (1.0, 30.0));
            let dies = chance.between(0.0, 1.0) < 0.5;
            (Stretch { from_s, until_s }, if dies { Trouble::Dies } else { Trouble::Freezes })
        });
        let visits = happenings(&mut chance, VISITS, end_s)
            .into_iter()
            .map(|from_s| {
                let stays = chance.between(0.0, 1.0) < STAYS;
                let lasts = if stays { (20.0, 120.0) } else { (3.0, 12.0) };
                (Stretch { from_s, until_s: from_s + log(&mut chance, lasts) }, stays)
            })
            .collect();
        let lights = happenings(&mut chance, LIGHT_CHANGES, end_s)
            .into_iter()
            .map(|at_s| (at_s, chance.bits() as usize % view.good.len()))
            .collect();
        let seed = chance.bits();
        Self { seed, length_s, interval_ms, layers, onset, trouble, lights, visits }
    }

    /// A print of the same look with a failure that is there at once and whole: from the first extruded frame on, or
    /// after this part of the print (0..1).
    pub fn failing_at_once(mut self, after: f64) -> Self {
        let at_s = HEATING_S + after * (self.length_s - HEATING_S);
        self.onset = Some(Onset { at_s, grows_s: 0.0, growth: 0 });
        self.trouble = None;
        self
    }

    /// When it ends at the latest, seconds since it began.
    pub fn ends_s(&self) -> f64 {
        self.onset.map_or(self.length_s, |onset| onset.at_s + FAILS_FOR_S)
    }

    /// Whether it has failed by then.
    pub fn has_failed(&self, at_s: f64) -> bool {
        self.onset.is_some_and(|onset| at_s >= onset.at_s)
    }

    /// What the model says of a frame taken then.
    pub fn shot<'a>(&self, view: &'a View, at_s: f64) -> &'a FrameScore {
        let at_s = match self.trouble {
            Some((stretch, Trouble::Freezes)) if stretch.holds(at_s) => stretch.from_s,
            _ => at_s,
        };
        let mut chance = Chance::new(self.seed, (at_s * 1_000.0) as u64);
        let variants = self.state(view, at_s, &mut chance);
        &variants[chance.bits() as usize % variants.len()]
    }

    fn state<'a>(&self, view: &'a View, at_s: f64, chance: &mut Chance) -> &'a [FrameScore] {
        if let Some(onset) = self.onset.filter(|onset| at_s >= onset.at_s) {
            let growth = &view.growths[onset.growth];
            let part = (at_s - onset.at_s) / onset.grows_s.max(f64::MIN_POSITIVE);
            let grown = growth.sizes.iter().rev().find(|(size, _)| f64::from(*size) <= part);
            return match grown {
                Some((_, variants)) => variants,
                None => &view.good[growth.light][growth.stage],
            };
        }
        let stage = self.stage(view, at_s);
        if let Some((visit, stays)) = self.visits.iter().find(|(visit, _)| visit.holds(at_s)) {
            let moments = if *stays { &view.reaching } else { &view.passing };
            let moments = &moments[stage];
            // Who walks by is first here, then there; who stays moves about.
            let first = (visit.part(at_s) * moments.len() as f64) as usize;
            let moment = if *stays { chance.bits() as usize } else { first };
            return std::slice::from_ref(&moments[moment % moments.len()]);
        }
        let light = self.lights.iter().rev().find(|(from_s, _)| *from_s <= at_s);
        &view.good[light.map_or(0, |(_, light)| *light)][stage]
    }

    /// Which stage of the print it has come to.
    fn stage(&self, view: &View, at_s: f64) -> usize {
        let done = ((at_s - HEATING_S) / (self.length_s - HEATING_S)).clamp(0.0, 1.0);
        ((done * view.stages() as f64) as usize).min(view.stages() - 1)
    }
}

fn onset(chance: &mut Chance, view: &View, length_s: f64) -> Onset {
    let growth = chance.bits() as usize % view.growths.len();
    // In minutes from the first loose strand to a plate of spaghetti.
    let grows_s = 60.0 * 5.0 * 10.0_f64.powf(f64::from(chance.between(0.0, 1.0)));
    if chance.between(0.0, 1.0) < FROM_THE_START {
        return Onset { at_s: HEATING_S, grows_s: 0.0, growth: 0 };
    }
    // While the print is at the stage at which this failure was scored.
    let stage = view.growths[growth].stage as f64 + f64::from(chance.between(0.05, 1.0));
    let at_s = HEATING_S + (length_s - HEATING_S) * stage / view.stages() as f64;
    Onset { at_s, grows_s, growth }
}

/// When something happens that happens `per_hour` times an hour, until `end_s`: a Poisson process.
fn happenings(chance: &mut Chance, per_hour: f64, end_s: f64) -> Vec<f64> {
    let mut at_s = 0.0;
    let mut all = Vec::new();
    loop {
        let even = f64::from(chance.between(f32::EPSILON, 1.0));
        at_s -= even.ln() * 3_600.0 / per_hour;
        if at_s >= end_s {
            return all;
        }
        all.push(at_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_so_often_an_hour_does() {
        let mut chance = Chance::new(1, 1);
        let visits = happenings(&mut chance, VISITS, 3_600.0 * 1_000.0).len();
        assert!((1_400..1_600).contains(&visits), "{visits}");
    }
}
