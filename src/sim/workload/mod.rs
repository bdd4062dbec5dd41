//! Whole prints to judge a rule by: good ones of hours with clutter, changing light, people and dying cameras, and
//! failures that begin at a known time and grow.
//!
//! **Measured**: every map that the rules see. A [`Bank`] holds what the real model said, through the real chain, of
//! many states of many views: stages of a print, lights, people, sizes of a tangle, each several times with the head
//! elsewhere and the sensor's noise new. Nothing is made up between them: a frame of a print is one of the scored ones.
//!
//! **Modelled**: when things happen. How long prints are, how often somebody walks by, when the light changes, when a
//! camera dies, when a failure begins and how fast it grows ([`script`]). Also people: they look five minutes after an
//! alert (or never), dismiss a wrong one, and resume a print that was paused wrongly ([`life`]).
//!
//! **Decided by the real core**, in virtual time, from the inputs that the daemon would give it. One [`life::Life`] is
//! one printer with one view through several prints, its memory kept from print to print.

pub mod life;
pub mod script;
pub mod tally;

use serde::{Deserialize, Serialize};

use crate::core::types::FrameScore;

/// Several scorings of the same state, which differ by the head's place and the sensor's noise. Never empty.
pub type Variants = Vec<FrameScore>;

/// Everything that was scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bank {
    /// Each printer's camera.
    pub printers: Vec<Place>,
}

/// What one printer's camera sees: with nothing in the way, and with clutter where some lies there later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// With nothing that does not belong to the print.
    pub tidy: View,
    /// The same with something beside the print.
    pub cluttered: Option<View>,
}

/// One camera's view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// What it shows, for people.
    pub name: String,
    /// Whether something that is no failure lies in view all the time.
    pub cluttered: bool,
    /// The good print: by light (the usual one first), then by stage of the print.
    pub good: Vec<Vec<Variants>>,
    /// Somebody walks by: by stage, then from one side to the other.
    pub passing: Vec<Variants>,
    /// Somebody reaches in or stands there: by stage.
    pub reaching: Vec<Variants>,
    /// Failures; at least one.
    pub growths: Vec<Growth>,
}

/// One failure from small to large, at one stage of the print and in one light.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Index into [`View::good`].
    pub light: usize,
    /// Index into that.
    pub stage: usize,
    /// How much of the full size, 0..=1, ascending, and what it looks like.
    pub sizes: Vec<(f32, Variants)>,
}

impl View {
    /// Stages of the print that were scored.
    pub fn stages(&self) -> usize {
        self.good.first().map_or(0, Vec::len)
    }

    /// Whether every list that a print may look into is there.
    pub fn is_complete(&self) -> bool {
        let filled = |states: &[Variants]| states.iter().all(|variants| !variants.is_empty());
        let stages = self.stages();
        stages > 0
            && self.good.iter().all(|light| light.len() == stages && filled(light))
            && [&self.passing, &self.reaching].iter().all(|by| by.len() == stages && filled(by))
            && !self.growths.is_empty()
            && self.growths.iter().all(|growth| {
                growth.light < self.good.len()
                    && growth.stage < stages
                    && !growth.sizes.is_empty()
                    && growth.sizes.iter().all(|(_, variants)| !variants.is_empty())
            })
    }
}
