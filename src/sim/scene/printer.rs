//! The bed and the toolhead over it.

use std::f32::consts::TAU;

use super::BED_MM;
use super::room::Look;
use super::view::{Canvas, Colour, Point, mix, paint, shade};

/// The plate with its grid, lit from one side.
pub(super) fn draw_bed(canvas: &mut Canvas, look: &Look) {
    let rectangle = |margin: f32, z: f32| -> [Point; 4] {
        let (low, high) = (-margin, BED_MM + margin);
        [[low, low, z], [high, low, z], [high, high, z], [low, high, z]]
    };
    // The carriage below shows as the plate's thickness.
    let [left, right, ..] = rectangle(3.0, 0.0);
    let [left_low, right_low, ..] = rectangle(3.0, -7.0);
    canvas.fill(&[left, right, right_low, left_low], &paint(shade(look.plate, 0.45), 1.0));
    canvas.fill(&rectangle(3.0, 0.0), &paint(shade(look.plate, 0.8), 1.0));
    canvas.fill(&rectangle(0.0, 0.0), &paint(look.plate, 1.0));
    // The lamp's sheen, wider and fainter rings.
    for ring in 0..9 {
        let radius = 30.0 + 14.0 * ring as f32;
        let sheen: Vec<Point> = (0..40)
            .map(|i| TAU * i as f32 / 40.0)
            .map(|angle| [70.0 + radius * angle.cos(), 150.0 + 0.8 * radius * angle.sin(), 0.0])
            .map(|[x, y, z]| [x.clamp(0.0, BED_MM), y.clamp(0.0, BED_MM), z])
            .collect();
        canvas.fill(&sheen, &paint([0.75, 0.78, 0.82], 0.022));
    }
    let ink = paint(shade(look.plate, 1.55), 0.55);
    for step in 1..11 {
        let at = step as f32 * BED_MM / 11.0;
        canvas.line(&[[at, 0.0, 0.0], [at, BED_MM, 0.0]], 0.3, 0.7, &ink);
        canvas.line(&[[0.0, at, 0.0], [BED_MM, at, 0.0]], 0.3, 0.7, &ink);
    }
}

/// The beam, the toolhead with its fan, and the nozzle's tip at `nozzle`.
pub(super) fn draw_toolhead(canvas: &mut Canvas, look: &Look, nozzle: Point) {
    let [x, y, z] = nozzle;
    let black: Colour = [0.085, 0.088, 0.095];
    beam(canvas, y + 26.0, z + 44.0);
    let low = z + 13.0;
    let solid = Solid { from: [x - 21.0, y - 14.0, low], to: [x + 21.0, y + 26.0, low + 52.0] };
    solid.draw(canvas, look, black);
    let face = |across: f32, up: f32| [x + across, y - 14.2, low + up];
    let disc = |radius: f32| -> Vec<Point> {
        (0..36)
            .map(|i| TAU * i as f32 / 36.0)
            .map(|angle| face(radius * angle.cos(), 27.0 + radius * angle.sin()))
            .collect()
    };
    canvas.fill(&disc(17.0), &paint(shade(black, 1.6), 1.0));
    canvas.fill(&disc(15.5), &paint(shade(black, 0.65), 1.0));
    for blade in 0..7 {
        let angle = TAU * (blade as f32 / 7.0 + 0.03);
        let at = |radius: f32, turn: f32| {
            face(radius * (angle + turn).cos(), 27.0 + radius * (angle + turn).sin())
        };
        canvas.fill(
            &[at(5.0, 0.0), at(14.5, 0.25), at(14.5, 0.75), at(5.0, 0.6)],
            &paint(shade(black, 1.05), 1.0),
        );
    }
    canvas.fill(&disc(5.5), &paint(shade(black, 1.6), 1.0));
    let brass = [0.62, 0.49, 0.24];
    let heater = Solid { from: [x - 9.0, y - 7.0, z + 6.0], to: [x + 9.0, y + 9.0, z + 13.0] };
    heater.draw(canvas, look, [0.42, 0.42, 0.43]);
    canvas.fill(
        &[[x - 4.0, y, z + 6.0], [x + 4.0, y, z + 6.0], [x + 0.9, y, z], [x - 0.9, y, z]],
        &paint(brass, 1.0),
    );
    canvas.line(
        &[[x - 2.0, y, z + 5.5], [x - 0.6, y, z + 0.5]],
        0.7,
        0.7,
        &paint(mix(brass, [1.0; 3], 0.5), 0.8),
    );
}

/// The rail that carries the toolhead.
fn beam(canvas: &mut Canvas, y: f32, z: f32) {
    for (low, high, grey) in
        [(0.0, 20.0, 0.20), (3.0, 5.0, 0.10), (15.0, 17.0, 0.10), (19.0, 20.0, 0.42)]
    {
        let corners =
            [[-34.0, y, z + low], [256.0, y, z + low], [256.0, y, z + high], [-34.0, y, z + high]];
        canvas.fill(&corners, &paint([grey, grey, grey * 1.05], 1.0));
    }
}

/// A box along the axes.
struct Solid {
    from: Point,
    to: Point,
}

impl Solid {
    /// Its left, top and front, which are what the camera may see.
    fn draw(&self, canvas: &mut Canvas, look: &Look, colour: Colour) {
        let ([x0, y0, z0], [x1, y1, z1]) = (self.from, self.to);
        let sides = [
            ([[x0, y0, z0], [x0, y1, z0], [x0, y1, z1], [x0, y0, z1]], [-1.0, 0.0, 0.0]),
            ([[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]], [0.0, 0.0, 1.0]),
            ([[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]], [0.0, -1.0, 0.0]),
        ];
        for (corners, normal) in sides {
            canvas.fill(&corners, &paint(shade(colour, look.lit(normal) * 1.3), 1.0));
        }
    }
}
