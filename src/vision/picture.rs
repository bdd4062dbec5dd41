//! Picture files to frames.

use std::path::Path;

use crate::core::types::Now;
use crate::ports::Frame;

use super::VisionError;

/// Reads a JPEG or PNG file as a frame, full size, as it lies in the file (an EXIF rotation is not applied; an alpha
/// channel is dropped), which is how the model's training read it.
pub fn read(path: &Path) -> Result<Frame, VisionError> {
    let bytes = std::fs::read(path).map_err(|source| VisionError::unreadable(path, source))?;
    decode(&bytes).map_err(|reason| VisionError::BadPicture {
        path: path.to_owned(),
        reason: reason.to_string(),
    })
}

/// Bytes that are no readable picture, and what the decoder found wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAPicture(String);

/// Decodes JPEG or PNG bytes.
pub fn decode(bytes: &[u8]) -> Result<Frame, NotAPicture> {
    let (width, height, rgb) =
        if bytes.starts_with(&JPEG_START) { decode_jpeg(bytes)? } else { decode_other(bytes)? };
    Ok(Frame { width, height, rgb, taken_at: Now { mono_ms: 0, unix_ms: 0 }, sequence: 0 })
}

const JPEG_START: [u8; 3] = [0xff, 0xd8, 0xff];

/// By libjpeg-turbo, as Pillow does in training: another decoder is off by some levels here and there, and a score that
/// must equal Python's within 0.01 is off by up to 0.07.
fn decode_jpeg(bytes: &[u8]) -> Result<(u32, u32, Vec<u8>), NotAPicture> {
    let picture = turbojpeg::decompress(bytes, turbojpeg::PixelFormat::RGB)
        .map_err(|why| NotAPicture(why.to_string()))?;
    Ok((picture.width as u32, picture.height as u32, picture.pixels))
}

fn decode_other(bytes: &[u8]) -> Result<(u32, u32, Vec<u8>), NotAPicture> {
    let picture =
        image::load_from_memory(bytes).map_err(|why| NotAPicture(why.to_string()))?.into_rgb8();
    Ok((picture.width(), picture.height(), picture.into_raw()))
}
