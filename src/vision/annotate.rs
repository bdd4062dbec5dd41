//! What the model saw, drawn on the frame: the picture that people get when something looks wrong.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use crate::core::detect::clutter::Clutter;
use crate::core::types::{FailureMap, FrameScore, ScoredBox};
use crate::ports::Frame;

use super::text::{Font, blend};
use super::{VisionError, overlay};

/// Annotated pictures are at least this wide (smaller frames are enlarged, or the text would hide them), px.
pub const NARROWEST: u32 = 480;

/// And at most this wide: they travel to phones.
pub const WIDEST: u32 = 1280;

/// Quality of annotated JPEGs, 1..100.
const JPEG_QUALITY: u8 = 85;

/// Probabilities below this leave the frame as it is.
const FAINTEST: f32 = 0.2;

/// How much of the frame the strongest heat hides.
const HEAT: f32 = 0.45;

/// What people are told beside what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Notes<'a> {
    /// One line, such as printer, camera and time. ASCII; what does not fit is cut.
    pub caption: &'a str,
    /// Where the score begins to matter, 0..1: marked on the meter, decides its colour.
    pub alert_point: f32,
    /// What the camera shows while prints are fine, which is tinted: it counts for less there.
    pub clutter: Option<&'a Clutter>,
}

/// Draws the failure map as a heat overlay, the boxes with their probabilities, and a footer with caption and score.
/// Keeps the frame's proportions; the footer is added below it.
pub fn annotate(frame: &Frame, score: &FrameScore, notes: &Notes) -> Result<RgbImage, VisionError> {
    let bad = || VisionError::BadFrame {
        width: frame.width,
        height: frame.height,
        bytes: frame.rgb.len(),
    };
    let (width, height, mut pixels) = resized(frame).ok_or_else(bad)?;
    if let Some(clutter) = notes.clutter {
        overlay::tint(&mut pixels, (width, height), clutter);
    }
    heat(&mut pixels, (width, height), &score.map);
    let font = Font::for_width(width);
    let mut canvas = Canvas::new(&pixels, (width, height), font).ok_or_else(bad)?;
    canvas.boxes(&score.boxes);
    canvas.footer(score.score, notes);
    canvas.into_picture().ok_or_else(bad)
}

/// A frame as it is, as JPEG.
pub fn frame_jpeg(frame: &Frame) -> Result<Vec<u8>, image::ImageError> {
    let picture = RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone());
    jpeg(&picture.unwrap_or_default())
}

/// Encodes a picture as JPEG.
pub fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    picture.write_with_encoder(encoder)?;
    Ok(bytes)
}

/// The frame at a width between [`NARROWEST`] and [`WIDEST`]; `None` when it is no picture.
fn resized(frame: &Frame) -> Option<(u32, u32, Vec<u8>)> {
    let source = ImageRef::new(frame.width, frame.height, &frame.rgb, PixelType::U8x3).ok()?;
    let width = frame.width.clamp(NARROWEST, WIDEST);
    if frame.width == 0 || frame.height == 0 || width == frame.width {
        return (frame.width > 0 && frame.height > 0)
            .then(|| (frame.width, frame.height, frame.rgb.clone()));
    }
    let height = u64::from(frame.height) * u64::from(width) / u64::from(frame.width);
    let height = u32::try_from(height.max(1)).ok()?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).ok()?;
    Some((width, height, target.into_vec()))
}

/// Tints the picture where the map is warm, smoothly between the cells' centres.
fn heat(pixels: &mut [u8], (width, height): (u32, u32), map: &FailureMap) {
    let [x0, y0, x1, y1] = map.content;
    let (columns, rows) = (f32::from(map.columns), f32::from(map.rows));
    for (y, line) in pixels.chunks_exact_mut(width as usize * 3).enumerate() {
        let v = (y0 + (y1 - y0) * (y as f32 + 0.5) / height as f32) * rows - 0.5;
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let u = (x0 + (x1 - x0) * (x as f32 + 0.5) / width as f32) * columns - 0.5;
            let p = smooth(map, u, v);
            if p > FAINTEST {
                let strength = (p - FAINTEST) / (1.0 - FAINTEST);
                blend(pixel, heat_colour(strength), HEAT * strength.sqrt());
            }
        }
    }
}

/// The map between its cells' centres, `u` columns and `v` rows from the first centre.
fn smooth(map: &FailureMap, u: f32, v: f32) -> f32 {
    let [x0, y0, x1, y1] = map.content;
    let (last_column, last_row) = (map.columns.saturating_sub(1), map.rows.saturating_sub(1));
    // Towards the frame's edge the outermost cell holds on: the bars beyond it say nothing.
    let hold = |at: f32, from: f32, to: f32, count: u16| {
        let first = (from * f32::from(count)).round();
        at.clamp(first, (to * f32::from(count)).round().max(first + 1.0) - 1.0)
    };
    let (u, v) = (hold(u, x0, x1, map.columns), hold(v, y0, y1, map.rows));
    let (column, row) = (u as u16, v as u16);
    let (right, below) = ((column + 1).min(last_column), (row + 1).min(last_row));
    let cell = |column: u16, row: u16| {
        let at = usize::from(row) * usize::from(map.columns) + usize::from(column);
        map.cells.get(at).copied().unwrap_or(0.0)
    };
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let (across, down) = (u - f32::from(column), v - f32::from(row));
    mix(
        mix(cell(column, row), cell(right, row), across),
        mix(cell(column, below), cell(right, below), across),
        down,
    )
}

/// Yellow over orange to red.
fn heat_colour(strength: f32) -> [u8; 3] {
    [255, (220.0 * (1.0 - strength)) as u8, 30]
}

const DARK: [u8; 3] = [18, 20, 24];
const PALE: [u8; 3] = [236, 238, 240];
const TRACK: [u8; 3] = [62, 66, 74];
const CALM: [u8; 3] = [64, 190, 130];
const WARY: [u8; 3] = [245, 180, 50];
const ALARM: [u8; 3] = [240, 70, 60];

fn colour([red, green, blue]: [u8; 3]) -> Color {
    Color::from_rgba8(red, green, blue, 255)
}

/// Green well below the alert point, amber near it, red from it on.
fn verdict_colour(score: f32, alert_point: f32) -> [u8; 3] {
    if score >= alert_point {
        ALARM
    } else if score >= alert_point * 0.6 {
        WARY
    } else {
        CALM
    }
}

/// The picture with room for the footer below it.
struct Canvas {
    pixmap: Pixmap,
    font: Font,
    /// Width and height of the frame's part.
    frame: (u32, u32),
}

impl Canvas {
    fn new(pixels: &[u8], frame: (u32, u32), font: Font) -> Option<Self> {
        let mut pixmap = Pixmap::new(frame.0, frame.1 + font.height() * 2)?;
        pixmap.fill(colour(DARK));
        for (target, pixel) in pixmap.data_mut().chunks_exact_mut(4).zip(pixels.chunks_exact(3)) {
            target[..3].copy_from_slice(pixel);
        }
        Some(Self { pixmap, font, frame })
    }

    fn into_picture(self) -> Option<RgbImage> {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        let rgb = self.pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        RgbImage::from_raw(width, height, rgb)
    }

    /// Outlines first, so that no outline crosses a label; the most probable box ends on top.
    fn boxes(&mut self, boxes: &[ScoredBox]) {
        let thick = self.font.height() as f32 / 6.0;
        for found in boxes.iter().rev() {
            let Some(path) = self.rectangle(found, thick).map(PathBuilder::from_rect) else {
                continue;
            };
            // The dark rim keeps the line visible on any filament.
            self.stroke(&path, DARK, thick + 2.0);
            self.stroke(&path, ALARM, thick);
        }
        let mut taken = Vec::new();
        for found in boxes {
            self.label(found, thick, &mut taken);
        }
    }

    /// A box in pixels, kept far enough inside the frame for its whole outline to show.
    fn rectangle(&self, found: &ScoredBox, thick: f32) -> Option<Rect> {
        let (width, height) = (self.frame.0 as f32, self.frame.1 as f32);
        let margin = thick / 2.0 + 1.0;
        let keep = |value: f32, size: f32| value.clamp(margin, (size - margin).max(margin));
        Rect::from_ltrb(
            keep(found.x0 * width, width),
            keep(found.y0 * height, height),
            keep(found.x1 * width, width),
            keep(found.y1 * height, height),
        )
    }

    /// Writes a box's probability on its upper edge, or inside where there is no room above; a label that would cover
    /// another one's is left out.
    fn label(&mut self, found: &ScoredBox, thick: f32, taken: &mut Vec<Rect>) {
        let Some(place) = self.rectangle(found, thick) else { return };
        let text = percent(found.p);
        let (height, pad) = (self.font.height() as f32, self.font.height() as f32 / 4.0);
        let width = self.font.width(&text) as f32 + 2.0 * pad;
        let left = (place.left() - thick / 2.0).min(self.frame.0 as f32 - width).max(0.0);
        let above = place.top() - thick / 2.0 - height;
        let top = if above >= 0.0 { above } else { place.top() - thick / 2.0 };
        let Some(chip) = Rect::from_xywh(left, top, width, height) else { return };
        if taken.iter().any(|other| chip.intersect(other).is_some()) {
            return;
        }
        self.fill(chip, ALARM);
        self.font.draw(&mut self.pixmap, (left + pad) as u32, top as u32, &text, Color::WHITE);
        taken.push(chip);
    }

    /// Caption on the left; on the right the score and a meter with a tick at the alert point.
    fn footer(&mut self, score: f32, notes: &Notes) {
        let (font, line) = (self.font, self.font.height());
        let (width, top) = (self.frame.0, self.frame.1);
        let (text_top, pad) = (top + line / 2, line * 3 / 4);
        let text = percent(score);
        let verdict = verdict_colour(score, notes.alert_point);
        let text_left = width.saturating_sub(pad + font.width("100 %"));
        font.draw(&mut self.pixmap, text_left, text_top, &text, colour(verdict));

        let (meter_width, meter_height) = ((width / 5) as f32, line as f32 / 2.0);
        let left = text_left as f32 - pad as f32 - meter_width;
        let meter_top = top as f32 + line as f32 - meter_height / 2.0;
        let bar = |from: f32, length: f32| Rect::from_xywh(from, meter_top, length, meter_height);
        self.fill_some(bar(left, meter_width), TRACK);
        self.fill_some(bar(left, meter_width * score.clamp(0.0, 1.0)), verdict);
        let tick = left + meter_width * notes.alert_point.clamp(0.0, 1.0);
        let reach = meter_height / 2.0;
        self.fill_some(
            Rect::from_xywh(tick - 1.0, meter_top - reach, 2.0, meter_height + 2.0 * reach),
            PALE,
        );

        let room = (left as u32).saturating_sub(2 * pad);
        let caption = font.fit(notes.caption, room);
        font.draw(&mut self.pixmap, pad, text_top, &caption, colour(PALE));
    }

    fn fill(&mut self, place: Rect, rgb: [u8; 3]) {
        let path = PathBuilder::from_rect(place);
        let rule = FillRule::Winding;
        self.pixmap.fill_path(&path, &paint(rgb), rule, Transform::identity(), None);
    }

    /// A rectangle without area is not drawn.
    fn fill_some(&mut self, place: Option<Rect>, rgb: [u8; 3]) {
        if let Some(place) = place {
            self.fill(place, rgb);
        }
    }

    fn stroke(&mut self, path: &Path, rgb: [u8; 3], width: f32) {
        let stroke = Stroke { width, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(rgb), &stroke, Transform::identity(), None);
    }
}

fn paint(rgb: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour(rgb));
    paint
}

fn percent(p: f32) -> String {
    format!("{:.0} %", p.clamp(0.0, 1.0) * 100.0)
}
