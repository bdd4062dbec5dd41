//! A contact sheet of the worst mistakes.

use image::{RgbImage, imageops};

use crate::vision::annotate::{self, NARROWEST, Notes};
use crate::vision::{Detector, picture};

use super::Scored;

/// Pictures of each kind: failing ones that score lowest, good ones that score highest.
const EACH: usize = 8;
const COLUMNS: u32 = 4;
const TILE: (u32, u32) = (NARROWEST, 400);
const GAP: u32 = 8;

/// The sheet as JPEG: missed failures first, then false alarms, worst first.
pub(super) fn sheet(detector: &mut Detector, scored: &[Scored]) -> anyhow::Result<Vec<u8>> {
    let mut failing: Vec<&Scored> = scored.iter().filter(|s| s.failing()).collect();
    let mut good: Vec<&Scored> = scored.iter().filter(|s| !s.failing()).collect();
    failing.sort_by(|a, b| a.score.total_cmp(&b.score));
    good.sort_by(|a, b| b.score.total_cmp(&a.score));
    let worst: Vec<&Scored> =
        failing.into_iter().take(EACH).chain(good.into_iter().take(EACH)).collect();
    let rows = (worst.len() as u32).div_ceil(COLUMNS).max(1);
    let across = |count: u32, side: u32| count * (side + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(
        across(COLUMNS, TILE.0),
        across(rows, TILE.1),
        image::Rgb([30, 32, 36]),
    );
    for (i, one) in (0u32..).zip(worst) {
        let tile = tile(detector, one)?;
        let x = GAP + (i % COLUMNS) * (TILE.0 + GAP) + (TILE.0 - tile.width()) / 2;
        let y = GAP + (i / COLUMNS) * (TILE.1 + GAP) + (TILE.1 - tile.height()) / 2;
        imageops::replace(&mut sheet, &tile, x.into(), y.into());
    }
    Ok(annotate::jpeg(&sheet)?)
}

/// One annotated picture, shrunk to fit.
fn tile(detector: &mut Detector, one: &Scored) -> anyhow::Result<RgbImage> {
    let frame = picture::read(&one.path)?;
    let score = detector.score(&frame)?;
    let kind = if one.failing() { "failing" } else { "good" };
    let name = one.path.file_name().unwrap_or_default().to_string_lossy();
    let caption = format!("{kind} {name} {}", one.label.source);
    let alert_point = detector.model().alert_point;
    let notes = Notes { caption: &caption, alert_point, clutter: None };
    let drawn = annotate::annotate(&frame, &score, &notes)?;
    let scale = f64::min(
        f64::from(TILE.0) / f64::from(drawn.width()),
        f64::from(TILE.1) / f64::from(drawn.height()),
    );
    let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
    let (width, height) = (side(drawn.width()), side(drawn.height()));
    Ok(imageops::resize(&drawn, width, height, imageops::FilterType::Triangle))
}
