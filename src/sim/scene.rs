//! The rendered camera's picture: a printer's bed, a part that grows layer by layer, a toolhead that moves, and, when
//! asked for, strands of filament everywhere. The same state gives the same picture, byte for byte.

mod brush;
pub(in crate::sim) mod chance;
mod clutter;
mod part;
mod printer;
mod room;
pub(super) mod sensor;
mod strands;
mod view;

use image::RgbImage;

use view::Canvas;

/// Side of the square bed, mm.
pub const BED_MM: f32 = 220.0;

/// Height of the finished part, mm.
pub const PART_HEIGHT_MM: f32 = 46.0;

/// What the camera sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SceneState {
    /// Chooses the shape of the tangle, the filament's colour, the room and the angle of the light.
    pub seed: u64,
    /// How much of the part is there, 0..=1.
    pub progress: f32,
    /// The nozzle over the bed: x from the left, y from the front, mm, 0..=[`BED_MM`].
    pub nozzle: [f32; 2],
    /// Chooses another tangle of the same printer.
    pub tangle: u64,
    /// How many strands, 0 (none) ..=1 (everywhere).
    pub failure: f32,
    /// Counts the frames: two frames of the same scene differ by the sensor's noise.
    pub frame: u64,
    /// Width and height of the picture, px.
    pub size: (u32, u32),
    /// How bright the lamp is; 1 is what the room was built for.
    pub light: f32,
    /// What is printed.
    pub part: Part,
    /// What lies beside the print.
    pub clutter: Clutter,
    /// Who walks by.
    pub passer: Option<Passer>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// A solid body.
    #[default]
    Block,
    /// A body that stands on a forest of thin supports.
    OnSupports,
    /// A vase of struts that cross.
    Openwork,
    /// Several small bodies with a skirt around them and a prime tower.
    Plate,
}

/// What lies beside the print and is in view all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clutter {
    /// Nothing.
    #[default]
    None,
    /// A cable wound up.
    Cables,
    /// A pile of what was wiped off the nozzle: just what a failure looks like.
    PurgedFilament,
}

/// Somebody at the printer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passer {
    /// Where, from the left (0) to the right (1) of the picture.
    pub at: f32,
    /// Whether a hand is over the bed.
    pub reaching: bool,
}

impl Default for SceneState {
    fn default() -> Self {
        Self {
            seed: 1,
            progress: 0.5,
            nozzle: [120.0, 115.0],
            tangle: 0,
            failure: 0.0,
            frame: 0,
            size: (640, 480),
            light: 1.0,
            part: Part::Block,
            clutter: Clutter::None,
            passer: None,
        }
    }
}

/// Draws the picture.
pub fn render(state: &SceneState) -> RgbImage {
    let Some(mut canvas) = Canvas::new(state.size) else {
        return RgbImage::new(state.size.0, state.size.1);
    };
    let look = room::Look::of(state.seed);
    let height = PART_HEIGHT_MM * within(state.progress, 1.0);
    let [x, y] = state.nozzle.map(|part| within(part, BED_MM));
    let nozzle = [x, y, height + 0.4];
    room::draw(&mut canvas, &look);
    if let Some(passer) = state.passer {
        clutter::draw_passer(&mut canvas, state.seed, passer);
    }
    printer::draw_bed(&mut canvas, &look);
    clutter::draw(&mut canvas, state.seed, state.clutter);
    part::draw(&mut canvas, &look, state.part, height, state.seed);
    let of = state.seed ^ (state.tangle << 40);
    let tangle = strands::Tangle::of(of, within(state.failure, 1.0), height, nozzle);
    tangle.draw(&mut canvas, &look, strands::Side::BehindNozzle);
    printer::draw_toolhead(&mut canvas, &look, nozzle);
    tangle.draw(&mut canvas, &look, strands::Side::BeforeNozzle);
    if let Some(passer) = state.passer {
        clutter::draw_arm(&mut canvas, state.seed, passer);
    }
    sensor::expose(canvas, within(state.light, 4.0), state.seed, state.frame)
}

/// `value` cut to 0..=`most`; what is no number is 0.
fn within(value: f32, most: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, most) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean absolute difference of two pictures, 0..=255.
    fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
        let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.len() as f64
    }

    fn passer(reaching: bool) -> Passer {
        Passer { at: 0.5, reaching }
    }

    #[test]
    fn the_same_state_gives_the_same_picture() {
        let state = SceneState { failure: 0.6, ..SceneState::default() };
        assert_eq!(render(&state), render(&state));
    }

    #[test]
    fn frames_of_the_same_scene_differ_a_little() {
        let first = SceneState::default();
        let second = SceneState { frame: 1, ..first };
        let noise = difference(&render(&first), &render(&second));
        assert!((0.5..8.0).contains(&noise), "{noise}");
    }

    #[test]
    fn strands_head_and_part_show() {
        let good = render(&SceneState::default());
        for (what, state) in [
            ("strands", SceneState { failure: 0.5, ..SceneState::default() }),
            ("the head", SceneState { nozzle: [60.0, 60.0], ..SceneState::default() }),
            ("the part", SceneState { progress: 1.0, ..SceneState::default() }),
            ("supports", SceneState { part: Part::OnSupports, ..SceneState::default() }),
            ("openwork", SceneState { part: Part::Openwork, ..SceneState::default() }),
            ("many parts", SceneState { part: Part::Plate, ..SceneState::default() }),
            ("the lamp", SceneState { light: 0.4, ..SceneState::default() }),
            ("a pile", SceneState { clutter: Clutter::PurgedFilament, ..SceneState::default() }),
            ("a cable", SceneState { clutter: Clutter::Cables, ..SceneState::default() }),
            ("somebody", SceneState { passer: Some(passer(false)), ..SceneState::default() }),
            ("a hand", SceneState { passer: Some(passer(true)), ..SceneState::default() }),
        ] {
            let changed = difference(&good, &render(&state));
            // The noise is the same in both: they are the same frame.
            assert!(changed > 0.2, "{what} changes the picture by {changed}");
        }
    }

    #[test]
    fn any_state_can_be_drawn() {
        for (size, part) in [
            ((64, 48), Part::Block),
            ((640, 480), Part::OnSupports),
            ((1280, 720), Part::Openwork),
            ((1, 1), Part::Plate),
        ] {
            for (progress, nozzle, failure) in [
                (-1.0, [-500.0, 900.0], 2.0),
                (f32::NAN, [f32::NAN, 0.0], f32::NAN),
                (0.01, [0.0, 0.0], 0.0),
            ] {
                let defaults = SceneState::default();
                let state = SceneState { size, part, progress, nozzle, failure, ..defaults };
                assert_eq!(render(&state).dimensions(), size);
            }
        }
    }
}
