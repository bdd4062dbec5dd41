//! Views made of labelled pictures: a good one is the print, a tangle cut out of a failing one grows on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::moments::{LIGHTS, Moment, Scenery};
use crate::cli::eval::labels::{self, Label, Verdict};
use crate::sim::scene::Passer;
use crate::vision::picture;

/// Stages of a print, where a sequence of one has frames enough.
const STAGES: usize = 4;
/// How much of the picture a whole failure covers.
const COVERS: std::ops::Range<f32> = 0.05..0.16;
/// How much of the picture clutter covers.
const CLUTTER_COVERS: f32 = 0.03;
/// Standard deviation of the noise, of 255.
const NOISE: f32 = 3.0;

/// What views are made of.
pub(super) struct Stock {
    folder: PathBuf,
    prints: Vec<Vec<PathBuf>>,
    tangles: Vec<(PathBuf, [f32; 4])>,
}

impl Stock {
    /// Reads a folder with `labels.jsonl`. Frames of one sequence are one print; at most `most` prints are taken,
    /// sequences and webcams first, the rest by lot.
    pub fn read(
        folder: &Path,
        split: Option<&str>,
        most: usize,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let labels = labels::read(folder, split, None)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (mut sequences, mut singles) = (BTreeMap::<String, Vec<PathBuf>>::new(), Vec::new());
        for label in labels.iter().filter(|label| label.label == Verdict::Good) {
            match &label.sequence {
                Some(name) => sequences.entry(name.clone()).or_default().push(label.file.clone()),
                None => singles.push((label.view != "webcam", label.file.clone())),
            }
        }
        singles.shuffle(&mut random);
        singles.sort_by_key(|(photo, _)| *photo);
        let singles = singles.into_iter().map(|(_, file)| vec![file]);
        let prints: Vec<_> = sequences.into_values().chain(singles).take(most).collect();
        let tangles: Vec<_> = labels.iter().flat_map(tangles_of).collect();
        if prints.is_empty() || tangles.is_empty() {
            bail!(
                "{} needs good pictures and failing ones with boxes to make prints of; it has {} and {}",
                folder.display(),
                prints.len(),
                tangles.len()
            );
        }
        Ok(Self { folder: folder.to_owned(), prints, tangles })
    }

    /// How many views it gives.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Its view `index`, tidy.
    pub fn view(&self, index: usize, seed: u64) -> anyhow::Result<Staged<'_>> {
        let files = &self.prints[index];
        let stages = files.len().min(STAGES);
        let picked = (0..stages).map(|stage| &files[(stage * 2 + 1) * files.len() / (stages * 2)]);
        let frames =
            picked.map(|file| read(&self.folder.join(file))).collect::<anyhow::Result<Vec<_>>>()?;
        let name = files[0].display().to_string();
        Ok(Staged { stock: self, name, seed: seed ^ ((index as u64) << 32), frames, clutter: None })
    }
}

/// The boxed tangles of a failing picture that are large enough to be cut out.
fn tangles_of(label: &Label) -> Vec<(PathBuf, [f32; 4])> {
    let failing = label.label == Verdict::Failing;
    let boxes = label.boxes.iter().flatten().filter(|_| failing);
    let large = boxes.filter(|[x0, y0, x1, y1]| (x1 - x0) * (y1 - y0) > 0.06);
    large.map(|corners| (label.file.clone(), *corners)).collect()
}

fn read(path: &Path) -> anyhow::Result<RgbImage> {
    let frame = picture::read(path)?;
    RgbImage::from_raw(frame.width, frame.height, frame.rgb)
        .with_context(|| format!("{} has too few pixels", path.display()))
}

/// One view.
pub(super) struct Staged<'a> {
    stock: &'a Stock,
    name: String,
    seed: u64,
    frames: Vec<RgbImage>,
    clutter: Option<Cutting>,
}

/// A tangle cut out, and where it lies: its middle as a part of the picture, and how much it covers when whole.
struct Cutting {
    picture: RgbImage,
    at: [f32; 2],
    covers: f32,
}

impl Staged<'_> {
    /// Puts something at the picture's edge that looks like a failure and is none, as what a printer wipes off its
    /// nozzle; in two views of five.
    pub fn clutter(mut self) -> anyhow::Result<Option<Self>> {
        let mut random = self.random(1);
        if random.random_range(0.0..1.0) >= 0.4 {
            return Ok(None);
        }
        let at = [if random.random() { 0.1 } else { 0.9 }, random.random_range(0.6..0.9)];
        self.clutter = Some(self.cut(at, CLUTTER_COVERS, &mut random)?);
        Ok(Some(self))
    }

    fn random(&self, stream: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn cut(
        &self,
        at: [f32; 2],
        covers: f32,
        random: &mut Xoshiro256PlusPlus,
    ) -> anyhow::Result<Cutting> {
        let (file, [x0, y0, x1, y1]) =
            &self.stock.tangles[random.random_range(0..self.stock.tangles.len())];
        let whole = read(&self.stock.folder.join(file))?;
        let (width, height) = (whole.width() as f32, whole.height() as f32);
        let side = |low: f32, high: f32, length: f32| ((high - low) * length).max(1.0) as u32;
        let (x, y) = ((x0 * width) as u32, (y0 * height) as u32);
        let (wide, high) = (side(*x0, *x1, width), side(*y0, *y1, height));
        let picture = imageops::crop_imm(&whole, x, y, wide, high).to_image();
        Ok(Cutting { picture, at, covers })
    }
}

impl Cutting {
    /// Lays it on `onto` at `size` of its whole size, its edge soft.
    fn lay(&self, onto: &mut RgbImage, size: f32) {
        let (width, height) = (onto.width() as f32, onto.height() as f32);
        let area = self.covers * size * width * height;
        let shape = self.picture.width() as f32 / self.picture.height() as f32;
        let wide = ((area * shape).sqrt() as u32).clamp(2, onto.width());
        let high = ((area / shape).sqrt() as u32).clamp(2, onto.height());
        let small = imageops::resize(&self.picture, wide, high, FilterType::Triangle);
        let left = (self.at[0] * width - wide as f32 / 2.0).clamp(0.0, width - wide as f32) as u32;
        let top = (self.at[1] * height - high as f32 / 2.0).clamp(0.0, height - high as f32) as u32;
        for (x, y, pixel) in small.enumerate_pixels() {
            let across = (x as f32 + 0.5) / wide as f32 * 2.0 - 1.0;
            let down = (y as f32 + 0.5) / high as f32 * 2.0 - 1.0;
            // Whole within the ellipse, gone at its edge.
            let cover = ((1.0 - across.hypot(down)) / 0.25).clamp(0.0, 1.0);
            let Rgb(below) = onto.get_pixel_mut(left + x, top + y);
            for (below, above) in below.iter_mut().zip(pixel.0) {
                *below = (f32::from(*below) * (1.0 - cover) + f32::from(above) * cover) as u8;
            }
        }
    }
}

impl Scenery for Staged<'_> {
    fn name(&self) -> String {
        let with = if self.is_cluttered() { " with clutter" } else { "" };
        format!("{}{with}", self.name)
    }

    fn is_cluttered(&self) -> bool {
        self.clutter.is_some()
    }

    fn stages(&self) -> usize {
        self.frames.len()
    }

    fn jumps(&self) -> bool {
        true
    }

    fn picture(&mut self, moment: Moment) -> anyhow::Result<RgbImage> {
        let mut picture = self.frames[moment.stage].clone();
        if let Some(clutter) = &self.clutter {
            clutter.lay(&mut picture, 1.0);
        }
        if let Some((failure, size)) = moment.failure {
            let mut random = self.random(100 + failure as u64);
            let at = [random.random_range(0.3..0.7), random.random_range(0.45..0.8)];
            let covers = random.random_range(COVERS);
            self.cut(at, covers, &mut random)?.lay(&mut picture, size);
        }
        if let Some(passer) = moment.passer {
            walk_by(&mut picture, passer);
        }
        expose(picture, LIGHTS[moment.light], &mut self.random(moment.shot << 8))
    }
}

/// Somebody dark with soft edges, before the upper part of the picture; reaching in, before most of it.
fn walk_by(picture: &mut RgbImage, passer: Passer) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (half, until) = if passer.reaching { (0.22, 0.75) } else { (0.13, 0.5) };
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let across = ((x as f32 / width - passer.at).abs() - half) / 0.03;
        let down = (y as f32 / height - until) / 0.05;
        let cover = (1.0 - across.max(down).clamp(0.0, 1.0)) * 0.95;
        // Cloth has folds.
        let fold = 12.0 * (x as f32 / width * 90.0).sin() + 45.0;
        for channel in &mut pixel.0 {
            *channel = (f32::from(*channel) * (1.0 - cover) + fold * cover) as u8;
        }
    }
}

/// What a webcam makes of it: the lamp, noise, JPEG.
fn expose(
    mut picture: RgbImage,
    light: f32,
    random: &mut Xoshiro256PlusPlus,
) -> anyhow::Result<RgbImage> {
    let flicker: f32 = random.random_range(0.97..1.03);
    for pixel in picture.pixels_mut() {
        // The sum of three even numbers is near enough to a bell.
        let noise = (0..3).map(|_| random.random_range(-1.0..1.0_f32)).sum::<f32>() * NOISE;
        for channel in &mut pixel.0 {
            *channel = (f32::from(*channel) * light * flicker + noise).clamp(0.0, 255.0) as u8;
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, random.random_range(70..92)).encode_image(&picture)?;
    Ok(image::load_from_memory(&jpeg)?.into_rgb8())
}
