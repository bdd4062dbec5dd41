//! Cameras that give one picture a request. Their pictures are decoded by the `image` crate: there is no stream whose
//! decoder would be worth choosing.

use std::time::Duration;

use super::trouble::Trouble;

/// The largest encoded picture that is taken.
pub(super) const MAX_PICTURE_BYTES: usize = 32 * 1024 * 1024;

/// The most memory that decoding one may take.
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;

/// Gives pictures on request.
pub(super) trait Stills: Send + 'static {
    /// The newest picture, encoded. Blocks, but not longer than the patience it was made with.
    fn fetch(&mut self) -> Result<Vec<u8>, Trouble>;

    /// No request earlier than so long after the last one.
    fn least_interval(&self) -> Duration;
}

/// Decodes a JPEG or PNG to packed RGB: width, height, pixels.
pub(super) fn decode(encoded: &[u8]) -> Result<(u32, u32, Vec<u8>), String> {
    let mut reader = image::ImageReader::new(std::io::Cursor::new(encoded))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err(format!("{} bytes that are neither JPEG nor PNG", encoded.len()));
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| error.to_string())?.into_rgb8();
    Ok((picture.width(), picture.height(), picture.into_raw()))
}
