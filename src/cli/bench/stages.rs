//! The chain from a frame to a score, stage by stage.

use image::RgbImage;
use serde::Serialize;

use crate::cli::model::RuntimeArguments;
use crate::ports::Frame;
use crate::vision::{Detector, Model, annotate, picture};

use super::cost::{self, Cost, Who};

/// The picture that is scored.
pub const PICTURE: &str = "1280x720";

/// Runs before anything counts.
const WARM_UP: u32 = 3;

/// One stage, its cost a frame.
#[derive(Debug, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Median cost of a frame.
    #[serde(flatten)]
    pub cost: Cost,
}

/// Measures preprocessing, inference and postprocessing over `frames` frames.
pub fn measure(
    model: &Model,
    runtime: &RuntimeArguments,
    frames: u32,
) -> anyhow::Result<Vec<Stage>> {
    let mut detector = Detector::load(model, runtime.library(), runtime.threads())?;
    let frame = picture::decode(&annotate::jpeg(&test_picture())?)?;
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for round in 0..frames + WARM_UP {
        let once = one_frame(&mut detector, &frame)?;
        if round >= WARM_UP {
            costs.iter_mut().zip(once).for_each(|(all, cost)| all.push(cost));
        }
    }
    let names = ["resize", "inference", "postprocess"];
    Ok(names
        .into_iter()
        .zip(&costs)
        .map(|(name, costs)| Stage { name, cost: cost::median(costs) })
        .collect())
}

fn one_frame(detector: &mut Detector, frame: &Frame) -> anyhow::Result<[Cost; 3]> {
    let (placement, resize) = cost::of(Who::ThisThread, || detector.prepare(frame));
    let (prediction, inference) = cost::of(Who::Process, || detector.infer());
    let (placement, prediction) = (placement?, prediction?);
    let (score, postprocess) =
        cost::of(Who::ThisThread, || detector.interpret(prediction, &placement));
    score?;
    Ok([resize, inference, postprocess])
}

/// Smooth shades with fine structure on them, as on a webcam's picture.
fn test_picture() -> RgbImage {
    RgbImage::from_fn(1280, 720, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)) >> 27;
        let shade = |v: u32| (v + grain).min(255) as u8;
        image::Rgb([shade(x / 6), shade(y / 4), shade((x + y) / 10)])
    })
}
