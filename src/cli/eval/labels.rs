//! `labels.jsonl`: what each picture of a labelled set is.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::index::sample;
use serde::Deserialize;

/// What people said of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shows loose strands.
    Failing,
    /// Does not.
    Good,
    /// Not counted either way.
    Ignore,
}

/// One line. Fields that only training needs are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// The picture, relative to the folder.
    pub file: PathBuf,
    /// What it is.
    pub label: Verdict,
    /// Such as `train` or `dev`.
    #[serde(default)]
    pub split: String,
    /// Who published it.
    #[serde(default)]
    pub source: String,
    /// Such as `photo` or `webcam`.
    #[serde(default)]
    pub view: String,
    /// Around each tangle, `[x0, y0, x1, y1]` as fractions of width and height.
    pub boxes: Option<Vec<[f32; 4]>>,
    /// Near-duplicates share one.
    group: Option<serde_json::Value>,
    /// Frames of one print share one.
    pub sequence: Option<String>,
}

impl Label {
    /// What this picture is not independent of.
    pub fn cluster(&self) -> String {
        match (&self.sequence, &self.group) {
            (Some(sequence), _) => format!("sequence {sequence}"),
            (None, Some(group)) => format!("group {group}"),
            (None, None) => format!("file {}", self.file.display()),
        }
    }
}

/// Reads `labels.jsonl` of a folder, only the lines of `split` where one is named, and at most `limit` of them, drawn
/// by lot (the same every time).
pub fn read(
    folder: &Path,
    split: Option<&str>,
    limit: Option<usize>,
) -> anyhow::Result<Vec<Label>> {
    let path = folder.join("labels.jsonl");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut labels = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let label: Label = serde_json::from_str(line)
            .with_context(|| format!("{} line {}", path.display(), number + 1))?;
        if split.is_none_or(|split| label.split == split) {
            labels.push(label);
        }
    }
    if labels.is_empty() {
        match split {
            Some(split) => bail!("{} has no picture of the split {split:?}", path.display()),
            None => bail!("{} is empty", path.display()),
        }
    }
    let total = labels.len();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut picked = sample(&mut random, total, limit.unwrap_or(total).clamp(1, total)).into_vec();
    picked.sort_unstable();
    Ok(picked.into_iter().map(|i| labels[i].clone()).collect())
}
