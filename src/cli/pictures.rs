//! What `score` and `eval` share: which files a path means, and progress on a terminal.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::complain;

const PICTURES: [&str; 3] = ["jpg", "jpeg", "png"];
const VIDEOS: [&str; 9] = ["mp4", "m4v", "mkv", "webm", "mov", "avi", "mpg", "ts", "h264"];

/// The picture and video files that `paths` mean: a file is taken as it is, a folder gives those in it and below, by
/// name. A missing path or a folder without any is an error.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            collect(path, &mut files)?;
            if files.len() == before {
                bail!("{} has no pictures (JPEG, PNG) and no videos", path.display());
            }
        } else if path.exists() {
            files.push(path.clone());
        } else {
            bail!("{} is not there", path.display());
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(unreadable)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if has_extension(&path, &PICTURES) || is_video(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a file's name says that it is a video.
pub fn is_video(path: &Path) -> bool {
    has_extension(path, &VIDEOS)
}

fn has_extension(path: &Path, among: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    among.contains(&extension.as_str())
}

/// A progress bar on standard error when that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
    /// Whether plain lines stand in for the bar elsewhere.
    lines: bool,
}

impl Progress {
    /// A bar over `total` of what `what` names; nothing where there is no terminal.
    pub fn new(total: u64, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(&format!(
            "{{bar:30}} {{pos}}/{{len}} {what}, {{per_sec:.1}}, {{eta}} left {{msg}}"
        ));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, what, lines: false }
    }

    /// The same, with a line each tenth of the way where there is no terminal: for work that says nothing else.
    pub fn with_lines(total: u64, what: &'static str) -> Self {
        Self { lines: true, ..Self::new(total, what) }
    }

    /// The same, saying which of several such things is under way.
    pub fn described(self, which: &str) -> Self {
        self.bar.set_message(which.to_owned());
        self
    }

    /// One more is done.
    pub fn step(&self) {
        self.bar.inc(1);
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let tenth = total.div_ceil(10).max(1);
        if self.lines && self.bar.is_hidden() && (done % tenth == 0 || done == total) {
            complain(format_args!("{done}/{total} {}", self.what));
        }
    }

    /// Writes lines without tearing the bar.
    pub fn above(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
