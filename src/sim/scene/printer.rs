//! The bed, the part on it, the toolhead over it.

use std::f32::consts::TAU;

use super::BED_MM;
use super::room::Look;
use super::view::{Canvas, Colour, Point, mix, paint, shade, unit};

/// The middle of the part on the bed, mm.
pub(super) const PART: [f32; 2] = [112.0, 112.0];

/// Half the part's length and depth, mm.
const HALF: [f32; 2] = [39.0, 27.0];

/// Points of the part's outline.
const CORNERS: usize = 48;

/// What the eye can tell apart of the layers, mm.
const LAYER: f32 = 1.0;

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

/// The part's outline at height `z`, grown by `margin` mm: a rectangle with round corners.
fn outline(z: f32, margin: f32) -> Vec<Point> {
    let power = |value: f32| value.signum() * value.abs().powf(0.42);
    (0..CORNERS)
        .map(|i| TAU * i as f32 / CORNERS as f32)
        .map(|angle| {
            let (across, along) = (power(angle.cos()), power(angle.sin()));
            [PART[0] + (HALF[0] + margin) * across, PART[1] + (HALF[1] + margin) * along, z]
        })
        .collect()
}

/// The part up to `height` mm, with its brim and its shadow.
pub(super) fn draw_part(canvas: &mut Canvas, look: &Look, height: f32) {
    if height < 0.1 {
        return;
    }
    for soft in 0..5 {
        let away = height * 0.5 + 3.0;
        let shadow: Vec<Point> = outline(0.0, 7.0 - 1.4 * soft as f32)
            .into_iter()
            .map(|[x, y, _]| [x - look.light[0] * away, y - look.light[1] * away, 0.0])
            .collect();
        canvas.fill(&shadow, &paint([0.0, 0.0, 0.0], 0.10));
    }
    canvas.fill(&outline(0.0, 4.0), &paint(shade(look.filament, 0.62), 1.0));
    let (low, high) = (outline(0.0, 0.0), outline(height, 0.0));
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
    draw_layers(canvas, look, height);
    canvas.fill(&high, &paint(shade(look.filament, look.lit([0.0, 0.0, 1.0]) * 0.93), 1.0));
    draw_infill(canvas, look, height);
}

/// The lines between layers, on the walls that face the camera.
fn draw_layers(canvas: &mut Canvas, look: &Look, height: f32) {
    let groove = paint(shade(look.filament, 0.40), 0.42);
    for layer in 1..(height / LAYER) as usize {
        let ring = outline(layer as f32 * LAYER, 0.05);
        let front: Vec<Point> = ring[CORNERS / 2..].to_vec();
        canvas.line(&front, 0.18, 0.5, &groove);
    }
}

/// Even lines over the top, and the wall's edge.
fn draw_infill(canvas: &mut Canvas, look: &Look, height: f32) {
    let line = paint(shade(look.filament, 0.72), 0.35);
    let top = |x: f32, y: f32| [PART[0] + x, PART[1] + y, height];
    for step in 1..26 {
        let across = HALF[0] * (step as f32 / 13.0 - 1.0);
        let along = HALF[1] * (1.0 - (across / HALF[0]).abs().powf(5.0)).max(0.0) * 0.94;
        canvas.line(&[top(across, -along), top(across, along)], 0.3, 0.5, &line);
    }
    let mut edge = outline(height, -0.6);
    edge.push(edge[0]);
    canvas.line(&edge, 0.9, 0.9, &paint(shade(look.filament, 1.12), 0.7));
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
