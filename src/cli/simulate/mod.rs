//! `strandwatch simulate`: how well the rules judge whole prints.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;

mod bank;
mod contest;
mod moments;
mod plot;
mod rendered;
mod staged;
mod table;

use super::model::ModelArguments;
use super::output::say;
use super::{Exit, OrExit, Outcome};
use crate::app::wiring;
use crate::config;
use crate::core::detect::Rule;
use crate::core::detect::evidence::{Bar, FalseAlarms};
use crate::sim::workload::Bank;
use crate::sim::workload::life::Judgement;
use crate::sim::workload::script::Mix;

use bank::Order;
use contest::{Entry, Newborn, Workload};
use moments::Thoroughness;

/// Arguments of `strandwatch simulate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many prints; 1000 of them are about 3,200 hours of good printing
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    prints: u32,
    /// Decides everything that is left to chance: the same seed gives the same report
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Make the prints from labelled pictures: a folder with labels.jsonl. Without it, scenes are rendered
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Only the pictures of this split
    #[arg(long, value_name = "NAME", requires = "pictures")]
    split: Option<String>,
    /// How many printers, each with a view of its own; of pictures at most as many as there are
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    printers: u16,
    /// With pictures: so many more printers, whose scenes are rendered
    #[arg(long, default_value_t = 0, value_name = "N", requires = "pictures", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    rendered: u16,
    /// Frames a second of the slowest and the fastest camera
    #[arg(long, default_value = "0.1..1", value_name = "SLOW..FAST", value_parser = rates)]
    rate: (f64, f64),
    /// Shortest and longest print, hours
    #[arg(long, default_value = "1.5..8", value_name = "SHORT..LONG", value_parser = rates)]
    hours: (f64, f64),
    /// Which part of the prints fails
    #[arg(long, default_value_t = 0.35, value_name = "PART", value_parser = part)]
    failing: f32,
    /// Wrong alerts per 100 hours asked of the evidence rule; the first one is what the other rules are compared at
    #[arg(long, default_value = "5,1,20", value_delimiter = ',', value_name = "RATES", value_parser = per_100h)]
    alerts: Vec<f64>,
    /// Which rules the evidence rule is compared with, as they come and at as many wrong alerts; none takes the least time
    #[arg(long, default_value = "tsd,consecutive", value_delimiter = ',', value_name = "RULES", value_parser = rival)]
    against: Vec<Option<Rule>>,
    /// Only the evidence rule, with so much added to every frame's log-likelihood ratio and an alert at such a sum (4 where
    /// none is named) whatever the manifest says, and as a [model.false_alarms] for it: what each of them costs
    #[arg(long, value_delimiter = ',', value_name = "LIFT[@SUM]", allow_hyphen_values = true, value_parser = lifted, conflicts_with_all = ["alerts", "against"])]
    lifts: Vec<Bar>,
    /// Nobody looks after an alert; after a pause people still do
    #[arg(long)]
    unanswered: bool,
    /// Decides which views there are; without it the seed. Other prints before the same cameras need no new scoring
    #[arg(long, value_name = "S")]
    views_seed: Option<u64>,
    /// Score less of each view: quick, and good for a first look only
    #[arg(long)]
    coarse: bool,
    /// Where what was scored is kept for the next time; without it ~/.cache/strandwatch
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The configuration whose settings are judged; without it the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The whole report as one JSON object
    #[arg(long)]
    json: bool,
    /// Draw when failures were found and how many alerts were wrong
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    material: String,
    prints: u32,
    printers: usize,
    seed: u64,
    model: String,
    entries: Vec<Entry>,
    newborn: Newborn,
    /// What --lifts found, for the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    false_alarms: Option<FalseAlarms>,
}

/// Runs it.
pub fn run(mut arguments: Arguments) -> Outcome {
    from_patient_to_eager(&mut arguments.lifts).or_exit(Exit::Usage)?;
    // An empty file: the defaults, whatever the configuration of this host says.
    let path = arguments.config.clone().unwrap_or_else(|| PathBuf::from("/dev/null"));
    let config = config::load(Some(&path)).map_err(|problems| anyhow!("{problems}"));
    let (watch, act) = wiring::judgement(&config.or_exit(Exit::Usage)?);
    let alerts_answered = !arguments.unanswered;
    let judgement = Judgement { watch, act, interval_ms: None, alerts_answered };
    let mut detector = arguments.model.load().or_exit(Exit::Usage)?;
    let cache = arguments.cache.clone().or_else(default_cache);
    let mut bank = Bank { printers: Vec::new() };
    for order in arguments.orders() {
        let scored = order.fill(&mut detector, cache.as_deref()).or_exit(Exit::Usage)?;
        bank.printers.extend(scored.printers);
    }
    let facts = detector.model().facts();
    drop(detector);
    let mix = Mix { failing: arguments.failing, hours: arguments.hours, rate: arguments.rate };
    let prints = arguments.prints as usize;
    let workload = Workload::new(&bank, &facts, judgement, &mix, prints, arguments.seed);
    let entries = compete(&workload, &arguments);
    let measured = arguments.lifts.iter().copied().zip(rates_of(&entries));
    let correlation_ms = watch.detect.correlation_ms;
    let report = Report {
        material: arguments.material(),
        prints: arguments.prints,
        printers: bank.printers.len().min(prints),
        seed: arguments.seed,
        model: facts.name.clone(),
        newborn: workload.newborn(),
        false_alarms: costs(measured, correlation_ms),
        entries,
    };
    if arguments.json {
        say(serde_json::to_string(&report).or_exit(Exit::Internal)?);
    } else {
        table::print(&report);
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::draw(&report).or_exit(Exit::Internal)?;
        let written = std::fs::write(file, svg);
        written.with_context(|| format!("cannot write {}", file.display())).or_exit(Exit::Usage)?;
    }
    Ok(Exit::Well)
}

/// Each lift is told so much lower than it was measured at, log-odds: other prints may score a little higher, which costs
/// more the steeper the rate rises, and what people ask for is to be kept.
const SPARE: f64 = 0.1;

/// The bars, each with its rate, as far as that rises from one to the next: of those that cost the same the most eager is the
/// one to have.
fn rising(bars: impl Iterator<Item = (Bar, f64)>) -> Vec<(Bar, f64)> {
    let mut known: Vec<(Bar, f64)> = Vec::new();
    for (bar, rate) in bars {
        let rate = hundredths(rate);
        while known.pop_if(|(_, last)| rate <= *last).is_some() {}
        if rate > 0.0 {
            known.push((bar, rate));
        }
    }
    known
}

/// What the bars cost, with something to spare; `None` when fewer than two differ.
fn costs(bars: impl Iterator<Item = (Bar, f64)>, correlation_ms: u64) -> Option<FalseAlarms> {
    let spared =
        |(bar, rate): (Bar, f64)| (Bar { lift: hundredths(bar.lift - SPARE), ..bar }, rate);
    let bars: Vec<_> = rising(bars).into_iter().map(spared).collect();
    let found = FalseAlarms::of(&bars, correlation_ms);
    found.fault().is_none().then_some(found)
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The evidence rule at each rate asked for; the others as they come, and at as many wrong alerts as the first.
fn compete(workload: &Workload, arguments: &Arguments) -> Vec<Entry> {
    if !arguments.lifts.is_empty() {
        return climb(workload, &arguments.lifts);
    }
    let mut entries: Vec<Entry> =
        arguments.alerts.iter().map(|per_100h| workload.evidence(*per_100h)).collect();
    let Some(first) = entries.first() else { return entries };
    // Where ours alerted never wrongly, the others may once in all those hours.
    let least = 100.0 / first.tally.good_h.max(1.0);
    let equal = first.tally.false_alerts_per_100h.value.max(least);
    if arguments.against.contains(&Some(Rule::Tsd)) {
        entries.extend([workload.tsd(1.0), workload.tsd_at(equal)]);
    }
    if arguments.against.contains(&Some(Rule::Consecutive)) {
        entries.extend([workload.consecutive(3), workload.consecutive_at(equal)]);
    }
    entries.into_iter().map(|entry| workload.without_clutter(entry)).collect()
}

/// The evidence rule at each bar, from patient to eager.
fn climb(workload: &Workload, bars: &[Bar]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for bar in bars {
        let known = rising(bars.iter().copied().zip(rates_of(&entries)));
        entries.push(workload.evidence_at(*bar, &known));
    }
    entries
}

fn rates_of(entries: &[Entry]) -> impl Iterator<Item = f64> {
    entries.iter().map(|entry| entry.tally.false_alerts_per_100h.value)
}

impl Arguments {
    fn orders(&self) -> Vec<Order> {
        let thorough = if self.coarse {
            Thoroughness { variants: 1, growths: 1, every_size: 3 }
        } else {
            Thoroughness { variants: 3, growths: 3, every_size: 1 }
        };
        let first = Order {
            pictures: self.pictures.clone().map(|folder| (folder, self.split.clone())),
            printers: usize::from(self.printers),
            seed: self.views_seed.unwrap_or(self.seed),
            size: if self.coarse { (320, 240) } else { (640, 480) },
            thorough,
        };
        let printers = usize::from(self.rendered);
        let rendered = (printers > 0).then(|| Order { pictures: None, printers, ..first.clone() });
        [first].into_iter().chain(rendered).collect()
    }

    fn material(&self) -> String {
        match &self.pictures {
            Some(folder) if self.rendered == 0 => format!("pictures of {}", folder.display()),
            Some(folder) => format!("pictures of {} and rendered scenes", folder.display()),
            None => "rendered scenes".to_owned(),
        }
    }
}

fn rival(text: &str) -> Result<Option<Rule>, String> {
    match text {
        "none" => Ok(None),
        "tsd" => Ok(Some(Rule::Tsd)),
        "consecutive" => Ok(Some(Rule::Consecutive)),
        _ => Err("write tsd, consecutive, both with a comma between, or none".to_owned()),
    }
}

fn from_patient_to_eager(bars: &mut [Bar]) -> anyhow::Result<()> {
    bars.sort_by(|a, b| {
        a.lift.total_cmp(&b.lift).then_with(|| b.threshold.total_cmp(&a.threshold))
    });
    match bars.windows(2).find(|pair| pair[0].threshold < pair[1].threshold) {
        Some([Bar { lift, threshold }, higher]) => bail!(
            "--lifts: {} is the higher lift, so its sum may not be above that of {lift}@{threshold}, and is {}",
            higher.lift,
            higher.threshold
        ),
        Some(_) | None => Ok(()),
    }
}

/// Less [`SPARE`] it must still be one that a manifest may hold.
fn lifted(text: &str) -> Result<Bar, String> {
    let (lift, threshold) = text.split_once('@').unwrap_or((text, "4"));
    let lift = lift.parse().ok().filter(|lift: &f64| lift.abs() <= 3.9);
    let threshold = threshold.parse().ok().filter(|sum| (0.01..=50.0).contains(sum));
    let bar = lift.zip(threshold).map(|(lift, threshold)| Bar { lift, threshold });
    bar.ok_or_else(|| {
        "write lifts from -3.9 to 3.9, each with a sum from 0.01 to 50 or without, as -1,0,1,1@0.5"
            .to_owned()
    })
}

fn default_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|at| at.is_absolute());
    cache
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
        .map(|cache| cache.join("strandwatch"))
}

fn rates(text: &str) -> Result<(f64, f64), String> {
    let both = text.split_once("..").and_then(|(low, high)| {
        Some((low.trim().parse::<f64>().ok()?, high.trim().parse::<f64>().ok()?))
    });
    match both {
        Some((low, high)) if low >= 0.01 && low <= high && high <= 100.0 => Ok((low, high)),
        _ => Err("write two numbers from 0.01 to 100, the smaller first, as 0.1..1".to_owned()),
    }
}

fn part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

fn per_100h(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=5_000.0).contains(rate));
    rate.ok_or_else(|| "write numbers from 0.01 to 5000, as 5,1,20".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_bars_that_cost_the_same_the_most_eager_is_kept_and_one_that_costs_nothing_tells_nothing()
    {
        let bars = ["-1", "0", "1", "1@0.5"].map(|text| lifted(text).unwrap());
        let costs = |rates: &[f64]| costs(bars.into_iter().zip(rates.iter().copied()), 10_000);
        let found = costs(&[0.0, 10.0, 10.0, 20.0]).unwrap();
        assert_eq!((found.lift, found.threshold), (vec![0.9, 0.9], vec![4.0, 0.5]));
        assert_eq!(found.per_100h, vec![10.0, 20.0]);
        assert_eq!(costs(&[0.0, 0.0, 3.0, 3.0]), None);
    }

    #[test]
    fn bars_are_put_in_order_and_one_that_is_neither_patient_nor_eager_is_refused() {
        let ordered = |texts: &[&str]| {
            let mut bars: Vec<Bar> = texts.iter().map(|text| lifted(text).unwrap()).collect();
            from_patient_to_eager(&mut bars).map(|()| bars)
        };
        assert_eq!(ordered(&["1@0.5", "1", "-1"]).unwrap()[2].threshold, 0.5);
        let refused = ordered(&["2", "1@0.5"]).unwrap_err().to_string();
        assert!(refused.contains("1@0.5") && refused.contains("2 is the higher"), "{refused}");
    }

    #[test]
    fn a_lift_may_name_the_sum_that_is_an_alert() {
        assert_eq!(lifted("-1.5"), Ok(Bar { lift: -1.5, threshold: 4.0 }));
        assert_eq!(lifted("1.9@0.2"), Ok(Bar { lift: 1.9, threshold: 0.2 }));
        for wrong in ["", "@", "1@", "@2", "4", "1@0", "1@2@3", "1@nan"] {
            assert!(lifted(wrong).is_err(), "{wrong}");
        }
    }
}
