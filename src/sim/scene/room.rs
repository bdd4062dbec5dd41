//! What a seed chooses, and what stands behind the printer.

use tiny_skia::{Color, GradientStop, LinearGradient, Point as Pixel, Rect, SpreadMode, Transform};

use super::chance::Chance;
use super::view::{Canvas, Colour, Point, mix, paint, shade, unit};

/// How this scene looks.
pub(super) struct Look {
    /// The filament.
    pub filament: Colour,
    /// The wall behind.
    pub wall: Colour,
    /// The bed's plate.
    pub plate: Colour,
    /// Towards the lamp.
    pub light: Point,
    seed: u64,
}

/// Filaments that people print with.
const FILAMENTS: [Colour; 5] = [
    [0.93, 0.42, 0.10],
    [0.88, 0.88, 0.85],
    [0.16, 0.62, 0.24],
    [0.90, 0.74, 0.14],
    [0.82, 0.13, 0.12],
];

impl Look {
    /// What `seed` chooses.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1);
        let filament = FILAMENTS[((seed.wrapping_sub(1)) % FILAMENTS.len() as u64) as usize];
        let wall = mix([0.55, 0.57, 0.60], [0.70, 0.65, 0.58], chance.between(0.0, 1.0));
        let plate = shade([0.21, 0.215, 0.23], chance.between(0.9, 1.15));
        let light = unit([chance.between(-0.7, -0.3), -0.45, 0.8]);
        Self { filament, wall, plate, light, seed }
    }

    /// How bright a surface is that faces `normal`: soft light, never black.
    pub fn lit(&self, normal: Point) -> f32 {
        0.58 + 0.56 * super::view::dot(normal, self.light).max(0.0)
    }
}

/// The wall, a shelf with dim things on it, the printer's frame.
pub(super) fn draw(canvas: &mut Canvas, look: &Look) {
    let (width, height) = canvas.size();
    let stop = |at, colour: Colour| {
        let [red, green, blue] = colour;
        GradientStop::new(at, Color::from_rgba(red, green, blue, 1.0).unwrap_or(Color::BLACK))
    };
    let stops = vec![stop(0.0, shade(look.wall, 1.1)), stop(1.0, shade(look.wall, 0.62))];
    let (from, to) = (Pixel::from_xy(0.0, 0.0), Pixel::from_xy(width * 0.3, height));
    let mut wall = paint(look.wall, 1.0);
    if let Some(gradient) =
        LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity())
    {
        wall.shader = gradient;
    }
    if let Some(all) = Rect::from_xywh(0.0, 0.0, width, height) {
        canvas.pixels.fill_rect(all, &wall, Transform::identity(), None);
    }
    let table = shade(look.wall, 0.55);
    upright(canvas, [-500.0, 520.0, -60.0], 1300.0, 70.0, table);
    let mut chance = Chance::new(look.seed, 2);
    for _ in 0..4 {
        // Out of the light, on a table behind: boxes.
        let grey = mix(look.wall, [chance.between(0.2, 0.5), 0.35, chance.between(0.2, 0.5)], 0.4);
        let (wide, high) = (chance.between(40.0, 110.0), chance.between(20.0, 70.0));
        let colour = shade(grey, chance.between(0.45, 0.8));
        upright(canvas, [chance.between(-260.0, 420.0), 519.0, 10.0], wide, high, colour);
    }
    let steel = [0.23, 0.235, 0.245];
    for x in [-34.0, 238.0] {
        upright(canvas, [x, 240.0, -40.0], 18.0, 420.0, steel);
        upright(canvas, [x + 7.0, 239.0, -40.0], 4.0, 420.0, shade(steel, 0.6));
        upright(canvas, [x + 1.0, 239.0, -40.0], 1.5, 420.0, shade(steel, 1.7));
    }
    let floor = [
        [-400.0, -190.0, -34.0],
        [700.0, -190.0, -34.0],
        [700.0, 420.0, -34.0],
        [-400.0, 420.0, -34.0],
    ];
    canvas.fill(&floor, &paint(shade(look.wall, 0.34), 1.0));
}

fn upright(canvas: &mut Canvas, [x, y, z]: Point, wide: f32, high: f32, colour: Colour) {
    let corners = [[x, y, z], [x + wide, y, z], [x + wide, y, z + high], [x, y, z + high]];
    canvas.fill(&corners, &paint(colour, 1.0));
}
