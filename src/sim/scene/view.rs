//! The camera: from millimetres over the bed to pixels, and a canvas that draws in millimetres.

use tiny_skia::{FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

use super::BED_MM;

/// A point: x from the left, y from the front, z up from the bed, mm.
pub(super) type Point = [f32; 3];

/// Where the camera stands and what it looks at.
const EYE: Point = [38.0, -205.0, 178.0];
const TARGET: Point = [BED_MM / 2.0, BED_MM / 2.0 + 2.0, 26.0];

/// Focal length as a multiple of the picture's width.
const FOCAL: f32 = 1.12;

/// Nearer than this, mm, nothing is drawn.
const NEAR: f32 = 20.0;

/// Red, green, blue, 0..=1.
pub(super) type Colour = [f32; 3];

/// `colour` made lighter (above 1) or darker.
pub(super) fn shade(colour: Colour, factor: f32) -> Colour {
    colour.map(|channel| (channel * factor).clamp(0.0, 1.0))
}

/// From one colour to the other.
pub(super) fn mix(from: Colour, to: Colour, part: f32) -> Colour {
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * part)
}

/// A paint of one colour.
pub(super) fn paint(colour: Colour, opacity: f32) -> Paint<'static> {
    let [red, green, blue] = colour.map(|channel| (channel.clamp(0.0, 1.0) * 255.0) as u8);
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (opacity.clamp(0.0, 1.0) * 255.0) as u8);
    paint
}

/// What is drawn on, in pixels or in millimetres.
pub(super) struct Canvas {
    /// The picture so far.
    pub pixels: Pixmap,
    right: Point,
    up: Point,
    forward: Point,
}

impl Canvas {
    /// An empty one; `None` when it would have no pixels.
    pub fn new((width, height): (u32, u32)) -> Option<Self> {
        let forward = unit(minus(TARGET, EYE));
        let right = unit(cross(forward, [0.0, 0.0, 1.0]));
        let up = cross(right, forward);
        Some(Self { pixels: Pixmap::new(width, height)?, right, up, forward })
    }

    /// Width and height, px.
    pub fn size(&self) -> (f32, f32) {
        (self.pixels.width() as f32, self.pixels.height() as f32)
    }

    /// Pixels a millimetre at a distance from the camera.
    pub fn scale(&self, distance: f32) -> f32 {
        self.size().0 * FOCAL / distance
    }

    /// Where a point is seen, px, and its distance, mm; `None` behind the camera.
    pub fn project(&self, point: Point) -> Option<(f32, f32, f32)> {
        let seen = minus(point, EYE);
        let distance = dot(seen, self.forward);
        if distance <= NEAR {
            return None;
        }
        let (scale, (width, height)) = (self.scale(distance), self.size());
        let (x, y) = (dot(seen, self.right) * scale, dot(seen, self.up) * scale);
        Some((width / 2.0 + x, height / 2.0 - y, distance))
    }

    /// How far a point is from the camera, mm.
    pub fn distance(&self, point: Point) -> f32 {
        dot(minus(point, EYE), self.forward)
    }

    fn path(&self, points: &[Point], closed: bool) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for (index, point) in points.iter().enumerate() {
            let (x, y, _) = self.project(*point)?;
            if index == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        if closed {
            builder.close();
        }
        builder.finish()
    }

    /// A filled outline.
    pub fn fill(&mut self, points: &[Point], paint: &Paint<'_>) {
        if let Some(path) = self.path(points, true) {
            self.pixels.fill_path(&path, paint, FillRule::Winding, Transform::identity(), None);
        }
    }

    /// A line `width` mm wide, at least `least` pixels.
    pub fn line(&mut self, points: &[Point], width: f32, least: f32, paint: &Paint<'_>) {
        self.lines(&[points], width, least, paint);
    }

    /// Several lines at once: where they cross the paint is laid on once only.
    pub fn lines(
        &mut self,
        lines: &[impl AsRef<[Point]>],
        width: f32,
        least: f32,
        paint: &Paint<'_>,
    ) {
        let mut builder = PathBuilder::new();
        let mut nearest = f32::INFINITY;
        for (index, point) in lines.iter().flat_map(|line| line.as_ref().iter().enumerate()) {
            let Some((x, y, distance)) = self.project(*point) else { return };
            nearest = nearest.min(distance);
            if index == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        let stroke = Stroke {
            width: (width * self.scale(nearest)).max(least),
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        if let Some(path) = builder.finish() {
            self.pixels.stroke_path(&path, paint, &stroke, Transform::identity(), None);
        }
    }
}

fn minus(a: Point, b: Point) -> Point {
    std::array::from_fn(|i| a[i] - b[i])
}

/// The scalar product.
pub(super) fn dot(a: Point, b: Point) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The same direction with length 1.
pub(super) fn unit(a: Point) -> Point {
    let length = dot(a, a).sqrt().max(f32::MIN_POSITIVE);
    a.map(|part| part / length)
}
