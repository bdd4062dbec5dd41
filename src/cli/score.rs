//! `strandwatch score`: pictures, folders and videos to scores.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::camera;
use crate::core::detect::clutter::{Background, Clutter};
use crate::core::detect::statistic::{Lens, frame_score};
use crate::core::types::FrameScore;
use crate::ports::Frame;
use crate::vision::annotate::{self, Notes};
use crate::vision::{Detector, picture};

use super::model::ModelArguments;
use super::output::{complain, say};
use super::pictures::{self, Progress};
use super::view::{self, ViewArguments};
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
    /// Say what the daemon has learned of a camera's view while prints were fine, what each frame counts for once that is
    /// taken into account, and tint it in the drawn pictures
    #[arg(long)]
    clutter: bool,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    view: ViewArguments,
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
    let clutter = if arguments.clutter { clutter(&arguments)? } else { None };
    let progress = Progress::new(files.len() as u64, "files");
    let mut report = Report { arguments: &arguments, clutter, progress: &progress, unreadable: 0 };
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

/// What was learned, said in a line of its own.
fn clutter(arguments: &Arguments) -> Result<Option<Clutter>, super::Failure> {
    let config = arguments.view.load()?;
    let (printer, camera) = arguments.view.find(&config)?;
    let clutter = view::learned(&config, (printer, camera))?;
    let of = format!("printer {}, camera {}", printer.name, camera.name);
    let line = match &clutter {
        None => format!(
            "{of}: no clutter is known: no print of ten minutes and more has ended well yet"
        ),
        Some(clutter) => {
            let discounts = clutter.discounts();
            let cluttered = discounts.iter().filter(|discount| **discount > 0.0).count();
            format!(
                "{of}: learned from {} good prints ({:.1} h): {cluttered} of {} cells are discounted",
                clutter.prints,
                clutter.seconds / 3_600.0,
                discounts.len()
            )
        }
    };
    if arguments.json {
        complain(line)
    } else {
        say(line)
    }
    Ok(clutter)
}

/// What a frame's score is worth once what always lies there is taken into account; `None` where the model or the
/// picture's shape is another than it was learned with.
fn counted(clutter: &Clutter, detector: &Detector, score: &FrameScore) -> Option<f32> {
    let model = detector.model();
    let background = Background::new(Some(clutter.clone()));
    let factors = background.odds_factors(&score.map, &model.sha256);
    let lens = Lens::new(factors);
    let known = !lens.is_clear();
    known.then(|| frame_score(model.rule, &score.map, &score.boxes, &lens))
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
    clutter: Option<Clutter>,
    progress: &'a Progress,
    unreadable: usize,
}

impl Report<'_> {
    fn heading(&self) {
        if !self.arguments.json {
            let heading = if self.clutter.is_some() {
                "score  counted  boxes    ms  path"
            } else {
                "score  boxes    ms  path"
            };
            self.progress.above(|| say(heading));
        }
    }

    fn frame(
        &self,
        detector: &Detector,
        file: &Path,
        frame: &Frame,
        score: &FrameScore,
    ) -> Result<(), super::Failure> {
        let counted = self.clutter.as_ref().map(|known| counted(known, detector, score));
        self.progress.above(|| {
            if self.arguments.json {
                let mut line = json_line(file, frame.sequence, score);
                if let Some(counted) = counted {
                    line["counted"] = json!(counted.map(rounded));
                }
                say(line);
            } else {
                let mark = if score.score >= detector.model().alert_point { '!' } else { ' ' };
                let (boxes, ms) = (score.boxes.len(), score.infer_ms);
                let which = if pictures::is_video(file) {
                    format!("{} #{}", file.display(), frame.sequence)
                } else {
                    file.display().to_string()
                };
                let counted = match counted {
                    Some(Some(counted)) => format!("  {counted:.3} "),
                    Some(None) => "      - ".to_owned(),
                    None => String::new(),
                };
                say(format_args!("{:.3}{mark}{counted} {boxes:5} {ms:6.1}  {which}", score.score));
            }
        });
        let Some(folder) = &self.arguments.annotate else { return Ok(()) };
        let caption = file.file_name().unwrap_or_default().to_string_lossy();
        let alert_point = detector.model().alert_point;
        let notes = Notes { caption: &caption, alert_point, clutter: self.clutter.as_ref() };
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
