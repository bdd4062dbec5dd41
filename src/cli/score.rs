//! `strandwatch score`: pictures, folders and videos to scores.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::camera;
use crate::core::types::FrameScore;
use crate::ports::Frame;
use crate::vision::annotate::{self, Notes};
use crate::vision::{Detector, picture};

use super::model::ModelArguments;
use super::output::{complain, say};
use super::pictures::{self, Progress};
use super::{Exit, OrExit, Outcome};

/// Arguments of `strandwatch score`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Pictures (JPEG, PNG), videos, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Write what the model saw, drawn on each frame, as JPEGs into this folder
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

/// Runs it: files that cannot be read are named and passed over, and the exit code then says so.
pub fn run(arguments: Arguments) -> Outcome {
    let files = pictures::find(&arguments.paths).or_exit(Exit::Usage)?;
    let mut detector = arguments.model.load().or_exit(Exit::Usage)?;
    if let Some(folder) = &arguments.annotate {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))
            .or_exit(Exit::Usage)?;
    }
    let progress = Progress::new(files.len() as u64, "files");
    let mut report = Report { arguments: &arguments, progress: &progress, unreadable: 0 };
    report.heading();
    for file in &files {
        for frame in frames(file) {
            match frame.and_then(|frame| Ok((detector.score(&frame)?, frame))) {
                Ok((score, frame)) => report.frame(&detector, file, &frame, &score)?,
                Err(error) => report.unreadable(&error),
            }
        }
        progress.step();
    }
    progress.finish();
    Ok(if report.unreadable == 0 { Exit::Well } else { Exit::ProblemsFound })
}

/// The frames of a file, numbered from 0: a picture has one.
fn frames(file: &Path) -> Box<dyn Iterator<Item = anyhow::Result<Frame>>> {
    if !pictures::is_video(file) {
        return Box::new(std::iter::once(picture::read(file).map_err(Into::into)));
    }
    match camera::files::frames(file, None) {
        Ok(frames) => Box::new((0..).zip(frames).map(|(sequence, frame)| {
            let frame = frame?;
            Ok(Frame { sequence, ..frame })
        })),
        Err(error) => Box::new(std::iter::once(Err(error.into()))),
    }
}

struct Report<'a> {
    arguments: &'a Arguments,
    progress: &'a Progress,
    unreadable: usize,
}

impl Report<'_> {
    fn heading(&self) {
        if !self.arguments.json {
            self.progress.above(|| say("score  boxes    ms  path"));
        }
    }

    fn frame(
        &self,
        detector: &Detector,
        file: &Path,
        frame: &Frame,
        score: &FrameScore,
    ) -> Result<(), super::Failure> {
        self.progress.above(|| {
            if self.arguments.json {
                say(json_line(file, frame.sequence, score));
            } else {
                let mark = if score.score >= detector.model().alert_point { '!' } else { ' ' };
                let (boxes, ms) = (score.boxes.len(), score.infer_ms);
                let which = if pictures::is_video(file) {
                    format!("{} #{}", file.display(), frame.sequence)
                } else {
                    file.display().to_string()
                };
                say(format_args!("{:.3}{mark} {boxes:5} {ms:6.1}  {which}", score.score));
            }
        });
        let Some(folder) = &self.arguments.annotate else { return Ok(()) };
        let caption = file.file_name().unwrap_or_default().to_string_lossy();
        let notes = Notes { caption: &caption, alert_point: detector.model().alert_point };
        let target = folder.join(annotated_name(file, frame.sequence));
        write_annotated(&target, frame, score, &notes)
            .with_context(|| format!("cannot write {}", target.display()))
            .or_exit(Exit::Usage)
    }

    fn unreadable(&mut self, error: &anyhow::Error) {
        self.unreadable += 1;
        self.progress.above(|| complain(format_args!("strandwatch: {error:#}")));
    }
}

fn json_line(file: &Path, frame: u64, score: &FrameScore) -> serde_json::Value {
    let boxes: Vec<[f64; 5]> =
        score.boxes.iter().map(|b| [b.x0, b.y0, b.x1, b.y1, b.p].map(rounded)).collect();
    json!({
        "path": file.to_string_lossy(),
        "frame": frame,
        "score": rounded(score.score),
        "boxes": boxes,
        "infer_ms": rounded(score.infer_ms),
    })
}

/// As many decimals as mean anything.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

/// The whole path in one name, so that pictures of different folders do not overwrite each other.
fn annotated_name(file: &Path, frame: u64) -> String {
    let named = |part: Component| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    };
    let parts: Vec<String> = file.with_extension("").components().filter_map(named).collect();
    let name = parts.join("_");
    if pictures::is_video(file) { format!("{name}-{frame:06}.jpg") } else { format!("{name}.jpg") }
}

fn write_annotated(
    target: &Path,
    frame: &Frame,
    score: &FrameScore,
    notes: &Notes,
) -> anyhow::Result<()> {
    let picture = annotate::annotate(frame, score, notes)?;
    std::fs::write(target, annotate::jpeg(&picture)?)?;
    Ok(())
}
