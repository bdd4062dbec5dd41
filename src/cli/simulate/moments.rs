//! What is drawn and scored of one view: the states of a print that [`crate::sim::workload`] puts prints together from.

use image::RgbImage;

use crate::core::types::{FrameScore, Now};
use crate::ports::Frame;
use crate::sim::scene::Passer;
use crate::sim::workload::{Growth, View};
use crate::vision::view::brightness;

/// Lamps, the usual one first; 1 is what the picture was made in.
pub(super) const LIGHTS: [f32; 3] = [1.0, 0.5, 1.5];
/// How much there is of a failure, of its full size.
const SIZES: [f32; 8] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0];
/// Where somebody walks by.
const WALK: [f32; 4] = [0.1, 0.35, 0.6, 0.9];

/// How thoroughly a view is scored.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Thoroughness {
    /// Scorings of the same state, which differ by what is random in it.
    pub variants: u64,
    /// Failures.
    pub growths: usize,
    /// Only every so many sizes.
    pub every_size: usize,
}

/// A state of a view.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    /// Index into [`LIGHTS`].
    pub light: usize,
    /// Stage of the print.
    pub stage: usize,
    /// Numbers the scorings: what is random differs between any two.
    pub shot: u64,
    /// Who walks by.
    pub passer: Option<Passer>,
    /// Which failure, and how much there is of it, 0..=1.
    pub failure: Option<(usize, f32)>,
}

/// Makes pictures of one view.
pub(super) trait Scenery {
    /// What it shows.
    fn name(&self) -> String;
    /// Whether there is clutter.
    fn is_cluttered(&self) -> bool;
    /// Stages of the print that it can show, at least 1.
    fn stages(&self) -> usize;
    /// Whether the printer stands still within a stage and jumps to the next. A camera sees it move: what follows a camera's
    /// view has nothing true to go by then, and what follows the light takes one stage for all.
    fn jumps(&self) -> bool;
    /// The picture of a moment.
    fn picture(&mut self, moment: Moment) -> anyhow::Result<RgbImage>;
}

/// Scores everything that prints of this view are put together from.
pub(super) fn survey(
    scenery: &mut dyn Scenery,
    thorough: Thoroughness,
    score: &mut dyn FnMut(RgbImage) -> anyhow::Result<FrameScore>,
) -> anyhow::Result<View> {
    let stages = scenery.stages();
    let mut shot = 0;
    let mut take = |scenery: &mut dyn Scenery, moment: Moment| {
        shot += 1;
        let moment = Moment { shot, ..moment };
        let mut scored = score(scenery.picture(moment)?)?;
        if scenery.jumps() {
            scored.view = None;
            if moment.stage > 0 {
                let first = scenery.picture(Moment { stage: 0, ..moment })?;
                scored.brightness = brightness(&as_frame(first));
            }
        }
        anyhow::Ok(scored)
    };
    let mut good = Vec::new();
    for light in 0..LIGHTS.len() {
        let mut by_stage = Vec::new();
        for stage in 0..stages {
            let moment = Moment { light, stage, ..Moment::default() };
            let shots = (0..thorough.variants).map(|_| take(scenery, moment));
            by_stage.push(shots.collect::<anyhow::Result<Vec<_>>>()?);
        }
        good.push(by_stage);
    }
    let (mut passing, mut reaching) = (Vec::new(), Vec::new());
    for stage in 0..stages {
        let mut by = |at: f32, reaching: bool| {
            let passer = Some(Passer { at, reaching });
            take(scenery, Moment { stage, passer, ..Moment::default() })
        };
        passing.push(WALK.map(|at| by(at, false)).into_iter().collect::<anyhow::Result<_>>()?);
        let places = (0..thorough.variants).map(|i| (i as f32 + 0.5) / thorough.variants as f32);
        reaching.push(places.map(|at| by(at, true)).collect::<anyhow::Result<_>>()?);
    }
    let mut growths = Vec::new();
    for failure in 0..thorough.growths {
        let (light, stage) = (failure % 2, failure % stages);
        let mut sizes = Vec::new();
        for size in SIZES.into_iter().rev().step_by(thorough.every_size) {
            let moment =
                Moment { light, stage, failure: Some((failure, size)), ..Moment::default() };
            let shots = (0..thorough.variants).map(|_| take(scenery, moment));
            sizes.push((size, shots.collect::<anyhow::Result<Vec<_>>>()?));
        }
        sizes.reverse();
        growths.push(Growth { light, stage, sizes });
    }
    let (name, cluttered) = (scenery.name(), scenery.is_cluttered());
    Ok(View { name, cluttered, good, passing, reaching, growths })
}

/// A picture as a camera would hand it on.
pub(super) fn as_frame(picture: RgbImage) -> Frame {
    let (width, height) = picture.dimensions();
    let taken_at = Now { mono_ms: 0, unix_ms: 0 };
    Frame { width, height, rgb: picture.into_raw(), taken_at, sequence: 0 }
}
