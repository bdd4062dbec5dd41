//! The part on the bed, of one of several shapes: some are easily taken for a tangle and are none.

use std::f32::consts::TAU;

use super::brush::Brush;
use super::chance::Chance;
use super::room::Look;
use super::view::{Canvas, Point, paint, shade, unit};
use super::{PART_HEIGHT_MM, Part};

/// The middle of the part on the bed, mm.
pub(super) const MIDDLE: [f32; 2] = [112.0, 112.0];

/// Half the part's length and depth, mm.
const HALF: [f32; 2] = [39.0, 27.0];

/// Points of an outline.
const CORNERS: usize = 48;

/// What the eye can tell apart of the layers, mm.
const LAYER: f32 = 1.0;

/// So high a part stands on its supports, mm.
const DECK: f32 = 24.0;

/// The part up to `height` mm.
pub(super) fn draw(canvas: &mut Canvas, look: &Look, part: Part, height: f32, seed: u64) {
    if height < 0.1 {
        return;
    }
    let whole = Solid { middle: MIDDLE, half: HALF, low: 0.0, high: height };
    let mut chance = Chance::new(seed, 6);
    match part {
        Part::Block => whole.draw(canvas, look),
        Part::OnSupports => {
            draw_supports(canvas, look, &mut chance, height.min(DECK));
            if height > DECK {
                Solid { low: DECK, ..whole }.draw(canvas, look);
            }
        }
        Part::Openwork => draw_openwork(canvas, look, &mut chance, height),
        Part::Plate => draw_plate(canvas, look, &mut chance, height),
    }
}

/// A forest of thin columns, each of which leans a little, and branches under the deck.
fn draw_supports(canvas: &mut Canvas, look: &Look, chance: &mut Chance, height: f32) {
    let mut brush = Brush::new(canvas);
    for row in 0..5 {
        for column in 0..8 {
            let [x, y] = [(column, 8.0, 0), (row, 5.0, 1)].map(|(step, steps, side)| {
                let along = (step as f32 + 0.5) / steps * 2.0 - 1.0;
                MIDDLE[side] + 0.92 * HALF[side] * along + chance.between(-1.5, 1.5)
            });
            let tint = shade(look.filament, chance.between(0.7, 1.0));
            let lean = [chance.between(-4.0, 4.0), chance.between(-4.0, 4.0)];
            let at = |z: f32, aside: [f32; 2]| -> Point {
                let part = z / DECK;
                [x + (lean[0] + aside[0]) * part, y + (lean[1] + aside[1]) * part, z]
            };
            let fork = chance.between(0.4, 0.7) * DECK;
            let thick = chance.between(1.0, 2.2);
            brush.stroke(at(0.0, [0.0; 2]), at(fork.min(height), [0.0; 2]), thick, tint);
            for _ in 0..2 {
                let aside = [chance.between(-9.0, 9.0), chance.between(-9.0, 9.0)];
                if height > fork {
                    let from = at(fork, [0.0; 2]);
                    brush.stroke(from, at(height, aside), 0.8 * thick, tint);
                }
            }
        }
    }
}

/// A vase of struts that cross, on a raft.
fn draw_openwork(canvas: &mut Canvas, look: &Look, chance: &mut Chance, height: f32) {
    const STRUTS: usize = 14;
    let raft = Solid { middle: MIDDLE, half: HALF, low: 0.0, high: height };
    raft.draw_shadow(canvas, look);
    canvas.fill(&raft.outline(0.6, 1.0), &paint(shade(look.filament, 0.8), 1.0));
    let thick = chance.between(2.0, 4.0);
    let turns = chance.between(0.25, 0.6) / PART_HEIGHT_MM;
    let uneven: Vec<f32> = (0..STRUTS * 2).map(|_| chance.between(-0.2, 0.2)).collect();
    let mut brush = Brush::new(canvas);
    let ring = |angle: f32, z: f32| -> Point {
        let belly = 0.72 + 0.2 * (z / PART_HEIGHT_MM * 2.4).sin();
        [MIDDLE[0] + HALF[0] * belly * angle.cos(), MIDDLE[1] + HALF[0] * belly * angle.sin(), z]
    };
    for (strut, uneven) in uneven.iter().enumerate() {
        let way = if strut % 2 == 0 { 1.0 } else { -1.0 };
        let from = TAU * ((strut / 2) as f32 + uneven) / STRUTS as f32;
        let steps = (height / 2.0).ceil() as usize;
        for step in 0..steps {
            let [low, high] = [step, step + 1].map(|step| (step as f32 * 2.0).min(height));
            let at = |z: f32| ring(from + way * TAU * turns * z, z);
            let normal = unit([at(low)[0] - MIDDLE[0], at(low)[1] - MIDDLE[1], 0.0]);
            brush.stroke(at(low), at(high), thick, shade(look.filament, look.lit(normal)));
        }
    }
}

/// Several small parts with a skirt around them, and the tower on which the nozzle is primed.
fn draw_plate(canvas: &mut Canvas, look: &Look, chance: &mut Chance, height: f32) {
    let mut brush = Brush::new(canvas);
    for round in 0..3 {
        let margin = 9.0 + 1.1 * round as f32;
        let whole = Solid { middle: MIDDLE, half: HALF, low: 0.0, high: 0.0 };
        let mut skirt = whole.outline(0.3, margin);
        skirt.push(skirt[0]);
        for pair in skirt.windows(2) {
            brush.stroke(pair[0], pair[1], 0.7, shade(look.filament, 0.85));
        }
    }
    let tower = Solid { middle: [186.0, 168.0], half: [11.0, 11.0], low: 0.0, high: height };
    tower.draw(canvas, look);
    for row in [1.0, 0.0, -1.0] {
        for column in [-1.0, 0.0, 1.0] {
            let middle = [MIDDLE[0] + 27.0 * column, MIDDLE[1] + 19.0 * row];
            let half = [chance.between(4.0, 9.0), chance.between(4.0, 7.0)];
            let high = height.min(chance.between(10.0, PART_HEIGHT_MM));
            Solid { middle, half, low: 0.0, high }.draw(canvas, look);
        }
    }
}

/// A body with round corners.
struct Solid {
    middle: [f32; 2],
    half: [f32; 2],
    low: f32,
    high: f32,
}

impl Solid {
    /// Its outline at height `z`, grown by `margin` mm.
    fn outline(&self, z: f32, margin: f32) -> Vec<Point> {
        let power = |value: f32| value.signum() * value.abs().powf(0.42);
        let ([x, y], [wide, deep]) = (self.middle, self.half);
        (0..CORNERS)
            .map(|i| TAU * i as f32 / CORNERS as f32)
            .map(|angle| {
                let (across, along) = (power(angle.cos()), power(angle.sin()));
                [x + (wide + margin) * across, y + (deep + margin) * along, z]
            })
            .collect()
    }

    /// With its brim and its shadow.
    fn draw(&self, canvas: &mut Canvas, look: &Look) {
        self.draw_shadow(canvas, look);
        if self.low <= 0.0 {
            canvas.fill(&self.outline(0.0, 4.0), &paint(shade(look.filament, 0.62), 1.0));
        }
        let (low, high) = (self.outline(self.low, 0.0), self.outline(self.high, 0.0));
        // Half of the walls face away; drawn from far to near they are covered by those that do not.
        let mut walls: Vec<usize> = (0..CORNERS).collect();
        walls.sort_by(|a, b| canvas.distance(low[*b]).total_cmp(&canvas.distance(low[*a])));
        for wall in walls {
            let next = (wall + 1) % CORNERS;
            let normal = unit([low[next][1] - low[wall][1], low[wall][0] - low[next][0], 0.0]);
            let colour = shade(look.filament, look.lit(normal));
            let corners = [low[wall], low[next], high[next], high[wall]];
            canvas.fill(&corners, &paint(colour, 1.0));
            // Neighbours would show a seam where each covers half a pixel.
            canvas.line(&[low[next], high[next]], 0.2, 0.8, &paint(colour, 1.0));
        }
        self.draw_layers(canvas, look);
        canvas.fill(&high, &paint(shade(look.filament, look.lit([0.0, 0.0, 1.0]) * 0.93), 1.0));
        self.draw_infill(canvas, look);
    }

    fn draw_shadow(&self, canvas: &mut Canvas, look: &Look) {
        for soft in 0..5 {
            let away = self.high * 0.5 + 3.0;
            let shadow: Vec<Point> = self
                .outline(0.0, 7.0 - 1.4 * soft as f32)
                .into_iter()
                .map(|[x, y, _]| [x - look.light[0] * away, y - look.light[1] * away, 0.0])
                .collect();
            canvas.fill(&shadow, &paint([0.0, 0.0, 0.0], 0.10));
        }
    }

    /// The lines between layers, on the walls that face the camera.
    fn draw_layers(&self, canvas: &mut Canvas, look: &Look) {
        let groove = paint(shade(look.filament, 0.40), 0.42);
        for layer in 1..((self.high - self.low) / LAYER) as usize {
            let ring = self.outline(self.low + layer as f32 * LAYER, 0.05);
            let front: Vec<Point> = ring[CORNERS / 2..].to_vec();
            canvas.line(&front, 0.18, 0.5, &groove);
        }
    }

    /// Even lines over the top, and the wall's edge.
    fn draw_infill(&self, canvas: &mut Canvas, look: &Look) {
        let line = paint(shade(look.filament, 0.72), 0.35);
        let ([x, y], [wide, deep]) = (self.middle, self.half);
        let top = |across: f32, along: f32| [x + across, y + along, self.high];
        for step in 1..26 {
            let across = wide * (step as f32 / 13.0 - 1.0);
            let along = deep * (1.0 - (across / wide).abs().powf(5.0)).max(0.0) * 0.94;
            canvas.line(&[top(across, -along), top(across, along)], 0.3, 0.5, &line);
        }
        let mut edge = self.outline(self.high, -0.6);
        edge.push(edge[0]);
        canvas.line(&edge, 0.9, 0.9, &paint(shade(look.filament, 1.12), 0.7));
    }
}
