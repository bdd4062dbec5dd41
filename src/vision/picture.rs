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

/// Decodes JPEG or PNG bytes.
pub fn decode(bytes: &[u8]) -> Result<Frame, image::ImageError> {
    let picture = image::load_from_memory(bytes)?.into_rgb8();
    Ok(Frame {
        width: picture.width(),
        height: picture.height(),
        rgb: picture.into_raw(),
        taken_at: Now { mono_ms: 0, unix_ms: 0 },
        sequence: 0,
    })
}
