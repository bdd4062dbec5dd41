//! Filament that went astray: long thin curls that pile up over and around the part and hang from the nozzle.

use std::f32::consts::{PI, TAU};

use super::brush::Brush;
use super::chance::Chance;
use super::part::MIDDLE;
use super::room::Look;
use super::view::{Canvas, Point, paint, shade, unit};

/// Strands of a complete failure.
const MOST: usize = 210;

/// Between two points of a strand, mm.
const STEP: f32 = 1.6;

/// Thickness of a strand, mm: several times a nozzle's width, as blobs and close pairs look.
const THICK: f32 = 1.25;

/// Which strands to draw: those farther than the nozzle, or the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Farther from the camera.
    BehindNozzle,
    /// Nearer.
    BeforeNozzle,
}

/// Every strand that is there.
pub(super) struct Tangle {
    strands: Vec<Strand>,
    nozzle_y: f32,
}

struct Strand {
    points: Vec<Point>,
    tint: f32,
}

impl Tangle {
    /// The tangle at `failure` 0..=1: a larger one is the same with more to it.
    pub fn of(seed: u64, failure: f32, height: f32, nozzle: Point) -> Self {
        let amount = failure * MOST as f32;
        let mut strands: Vec<Strand> = (0..amount.ceil() as usize)
            .map(|index| {
                // The newest strand is still growing.
                let grown = (amount - index as f32).clamp(0.05, 1.0);
                strand(&mut Chance::new(seed, 100 + index as u64), index, height, grown)
            })
            .collect();
        if failure > 0.0 {
            let count = 3 + (failure * 9.0) as u64;
            strands.extend((0..count).map(|i| hanging(&mut Chance::new(seed, 10_000 + i), nozzle)));
        }
        strands.sort_by(|a, b| b.middle()[1].total_cmp(&a.middle()[1]));
        Self { strands, nozzle_y: nozzle[1] }
    }

    /// Draws one side of the nozzle, far strands first, each with its shadow.
    pub fn draw(&self, canvas: &mut Canvas, look: &Look, side: Side) {
        let far =
            |strand: &&Strand| (strand.middle()[1] > self.nozzle_y) == (side == Side::BehindNozzle);
        let shadows: Vec<_> =
            self.strands.iter().filter(far).map(|strand| strand.shadow(look)).collect();
        canvas.lines(&shadows, THICK * 1.5, 1.0, &paint([0.0; 3], 0.4));
        let mut brush = Brush::new(canvas);
        for strand in self.strands.iter().filter(far) {
            strand.draw(&mut brush, look);
        }
    }
}

/// How high the pile may be at a distance from its middle, mm.
fn dome(away: f32, radius: f32, height: f32) -> f32 {
    let inside = (1.0 - (away / radius).powi(2)).max(0.0);
    3.0 + (height + 26.0) * inside
}

/// A strand that lies in the pile.
fn strand(chance: &mut Chance, index: usize, height: f32, grown: f32) -> Strand {
    // The pile widens as it grows.
    let radius = 30.0 + 34.0 * (index as f32 / MOST as f32).sqrt() + chance.between(-6.0, 10.0);
    let middle = [MIDDLE[0] + 6.0, MIDDLE[1] - 14.0];
    let (angle, out) = (chance.between(0.0, TAU), radius * chance.between(0.0, 1.0).sqrt() * 0.85);
    let mut at = [
        middle[0] + out * angle.cos(),
        middle[1] + out * angle.sin() * 0.8,
        chance.between(1.0, 4.0),
    ];
    at[2] += dome(out, radius, height) * chance.between(0.0, 0.9);
    let (mut heading, mut climb) = (chance.between(0.0, TAU), chance.between(-0.5, 0.5));
    let mut bend = chance.between(-0.16, 0.16);
    let length = (chance.between(50.0, 210.0) * grown / STEP).max(4.0) as usize;
    let mut points = Vec::with_capacity(length);
    for _ in 0..length {
        points.push(at);
        // Curls keep turning one way for a while.
        bend = (bend * 0.985 + 0.035 * chance.bell() * 0.6).clamp(-0.34, 0.34);
        heading += bend * STEP;
        let (x, y) = (at[0] - middle[0], at[1] - middle[1]);
        let away = x.hypot(y / 0.85);
        if away > radius {
            let home = (-y).atan2(-x);
            heading += 0.25 * (home - heading + PI).rem_euclid(TAU).mul_add(1.0, -PI);
        }
        climb = (climb + 0.13 * chance.bell()).clamp(-0.75, 0.75);
        let level = (1.0 - climb * climb).sqrt();
        let ceiling = dome(away, radius, height);
        at = [
            at[0] + STEP * level * heading.cos(),
            at[1] + STEP * level * heading.sin(),
            (at[2] + STEP * climb).clamp(0.7, ceiling.max(0.7)),
        ];
        if at[2] >= ceiling || at[2] <= 0.7 {
            climb *= -0.5;
        }
    }
    Strand { points, tint: chance.between(0.82, 1.16) }
}

/// A strand that hangs from the nozzle into the pile.
fn hanging(chance: &mut Chance, nozzle: Point) -> Strand {
    let mut at = nozzle;
    let (mut drift, mut along) = (chance.between(-0.5, 0.5), chance.between(-0.5, 0.3));
    let length = (chance.between(20.0, 80.0) / STEP) as usize;
    let mut points = Vec::with_capacity(length);
    for _ in 0..length {
        points.push(at);
        drift = (drift + 0.22 * chance.bell()).clamp(-0.95, 0.95);
        along = (along + 0.22 * chance.bell()).clamp(-0.95, 0.95);
        let fall = if at[2] > 2.0 { -0.55 } else { 0.15 };
        let [dx, dy, dz] = unit([drift, along, fall]);
        at = [at[0] + STEP * dx, at[1] + STEP * dy, (at[2] + STEP * dz).max(0.7)];
    }
    Strand { points, tint: chance.between(0.9, 1.15) }
}

impl Strand {
    fn middle(&self) -> Point {
        self.points[self.points.len() / 2]
    }

    /// Where it keeps the light from the bed.
    fn shadow(&self, look: &Look) -> Vec<Point> {
        let [x_light, y_light, _] = look.light;
        let points = self.points.iter().step_by(3);
        points.map(|[x, y, z]| [x - x_light * z, y - y_light * z, 0.0]).collect()
    }

    fn draw(&self, brush: &mut Brush<'_>, look: &Look) {
        for pair in self.points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let along = unit([to[0] - from[0], to[1] - from[1], to[2] - from[2]]);
            // A round strand is brightest where it runs across the light, and dark deep in the pile.
            let across = super::view::dot(along, look.light);
            let deep = 0.60 + 0.40 * (from[2] / 30.0).clamp(0.0, 1.0);
            let bright = self.tint * deep * (0.70 + 0.52 * (1.0 - across * across).max(0.0).sqrt());
            brush.stroke(from, to, THICK, shade(look.filament, bright));
        }
    }
}
