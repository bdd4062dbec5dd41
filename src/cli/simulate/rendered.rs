//! Views that the project draws itself.

use image::RgbImage;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::moments::{LIGHTS, Moment, Scenery};
use crate::sim::scene::{BED_MM, Clutter, Part, SceneState, render};

/// Stages of a print.
const STAGES: usize = 4;

/// A drawn printer.
#[derive(Clone, Copy)]
pub(super) struct Rendered {
    seed: u64,
    clutter: Clutter,
    size: (u32, u32),
}

impl Rendered {
    /// The printer that `seed` chooses.
    pub fn new(seed: u64, size: (u32, u32)) -> Self {
        Self { seed, clutter: Clutter::None, size }
    }

    /// The same with something beside the print; `None` where nothing ever lies there.
    pub fn cluttered(&self) -> Option<Self> {
        let clutter = match self.seed % 5 {
            1 => Clutter::Cables,
            3 => Clutter::PurgedFilament,
            _ => return None,
        };
        Some(Self { clutter, ..*self })
    }

    /// What it prints: in three of five cases something that is easily taken for a tangle.
    fn part(&self) -> Part {
        match self.seed / 5 % 5 {
            0 => Part::OnSupports,
            1 => Part::Openwork,
            2 => Part::Plate,
            _ => Part::Block,
        }
    }
}

impl Scenery for Rendered {
    fn name(&self) -> String {
        match self.clutter {
            Clutter::None => format!("scene {}", self.seed),
            Clutter::Cables => format!("scene {} with a cable", self.seed),
            Clutter::PurgedFilament => format!("scene {} with purged filament", self.seed),
        }
    }

    fn is_cluttered(&self) -> bool {
        self.clutter != Clutter::None
    }

    fn stages(&self) -> usize {
        STAGES
    }

    fn jumps(&self) -> bool {
        false
    }

    fn picture(&mut self, moment: Moment) -> anyhow::Result<RgbImage> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ (moment.shot << 20));
        let (failure, size) = moment.failure.unwrap_or((0, 0.0));
        let within_stage: f32 = random.random_range(0.02..0.98);
        Ok(render(&SceneState {
            seed: self.seed,
            tangle: failure as u64,
            progress: (moment.stage as f32 + within_stage) / STAGES as f32,
            nozzle: [random.random_range(0.3..0.7), random.random_range(0.3..0.7)]
                .map(|part: f32| part * BED_MM),
            failure: size,
            frame: moment.shot,
            size: self.size,
            light: LIGHTS[moment.light],
            part: self.part(),
            clutter: self.clutter,
            passer: moment.passer,
        }))
    }
}
