//! The signature of a picture's view: which way brightness steps between neighbouring blocks. Pure.

use crate::core::detect::view::{VIEW_COLUMNS, VIEW_ROWS, ViewSignature};
use crate::ports::Frame;

/// Steps of mean brightness below this, of 255, are noise.
const STEP: i32 = 6;
/// Every so many-th pixel of a row and row of a block is looked at, so that a picture costs little.
const SAMPLES: usize = 6;

/// The signature of `frame`; `None` when it is too small to have one.
pub fn signature(frame: &Frame) -> Option<ViewSignature> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    // One block more than steps a row.
    let (block, line) = (width / (VIEW_COLUMNS + 1), height / VIEW_ROWS);
    if block == 0 || line == 0 || frame.rgb.len() < width * height * 3 {
        return None;
    }
    let mean = |row: usize, column: usize| {
        let (mut sum, mut count) = (0_i32, 0_i32);
        for y in (row * line..(row + 1) * line).step_by(line.div_ceil(SAMPLES)) {
            for x in (column * block..(column + 1) * block).step_by(block.div_ceil(SAMPLES)) {
                let at = (y * width + x) * 3;
                let [r, g, b] = [at, at + 1, at + 2].map(|at| i32::from(frame.rgb[at]));
                sum += r + 2 * g + b;
                count += 4;
            }
        }
        sum / count
    };
    let mut signs = Vec::with_capacity(VIEW_COLUMNS * VIEW_ROWS);
    for row in 0..VIEW_ROWS {
        let mut left = mean(row, 0);
        for column in 1..=VIEW_COLUMNS {
            let right = mean(row, column);
            let step = right - left;
            signs.push(if step.abs() < STEP { 0 } else { step.signum() as i8 });
            left = right;
        }
    }
    ViewSignature::new(signs)
}
