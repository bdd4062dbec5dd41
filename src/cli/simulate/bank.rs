//! Scores every view once and keeps the maps: a thousand prints are millions of frames, but few different ones.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::moments::{self, Scenery, Thoroughness, as_frame};
use super::rendered::Rendered;
use super::staged::Stock;
use crate::cli::pictures::Progress;
use crate::core::types::FrameScore;
use crate::sim::workload::{Bank, Place, View};
use crate::vision::Detector;

/// Counts changes of what is drawn: a bank of an older drawing is not used.
const VERSION: u32 = 4;

/// What a bank is made of.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Labelled pictures, of one split; without them scenes are rendered.
    pub pictures: Option<(PathBuf, Option<String>)>,
    /// Printers.
    pub printers: usize,
    /// Decides everything that is random.
    pub seed: u64,
    /// Width and height of rendered scenes, px.
    pub size: (u32, u32),
    /// How thoroughly a view is scored.
    pub thorough: Thoroughness,
}

impl Order {
    /// The bank: from `cache` when it is there, else scored and put there.
    pub fn fill(&self, detector: &mut Detector, cache: Option<&Path>) -> anyhow::Result<Bank> {
        let file = cache.map(|folder| self.file(detector, folder)).transpose()?;
        if let Some(bank) = file.as_deref().and_then(read) {
            return Ok(bank);
        }
        let bank = self.score(detector)?;
        if let Some(file) = &file {
            write(file, &bank).with_context(|| format!("cannot keep {}", file.display()))?;
        }
        Ok(bank)
    }

    fn file(&self, detector: &Detector, folder: &Path) -> anyhow::Result<PathBuf> {
        let mut hash = Sha256::new();
        hash.update(format!("{VERSION} {self:?} {}", detector.model().sha256));
        if let Some((pictures, _)) = &self.pictures {
            let labels = pictures.join("labels.jsonl");
            let read = || format!("cannot read {}", labels.display());
            hash.update(std::fs::read(&labels).with_context(read)?);
        }
        let name: String =
            hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(folder.join(format!("bank-{name}.json")))
    }

    fn score(&self, detector: &mut Detector) -> anyhow::Result<Bank> {
        let stock = match &self.pictures {
            Some((folder, split)) => {
                Some(Stock::read(folder, split.as_deref(), self.printers, self.seed)?)
            }
            None => None,
        };
        let printers = stock.as_ref().map_or(self.printers, Stock::len);
        let progress = Progress::with_lines(printers as u64, "views scored");
        // Drawing takes longer than scoring, which has threads of its own.
        let detector = Mutex::new(detector);
        let survey = |scenery: &mut dyn Scenery| {
            moments::survey(scenery, self.thorough, &mut |picture| score(&detector, picture))
        };
        let place = |index: usize| {
            let (mut tidy, cluttered): (Box<dyn Scenery>, Option<Box<dyn Scenery>>) = match &stock {
                Some(stock) => {
                    let view = || stock.view(index, self.seed);
                    (Box::new(view()?), view()?.clutter()?.map(|view| Box::new(view) as _))
                }
                None => {
                    let scene = Rendered::new(self.seed + index as u64, self.size);
                    (Box::new(scene), scene.cluttered().map(|view| Box::new(view) as _))
                }
            };
            let place = Place {
                tidy: survey(tidy.as_mut())?,
                cluttered: cluttered.map(|mut view| survey(view.as_mut())).transpose()?,
            };
            progress.step();
            anyhow::Ok(place)
        };
        let places = (0..printers).into_par_iter().with_max_len(1).map(place);
        let printers = places.collect::<anyhow::Result<_>>()?;
        progress.finish();
        Ok(Bank { printers })
    }
}

fn score(detector: &Mutex<&mut Detector>, picture: RgbImage) -> anyhow::Result<FrameScore> {
    let frame = as_frame(picture);
    let mut detector = detector.lock().unwrap_or_else(PoisonError::into_inner);
    // As the daemon hands it to the core; how long it took must not make two runs differ.
    Ok(FrameScore { infer_ms: 0.0, ..detector.score(&frame)? }.quantised())
}

/// What cannot be read is scored anew.
fn read(file: &Path) -> Option<Bank> {
    let bank: Bank = serde_json::from_reader(BufReader::new(File::open(file).ok()?)).ok()?;
    let whole = |place: &Place| {
        place.tidy.is_complete() && place.cluttered.as_ref().is_none_or(View::is_complete)
    };
    (!bank.printers.is_empty() && bank.printers.iter().all(whole)).then_some(bank)
}

fn write(file: &Path, bank: &Bank) -> anyhow::Result<()> {
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    // Under another name until it is whole.
    let partial = file.with_extension("partial");
    let mut to = BufWriter::new(File::create(&partial)?);
    serde_json::to_writer(&mut to, bank)?;
    to.flush()?;
    std::fs::rename(partial, file)?;
    Ok(())
}
