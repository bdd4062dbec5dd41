//! What is known of a camera's view, drawn over a picture of it: masks, the bed, clutter.

use image::RgbImage;
use tiny_skia::{Color, LineCap, Paint, PathBuilder, Pixmap, Stroke, Transform};

use crate::core::detect::clutter::Clutter;
use crate::core::geometry::{self, BedView, Homography};
use crate::ports::Frame;

use super::VisionError;
use super::text::{Font, blend};

/// What to draw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overlay<'a> {
    /// Outlines as fractions of the picture: what lies outside all of them is darkened.
    pub masks: &'a [Vec<[f64; 2]>],
    /// The bed, with a grid each 50 mm and its corners numbered as the config lists them.
    pub bed: Option<&'a BedView>,
    /// A grid of tenths of the picture, to read fractions off.
    pub tenths: bool,
}

const SHADE: [u8; 3] = [10, 10, 14];
const EDGE: [u8; 3] = [90, 220, 140];
const BED: [u8; 3] = [80, 170, 255];
const TENTHS: [u8; 3] = [235, 235, 235];
const CLUTTER: [u8; 3] = [190, 90, 255];
/// A discount of so many log-odds is drawn at full strength.
const FULL_DISCOUNT: f32 = 6.0;
/// Between the lines of the bed's grid, mm.
const GRID_MM: f64 = 50.0;

/// Draws over `frame`, at its own size.
pub fn overlay(frame: &Frame, what: &Overlay) -> Result<RgbImage, VisionError> {
    let (width, height) = (frame.width, frame.height);
    let bad = || VisionError::BadFrame { width, height, bytes: frame.rgb.len() };
    let mut rgb = frame.rgb.clone();
    if rgb.len() != width as usize * height as usize * 3 {
        return Err(bad());
    }
    for (at, pixel) in points(&mut rgb, (width, height)) {
        if !what.masks.is_empty() && !what.masks.iter().any(|mask| geometry::holds(mask, at)) {
            blend(pixel, SHADE, 0.65);
        }
    }
    let mut drawing = Drawing::new(&rgb, width, height).ok_or_else(bad)?;
    if what.tenths {
        drawing.tenths();
    }
    for mask in what.masks {
        drawing.outline(mask, EDGE);
    }
    if let Some((bed, seen)) = what.bed.and_then(|bed| Some((bed, bed.homography()?))) {
        drawing.bed(bed, &seen);
    }
    drawing.into_picture().ok_or_else(bad)
}

/// Tints the cells that are discounted, the more the stronger.
pub(super) fn tint(rgb: &mut [u8], size: (u32, u32), clutter: &Clutter) {
    let discounts = clutter.discounts();
    for (at, pixel) in points(rgb, size) {
        let discount = discount_at(clutter, &discounts, at) / FULL_DISCOUNT;
        if discount > 0.0 {
            blend(pixel, CLUTTER, 0.25 + 0.4 * discount.min(1.0));
        }
    }
}

/// Every pixel, with its middle as fractions of the picture.
fn points(
    rgb: &mut [u8],
    (width, height): (u32, u32),
) -> impl Iterator<Item = ([f64; 2], &mut [u8])> {
    rgb.chunks_exact_mut(3).enumerate().map(move |(index, pixel)| {
        let (x, y) = (index as u32 % width, index as u32 / width);
        let at = |place: u32, length: u32| (f64::from(place) + 0.5) / f64::from(length);
        ([at(x, width), at(y, height)], pixel)
    })
}

/// The discount of the cell that shows a point of the picture.
fn discount_at(clutter: &Clutter, discounts: &[f32], [x, y]: [f64; 2]) -> f32 {
    let grid = &clutter.grid;
    let [x0, y0, x1, y1] = grid.content.map(f64::from);
    let column = ((x0 + x * (x1 - x0)) * f64::from(grid.columns)) as usize;
    let row = ((y0 + y * (y1 - y0)) * f64::from(grid.rows)) as usize;
    discounts.get(row * usize::from(grid.columns) + column).copied().unwrap_or(0.0)
}

struct Drawing {
    pixmap: Pixmap,
    font: Font,
}

impl Drawing {
    fn new(rgb: &[u8], width: u32, height: u32) -> Option<Self> {
        let mut pixmap = Pixmap::new(width, height)?;
        for (target, pixel) in pixmap.data_mut().chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
            target[..3].copy_from_slice(pixel);
            target[3] = 255;
        }
        Some(Self { pixmap, font: Font::for_width(width) })
    }

    fn into_picture(self) -> Option<RgbImage> {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        let rgb = self.pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        RgbImage::from_raw(width, height, rgb)
    }

    fn pixel(&self, [x, y]: [f64; 2]) -> (f32, f32) {
        ((x * f64::from(self.pixmap.width())) as f32, (y * f64::from(self.pixmap.height())) as f32)
    }

    fn line(&mut self, points: &[[f64; 2]], closed: bool, [r, g, b]: [u8; 3], thick: f32) {
        let mut path = PathBuilder::new();
        for (index, point) in points.iter().enumerate() {
            let (x, y) = self.pixel(*point);
            if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        if closed {
            path.close();
        }
        let Some(path) = path.finish() else { return };
        let mut paint = Paint::default();
        paint.set_color(Color::from_rgba8(r, g, b, 255));
        let stroke = Stroke { width: thick, line_cap: LineCap::Round, ..Stroke::default() };
        self.pixmap.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }

    fn outline(&mut self, corners: &[[f64; 2]], colour: [u8; 3]) {
        self.line(corners, true, colour, self.font.height() as f32 / 6.0);
    }

    fn text(&mut self, at: [f64; 2], text: &str, [r, g, b]: [u8; 3]) {
        let (x, y) = self.pixel(at);
        let room = (self.pixmap.width().saturating_sub(self.font.width(text))) as f32;
        let bottom = (self.pixmap.height().saturating_sub(self.font.height())) as f32;
        let (x, y) = (x.clamp(0.0, room) as u32, y.clamp(0.0, bottom) as u32);
        self.font.draw(&mut self.pixmap, x, y, text, Color::from_rgba8(r, g, b, 255));
    }

    fn tenths(&mut self) {
        for tenth in 1..10 {
            let part = f64::from(tenth) / 10.0;
            self.line(&[[part, 0.0], [part, 1.0]], false, TENTHS, 1.0);
            self.line(&[[0.0, part], [1.0, part]], false, TENTHS, 1.0);
            self.text([part, 0.0], &format!("{part:.1}"), TENTHS);
            self.text([0.0, part], &format!("{part:.1}"), TENTHS);
        }
    }

    fn bed(&mut self, bed: &BedView, seen: &Homography) {
        let [x0, y0, x1, y1] = bed.extent_mm;
        let mut line = |from: [f64; 2], to: [f64; 2]| {
            if let (Some(from), Some(to)) = (seen.apply(from), seen.apply(to)) {
                self.line(&[from, to], false, BED, 1.0);
            }
        };
        for step in 1..((x1 - x0).max(y1 - y0) / GRID_MM) as u32 + 1 {
            let (x, y) = (x0 + f64::from(step) * GRID_MM, y0 + f64::from(step) * GRID_MM);
            if x < x1 {
                line([x, y0], [x, y1]);
            }
            if y < y1 {
                line([x0, y], [x1, y]);
            }
        }
        self.outline(&bed.corners, BED);
        for (number, corner) in (1..).zip(bed.corners) {
            self.text(corner, &format!("{number}"), BED);
        }
    }
}
