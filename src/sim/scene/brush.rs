//! Draws strands: round, lit from above, each with a soft shadow on what lies behind it, the nearer over the farther.
//! A general path renderer takes a second for what this does in milliseconds.

use super::view::{Canvas, Colour, Point};

/// How far beyond a strand's edge its shadow reaches, px.
const SHADOW: f32 = 1.6;

/// A canvas with the distance of everything the brush drew.
pub(super) struct Brush<'a> {
    canvas: &'a mut Canvas,
    distances: Vec<f32>,
}

/// One end of a stroke, px; its distance and half its width.
#[derive(Clone, Copy)]
struct End {
    x: f32,
    y: f32,
    distance: f32,
    radius: f32,
}

impl<'a> Brush<'a> {
    /// A brush for what lies before everything drawn so far.
    pub fn new(canvas: &'a mut Canvas) -> Self {
        let pixels = canvas.pixels.pixels().len();
        Self { canvas, distances: vec![f32::INFINITY; pixels] }
    }

    /// A piece of a strand `width` mm wide.
    pub fn stroke(&mut self, from: Point, to: Point, width: f32, colour: Colour) {
        let end = |point: Point| {
            let (x, y, distance) = self.canvas.project(point)?;
            let radius = (width * self.canvas.scale(distance) / 2.0).max(0.55);
            Some(End { x, y, distance, radius })
        };
        if let (Some(from), Some(to)) = (end(from), end(to)) {
            self.between(from, to, colour);
        }
    }

    fn between(&mut self, from: End, to: End, colour: Colour) {
        let (width, height) = self.canvas.size();
        let reach = from.radius.max(to.radius) + SHADOW + 1.0;
        let range = |a: f32, b: f32, most: f32| {
            let low = (a.min(b) - reach).clamp(0.0, most) as usize;
            low..(a.max(b) + reach).clamp(0.0, most) as usize
        };
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy).max(0.01);
        // Across the strand, towards the top of the picture, where the light comes from.
        let (nx, ny) =
            if dx >= 0.0 { (dy / length, -dx / length) } else { (-dy / length, dx / length) };
        for y in range(from.y, to.y, height) {
            for x in range(from.x, to.x, width) {
                let (px, py) = (x as f32 + 0.5 - from.x, y as f32 + 0.5 - from.y);
                let part = ((px * dx + py * dy) / (length * length)).clamp(0.0, 1.0);
                let away = (px - part * dx).hypot(py - part * dy);
                let radius = from.radius + (to.radius - from.radius) * part;
                let distance = from.distance + (to.distance - from.distance) * part;
                let pixel = y * width as usize + x;
                if away < radius + 0.5 {
                    let side = (px * nx + py * ny) / radius;
                    self.body(pixel, distance, (radius + 0.5 - away).min(1.0), side, colour);
                } else if away < radius + SHADOW {
                    self.shadow(pixel, distance, 1.0 - (away - radius) / SHADOW);
                }
            }
        }
    }

    /// A pixel of the strand, `side` -1 (its lower edge) ..=1 (its upper edge).
    fn body(&mut self, pixel: usize, distance: f32, cover: f32, side: f32, colour: Colour) {
        if distance > self.distances[pixel] {
            return;
        }
        if cover > 0.5 {
            self.distances[pixel] = distance;
        }
        let round = (1.0 - side * side).max(0.0).sqrt();
        let bright = 0.50 + 0.42 * round + 0.22 * side;
        let gleam = (0.5 * (1.0 - ((side - 0.4) / 0.35).powi(2))).max(0.0);
        let lit = colour.map(|channel| channel * bright + (1.0 - channel * bright) * 0.55 * gleam);
        self.blend(pixel, lit, cover);
    }

    /// A pixel beside the strand: darker, if what is there lies farther.
    fn shadow(&mut self, pixel: usize, distance: f32, depth: f32) {
        if distance + 0.8 < self.distances[pixel] {
            self.blend(pixel, [0.0; 3], 0.16 * depth);
        }
    }

    fn blend(&mut self, pixel: usize, colour: Colour, part: f32) {
        let Some(bytes) = self.canvas.pixels.data_mut().get_mut(pixel * 4..pixel * 4 + 3) else {
            return;
        };
        for (byte, channel) in bytes.iter_mut().zip(colour) {
            *byte =
                (f32::from(*byte) * (1.0 - part) + channel.clamp(0.0, 1.0) * 255.0 * part) as u8;
        }
    }
}
