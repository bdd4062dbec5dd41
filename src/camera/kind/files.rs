//! Files as a camera.
//!
//! A video plays at its own speed and starts again at its end. A folder's pictures (`.jpg`, `.jpeg`, `.png`,
//! sorted by name) are shown for one second each, then from the first again; a frame that is asked for is the picture of
//! that second. A single picture stays, and so reads as frozen after 20 s: that is what it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gstreamer::prelude::*;

use crate::camera::stills::Stills;
use crate::camera::trouble::{Trouble, make};

use super::{Plan, StreamPlan};

pub(super) const REMEDY: &str =
    "check the path, and that it is a video, a picture or a folder of pictures";

/// How long a folder's picture is shown.
const SHOWN_FOR: Duration = Duration::from_secs(1);

pub(super) fn plan(path: &Path) -> Result<Plan, Trouble> {
    let pictures = pictures(path)?;
    if !pictures.is_empty() {
        let since = Instant::now();
        return Ok(Plan::Stills(Box::new(Slides { pictures, since })));
    }
    let source = make("filesrc")?;
    source.set_property("location", path.to_string_lossy().as_ref());
    let elements = vec![source, make("parsebin")?];
    Ok(Plan::Stream(StreamPlan { elements, paced: true, repeats: true }))
}

/// The pictures that `path` is or holds, by name; none when it is another file.
pub(in crate::camera) fn pictures(path: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let unreadable = |error: std::io::Error| {
        Trouble::unreachable(format!("{} cannot be read: {error}", path.display()))
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(if is_picture(path) { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_picture(&path) {
            pictures.push(path);
        }
    }
    pictures.sort();
    if pictures.is_empty() {
        let why = format!("the folder {} has no pictures (.jpg, .jpeg, .png)", path.display());
        return Err(Trouble::unreachable(why));
    }
    Ok(pictures)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["jpg", "jpeg", "png"].contains(&ending.to_ascii_lowercase().as_str())
}

/// A folder's pictures, one a second.
struct Slides {
    pictures: Vec<PathBuf>,
    since: Instant,
}

impl Stills for Slides {
    fn fetch(&mut self) -> Result<Vec<u8>, Trouble> {
        let shown = self.since.elapsed().as_secs() / SHOWN_FOR.as_secs();
        let path = &self.pictures[shown as usize % self.pictures.len()];
        std::fs::read(path).map_err(|error| {
            Trouble::unreachable(format!("{} cannot be read: {error}", path.display()))
        })
    }

    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }
}
