//! `strandwatch replay`: recorded prints, videos or pictures through the decision again, with other settings.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

mod plot;

use super::model::ModelArguments;
use super::output::{complain, say};
use super::pictures::{self, Progress};
use super::{Exit, OrExit, Outcome};
use crate::app::judge::{Change, Judged, judge, print_of_frames};
use crate::app::replay::ReadAhead;
use crate::app::wiring;
use crate::camera;
use crate::config;
use crate::core::detect::Rule;
use crate::vision::{Detector, picture};

/// Arguments of `strandwatch replay`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Journals (.jsonl), folders of them, videos, pictures, or folders of pictures: each folder of pictures is one print
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Only by this rule; without it evidence and tsd side by side
    #[arg(long, value_enum, value_name = "RULE")]
    rule: Option<RuleWord>,
    /// Time between two frames of a video or two pictures, seconds
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    interval: f64,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Draw score, evidence, thresholds, phases and incidents over time; of several recordings, the first
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The configuration whose settings judge videos and pictures; journals bring their own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

/// Settings to try; what is left out stays as it was recorded.
#[derive(clap::Args, Debug, Clone)]
pub struct Settings {
    /// As `watch.false_alarms_per_100h`
    #[arg(long, value_name = "RATE", value_parser = rate)]
    false_alarms_per_100h: Option<f64>,
    /// As `watch.alert_false_alarms_per_100h`
    #[arg(long, value_name = "RATE", value_parser = rate)]
    alert_false_alarms_per_100h: Option<f64>,
    /// As `watch.correlation_time`, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    correlation_time: Option<f64>,
    /// As `watch.tsd_sensitivity`
    #[arg(long, value_name = "X")]
    tsd_sensitivity: Option<f64>,
    /// For the rule consecutive: frames in a row
    #[arg(long, value_name = "N")]
    frames_in_a_row: Option<u32>,
}

/// A rule's name.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RuleWord {
    /// Calibrated evidence over time
    Evidence,
    /// The Spaghetti Detective's moving averages
    Tsd,
    /// So many frames in a row
    Consecutive,
}

/// One recording, judged by each rule.
#[derive(Debug, Serialize)]
struct Recording {
    path: PathBuf,
    judged: Vec<Judged>,
    #[serde(skip)]
    took: Duration,
}

/// Runs it: recordings that cannot be read are named and passed over, and the exit code then says so.
pub fn run(arguments: Arguments) -> Outcome {
    let sources = find(&arguments.paths).or_exit(Exit::Usage)?;
    let changes = arguments.changes();
    let mut chain = Chain { arguments: &arguments, detector: None };
    let progress = Progress::new(sources.len() as u64, "recordings");
    let (mut recordings, mut unreadable) = (Vec::new(), false);
    for source in sources {
        let began = Instant::now();
        match chain.judge(&source, &changes) {
            Ok(judged) => {
                recordings.push(Recording { path: source.path, judged, took: began.elapsed() });
            }
            Err(error) => {
                unreadable = true;
                progress.above(|| complain(format_args!("strandwatch: {error:#}")));
            }
        }
        progress.step();
    }
    progress.finish();
    if arguments.json {
        say(serde_json::to_string(&recordings).or_exit(Exit::Internal)?);
    } else {
        table(&recordings);
    }
    if let (Some(file), Some(first)) = (&arguments.plot, recordings.first()) {
        let svg = plot::draw(first).or_exit(Exit::Internal)?;
        let written = std::fs::write(file, svg);
        written.with_context(|| format!("cannot write {}", file.display())).or_exit(Exit::Usage)?;
    }
    Ok(if unreadable { Exit::ProblemsFound } else { Exit::Well })
}

impl Arguments {
    fn changes(&self) -> Vec<Change> {
        let rules = match self.rule {
            None => vec![Rule::Evidence, Rule::Tsd],
            Some(RuleWord::Evidence) => vec![Rule::Evidence],
            Some(RuleWord::Tsd) => vec![Rule::Tsd],
            Some(RuleWord::Consecutive) => vec![Rule::Consecutive],
        };
        let changed = |rule| Change { rule: Some(rule), ..self.settings.change() };
        rules.into_iter().map(changed).collect()
    }
}

impl Settings {
    fn change(&self) -> Change {
        Change {
            rule: None,
            act_per_100h: self.false_alarms_per_100h,
            alert_per_100h: self.alert_false_alarms_per_100h,
            correlation_ms: self.correlation_time.map(|seconds| (seconds * 1_000.0) as u64),
            tsd_sensitivity: self.tsd_sensitivity,
            frames_in_a_row: self.frames_in_a_row,
        }
    }
}

/// What a path turned out to be.
enum Kind {
    Journal,
    Video,
    Pictures(Vec<PathBuf>),
}

struct Source {
    path: PathBuf,
    kind: Kind,
}

/// The recordings that `paths` mean. Journals in a folder go before pictures in it.
fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let journals = journals_in(path)?;
            if journals.is_empty() {
                let pictures = pictures::find(std::slice::from_ref(path))?;
                let stills =
                    pictures.into_iter().filter(|file| !pictures::is_video(file)).collect();
                sources.push(Source { path: path.clone(), kind: Kind::Pictures(stills) });
            }
            let journal = |path| Source { path, kind: Kind::Journal };
            sources.extend(journals.into_iter().map(journal));
        } else if !path.exists() {
            bail!("{} is not there", path.display());
        } else if is_journal(path) {
            sources.push(Source { path: path.clone(), kind: Kind::Journal });
        } else if pictures::is_video(path) {
            sources.push(Source { path: path.clone(), kind: Kind::Video });
        } else {
            let kind = Kind::Pictures(vec![path.clone()]);
            sources.push(Source { path: path.clone(), kind });
        }
    }
    Ok(sources)
}

/// The journals in a folder, by name.
pub fn journals_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(unreadable)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(unreadable)?;
    files.retain(|path| is_journal(path));
    files.sort();
    Ok(files)
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// The model, loaded when the first picture needs it.
struct Chain<'a> {
    arguments: &'a Arguments,
    detector: Option<Detector>,
}

impl Chain<'_> {
    fn judge(&mut self, source: &Source, changes: &[Change]) -> anyhow::Result<Vec<Judged>> {
        if let Kind::Journal = source.kind {
            let recorded = ReadAhead::open(&source.path)?;
            return Ok(judge(&recorded.setup.clone(), recorded, changes)?);
        }
        let every = Duration::from_secs_f64(self.arguments.interval);
        let detector = match &mut self.detector {
            Some(detector) => detector,
            none => none.insert(self.arguments.model.load()?),
        };
        let mut scores = Vec::new();
        match &source.kind {
            Kind::Journal => {}
            Kind::Video => {
                for frame in camera::files::frames(&source.path, Some(every))? {
                    let frame = frame?;
                    scores.push((frame.taken_at.mono_ms, detector.score(&frame)?));
                }
            }
            Kind::Pictures(files) => {
                for (index, file) in (0..).zip(files) {
                    let at_ms = every.as_millis() as u64 * index;
                    scores.push((at_ms, detector.score(&picture::read(file)?)?));
                }
            }
        }
        let config = config::load(self.arguments.config.as_deref());
        let config = config.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let (watch, act) = wiring::judgement(&config);
        let facts = detector.model().facts();
        let (setup, inputs) = print_of_frames(&facts, watch, act, scores);
        judge(&setup, inputs.into_iter().map(anyhow::Ok), changes)
    }
}

fn table(recordings: &[Recording]) {
    say("rule          hours  suspect  alert  act  first alert   first act  recording");
    for recording in recordings {
        for judged in &recording.judged {
            let first = |what| {
                judged
                    .times(what)
                    .next()
                    .map_or("-".to_owned(), |at| format!("{:.1} min", at / 60.0))
            };
            say(format_args!(
                "{:12} {:6.2}  {:7}  {:5}  {:3}  {:>11}  {:>10}  {}",
                rule_word(judged.rule),
                judged.hours,
                judged.count("suspect"),
                judged.count("alert"),
                judged.count("acting"),
                first("alert"),
                first("acting"),
                recording.path.display(),
            ));
        }
    }
    say("");
    let rules = recordings.first().map_or(0, |first| first.judged.len());
    for index in 0..rules {
        let each = || recordings.iter().filter_map(|recording| recording.judged.get(index));
        let hours: f64 = each().map(|judged| judged.hours).sum();
        let alerts: usize = each().map(|judged| judged.count("alert")).sum();
        let rule = each().next().map_or("", |judged| rule_word(judged.rule));
        say(format_args!(
            "{rule:12} {hours:6.2} h of printing, {alerts} alerts, {:.2} per 100 h (each is a false alarm where the print was good)",
            100.0 * alerts as f64 / hours.max(f64::MIN_POSITIVE)
        ));
    }
    let inputs: u64 = recordings.iter().filter_map(|r| r.judged.first()).map(|j| j.inputs).sum();
    let took: Duration = recordings.iter().map(|recording| recording.took).sum();
    say(format_args!("{inputs} inputs decided in {:.1} s", took.as_secs_f64()));
}

/// The rule's name in the configuration.
pub fn rule_word(rule: Rule) -> &'static str {
    match rule {
        Rule::Evidence => "evidence",
        Rule::Tsd => "tsd",
        Rule::Consecutive => "consecutive",
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "write seconds, from 0.01 to 86400".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=5_000.0).contains(rate));
    rate.ok_or_else(|| "write a number from 0.01 to 5000".to_owned())
}
