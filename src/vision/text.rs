//! Text on pictures, from the rasters of `noto-sans-mono-bitmap`.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use tiny_skia::{Color, Pixmap};

/// A monospaced font at a height.
#[derive(Clone, Copy)]
pub(super) struct Font(RasterHeight);

impl Font {
    /// 16 px high, or 24 px on a picture wide enough.
    pub(super) fn for_width(width: u32) -> Self {
        Self(if width >= 900 { RasterHeight::Size24 } else { RasterHeight::Size16 })
    }

    /// Height of a line, px.
    pub(super) fn height(self) -> u32 {
        self.0.val() as u32
    }

    /// Width of a text, px.
    pub(super) fn width(self, text: &str) -> u32 {
        (text.chars().count() * get_raster_width(FontWeight::Regular, self.0)) as u32
    }

    /// As much of a text as fits into `width` px, its end replaced by dots when it does not fit.
    pub(super) fn fit(self, text: &str, width: u32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let room = width as usize / get_raster_width(FontWeight::Regular, self.0);
        let kept: String = text.chars().take(room.saturating_sub(2)).collect();
        format!("{kept}..")
    }

    /// Draws a text with its top left corner at `x`, `y`; what is outside the picture is cut, characters that the
    /// font lacks become `?`.
    pub(super) fn draw(self, picture: &mut Pixmap, x: u32, y: u32, text: &str, colour: Color) {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let ink = colour.to_color_u8();
        let ink = [ink.red(), ink.green(), ink.blue()];
        let step = get_raster_width(FontWeight::Regular, self.0);
        let glyph = |c| get_raster(c, FontWeight::Regular, self.0);
        for (i, character) in text.chars().enumerate() {
            let Some(character) = glyph(character).or_else(|| glyph('?')) else { continue };
            for (row, line) in character.raster().iter().enumerate() {
                for (column, cover) in line.iter().enumerate() {
                    let (px, py) = (x as usize + i * step + column, y as usize + row);
                    if px < width && py < height {
                        let at = (py * width + px) * 4;
                        blend(&mut picture.data_mut()[at..at + 3], ink, f32::from(*cover) / 255.0);
                    }
                }
            }
        }
    }
}

/// Mixes a colour into an opaque pixel.
pub(super) fn blend(pixel: &mut [u8], colour: [u8; 3], alpha: f32) {
    for (value, colour) in pixel.iter_mut().zip(colour) {
        *value = (f32::from(*value) * (1.0 - alpha) + f32::from(colour) * alpha).round() as u8;
    }
}
