//! `strandwatch eval`: how good a model is on a labelled set of pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::vision::{Detector, picture};

use super::model::ModelArguments;
use super::output::{complain, say};
use super::pictures::Progress;
use super::{Exit, OrExit, Outcome};

pub(super) mod labels;
mod metrics;
mod mistakes;
mod plot;
mod report;
mod table;

use labels::{Label, Verdict};
use metrics::Sample;
use report::Report;

/// Arguments of `strandwatch eval`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A folder with labels.jsonl, one JSON object a line: file, label (failing, good, ignore), and where known split,
    /// source, view, group, sequence
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only the pictures of this split
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// At most this many pictures, drawn by lot (the same every time)
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The whole report as one JSON object
    #[arg(long)]
    json: bool,
    /// Draw ROC and reliability
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// A contact sheet of the pictures that the model gets most wrong
    #[arg(long, value_name = "FILE.jpg")]
    mistakes: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

/// A picture and what the model said of it.
struct Scored {
    label: Label,
    path: PathBuf,
    score: f32,
    infer_ms: f32,
    cluster: usize,
}

impl Scored {
    fn failing(&self) -> bool {
        self.label.label == Verdict::Failing
    }

    fn sample(&self) -> Sample {
        Sample { score: self.score, failing: self.failing(), cluster: self.cluster }
    }
}

/// Runs it: pictures that cannot be read are named and left out, and the exit code then says so.
pub fn run(arguments: Arguments) -> Outcome {
    let labels = labels::read(&arguments.folder, arguments.split.as_deref(), arguments.limit)
        .or_exit(Exit::Usage)?;
    let mut detector = arguments.model.load().or_exit(Exit::Usage)?;
    let (counted, ignored): (Vec<Label>, Vec<Label>) =
        labels.into_iter().partition(|label| label.label != Verdict::Ignore);
    let total = counted.len();
    let scored = score_all(&mut detector, &arguments.folder, counted);
    let unreadable = total - scored.len();
    let report = Report::new(detector.model(), &scored, ignored.len(), unreadable);
    if arguments.json {
        say(serde_json::to_string(&report).or_exit(Exit::Internal)?);
    } else {
        table::print(&report);
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::draw(&report, &scored).or_exit(Exit::Internal)?;
        write(file, svg.as_bytes()).or_exit(Exit::Usage)?;
    }
    if let Some(file) = &arguments.mistakes {
        let sheet = mistakes::sheet(&mut detector, &scored).or_exit(Exit::Internal)?;
        write(file, &sheet).or_exit(Exit::Usage)?;
    }
    Ok(if unreadable == 0 { Exit::Well } else { Exit::ProblemsFound })
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

fn score_all(detector: &mut Detector, folder: &Path, labels: Vec<Label>) -> Vec<Scored> {
    let progress = Progress::with_lines(labels.len() as u64, "pictures");
    let mut clusters: BTreeMap<String, usize> = BTreeMap::new();
    let mut scored = Vec::with_capacity(labels.len());
    for label in labels {
        let path = folder.join(&label.file);
        match picture::read(&path).and_then(|frame| detector.score(&frame)) {
            Ok(found) => {
                let next = clusters.len();
                let cluster = *clusters.entry(label.cluster()).or_insert(next);
                let (score, infer_ms) = (found.score, found.infer_ms);
                scored.push(Scored { label, path, score, infer_ms, cluster });
            }
            Err(error) => progress.above(|| complain(format_args!("strandwatch: {error}"))),
        }
        progress.step();
    }
    progress.finish();
    scored
}
