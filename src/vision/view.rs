//! What a picture looks like as a whole, in blocks: which way brightness steps between neighbours (tells a camera that was
//! moved), and how bright each is (tells a light that changed). Pure.

use crate::core::detect::light::{Brightness, LIGHT_COLUMNS, LIGHT_ROWS};
use crate::core::detect::view::{VIEW_COLUMNS, VIEW_ROWS, ViewSignature};
use crate::ports::Frame;

/// Steps of mean brightness below this, of 255, are noise.
const STEP: i32 = 6;
/// Every so many-th pixel of a row and row of a block is looked at, so that a picture costs little.
const SAMPLES: usize = 6;

/// The signature of `frame`; `None` when it is too small to have one.
pub fn signature(frame: &Frame) -> Option<ViewSignature> {
    // One block more than steps a row.
    let blocks = Blocks::of(frame, VIEW_COLUMNS + 1, VIEW_ROWS)?;
    let mut signs = Vec::with_capacity(VIEW_COLUMNS * VIEW_ROWS);
    for row in 0..VIEW_ROWS {
        let mut left = blocks.mean(row, 0);
        for column in 1..=VIEW_COLUMNS {
            let right = blocks.mean(row, column);
            let step = right - left;
            signs.push(if step.abs() < STEP { 0 } else { step.signum() as i8 });
            left = right;
        }
    }
    ViewSignature::new(signs)
}

/// How bright the blocks of `frame` are; `None` when it is too small to have any.
pub fn brightness(frame: &Frame) -> Option<Brightness> {
    let blocks = Blocks::of(frame, LIGHT_COLUMNS, LIGHT_ROWS)?;
    let level = |block| blocks.mean(block / LIGHT_COLUMNS, block % LIGHT_COLUMNS) as f32;
    Some(Brightness::of_levels(std::array::from_fn(level)))
}

/// A picture in blocks of the same size.
struct Blocks<'a> {
    frame: &'a Frame,
    wide: usize,
    high: usize,
}

impl<'a> Blocks<'a> {
    fn of(frame: &'a Frame, columns: usize, rows: usize) -> Option<Self> {
        let (width, height) = (frame.width as usize, frame.height as usize);
        let (wide, high) = (width / columns, height / rows);
        let whole = wide > 0 && high > 0 && frame.rgb.len() >= width * height * 3;
        whole.then_some(Self { frame, wide, high })
    }

    /// Mean brightness of a block, of 255.
    fn mean(&self, row: usize, column: usize) -> i32 {
        let Self { frame, wide, high } = *self;
        let (mut sum, mut count) = (0_i32, 0_i32);
        for y in (row * high..(row + 1) * high).step_by(high.div_ceil(SAMPLES)) {
            for x in (column * wide..(column + 1) * wide).step_by(wide.div_ceil(SAMPLES)) {
                let at = (y * frame.width as usize + x) * 3;
                let [r, g, b] = [at, at + 1, at + 2].map(|at| i32::from(frame.rgb[at]));
                sum += r + 2 * g + b;
                count += 4;
            }
        }
        sum / count
    }
}
