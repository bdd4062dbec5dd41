//! What a cheap camera makes of the light: darker corners, and noise.

use image::RgbImage;

use super::chance::Chance;
use super::view::Canvas;

/// Standard deviation of the noise, of 255.
const NOISE: f32 = 3.2;

/// How much darker the corners are.
const VIGNETTE: f32 = 0.18;

/// The finished picture, in the light of a lamp that is `light` times as bright as usual.
pub(super) fn expose(canvas: Canvas, light: f32, seed: u64, frame: u64) -> RgbImage {
    let (width, height) = (canvas.pixels.width(), canvas.pixels.height());
    let mut picture = RgbImage::new(width, height);
    let reach = (width * width + height * height) as f32 / 4.0;
    for (index, (pixel, drawn)) in picture.pixels_mut().zip(canvas.pixels.pixels()).enumerate() {
        let (x, y) = (index as u32 % width, index as u32 / width);
        let (dx, dy) = (x as f32 - width as f32 / 2.0, y as f32 - height as f32 / 2.0);
        let dim = light * (1.0 - VIGNETTE * (dx * dx + dy * dy) / reach);
        pixel.0 = [drawn.red(), drawn.green(), drawn.blue()].map(|c| (f32::from(c) * dim) as u8);
    }
    add_noise(&mut picture, seed, frame);
    picture
}

/// The noise of frame `frame`.
pub(in crate::sim) fn add_noise(picture: &mut RgbImage, seed: u64, frame: u64) {
    let mut chance = Chance::new(seed, frame.wrapping_add(1 << 40));
    for pixel in picture.pixels_mut() {
        // Most of a sensor's noise is common to the channels once its mosaic is interpolated.
        let common = chance.bell() * NOISE;
        let colour = chance.bell() * NOISE * 0.5;
        let noise = [common + colour, common, common - colour];
        pixel.0 = std::array::from_fn(|i| (f32::from(pixel.0[i]) + noise[i]) as u8);
    }
}
