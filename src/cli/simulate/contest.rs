//! The same prints under several rules and settings.

use rayon::prelude::*;
use serde::Serialize;

use crate::cli::pictures::Progress;
use crate::cli::replay::rule_word;
use crate::core::detect::Rule;
use crate::core::detect::evidence::{Bar, FalseAlarms};
use crate::core::types::ModelFacts;
use crate::sim::workload::life::{Judgement, Life, Told};
use crate::sim::workload::script::{Mix, Script};
use crate::sim::workload::tally::{Estimate, Tally, cluttered, more_false_alerts_per_100h};
use crate::sim::workload::{Bank, Place};

/// The Spaghetti Detective looks every ten seconds.
const TSD_INTERVAL_MS: u64 = 10_000;
/// Halvings of the range in which a rule's setting is sought.
const HALVINGS: usize = 7;
/// How many times as many wrong alerts the next more eager bar is guessed to cost. The guess only says how far behind it the
/// ones before lie.
const ABOUT_THE_NEXT: f64 = 1.5;

/// Every print of every printer.
pub(super) struct Workload<'a> {
    bank: &'a Bank,
    model: &'a ModelFacts,
    judgement: Judgement,
    /// By printer: its prints, and from which print on clutter lies in view.
    scripts: Vec<(Vec<Script>, usize)>,
}

/// What becomes of the clutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clutter {
    /// All prints are told of.
    AsItLies,
    /// Only those prints are told of that had some in view.
    TakenAway,
}

/// A rule at one setting, and what it did.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// The rule.
    pub rule: Rule,
    /// Its setting in words.
    pub setting: String,
    /// Wrong alerts asked for per 100 hours, where the rule takes that.
    pub asked_per_100h: Option<f64>,
    /// What it did.
    #[serde(flatten)]
    pub tally: Tally,
    /// How many more wrong alerts per 100 hours the prints with clutter in view have than the same lived again with none:
    /// its doing. Only where [`Workload::without_clutter`] was asked.
    pub false_alerts_by_clutter_per_100h: Option<Estimate>,
    /// Seconds to each alert and to each failure's end without one, for the plot.
    #[serde(skip)]
    pub delays_s: Vec<Option<f64>>,
    #[serde(skip)]
    judgement: Judgement,
    #[serde(skip)]
    in_clutter: Vec<Vec<Told>>,
}

/// How the same failure of a new printer's first print fares, whole at once, whenever it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Newborn {
    /// How many printers.
    pub printers: usize,
    /// Of how many it is alerted when it is there from the first extruded frame on.
    pub from_the_start: usize,
    /// Of how many when it comes halfway through the print.
    pub halfway: usize,
}

impl<'a> Workload<'a> {
    /// `prints` prints, spread over the printers.
    pub fn new(
        bank: &'a Bank,
        model: &'a ModelFacts,
        judgement: Judgement,
        mix: &Mix,
        prints: usize,
        seed: u64,
    ) -> Self {
        let printers = bank.printers.len().min(prints).max(1);
        let scripts = (0..printers)
            .map(|printer| {
                let of_printer = seed.wrapping_mul(1_000_003).wrapping_add(printer as u64);
                let share = (prints + printers - 1 - printer) / printers;
                let view = &bank.printers[printer].tidy;
                let each = (0..share).map(|i| Script::draw(of_printer, i as u64, view, mix));
                // Clutter comes between two prints, or was there before the first.
                (each.collect(), (of_printer.wrapping_mul(0x9E37_79B9) >> 8) as usize % 4)
            })
            .collect();
        Self { bank, model, judgement, scripts }
    }

    /// New printers' first prints that fail.
    pub fn newborn(&self) -> Newborn {
        let found = |after: f64| {
            let alerted = |(scripts, place): (&Vec<Script>, &'a Place)| {
                let mut life = self.life(place, scripts, self.judgement);
                let told = life.print(&scripts.first()?.clone().failing_at_once(after));
                told.failure?.alert_s
            };
            let lives = self.scripts.iter().map(|(scripts, _)| scripts).zip(&self.bank.printers);
            lives.filter_map(alerted).count()
        };
        Newborn { printers: self.scripts.len(), from_the_start: found(0.0), halfway: found(0.5) }
    }

    /// The evidence rule that should alert wrongly `per_100h` times.
    pub fn evidence(&self, per_100h: f64) -> Entry {
        let mut judgement = self.judgement;
        let detect = &mut judgement.watch.detect;
        // Acting keeps its distance from alerting.
        let ratio = detect.act_false_alarms_per_100h / detect.alert_false_alarms_per_100h;
        detect.rule = Rule::Evidence;
        detect.alert_false_alarms_per_100h = per_100h;
        detect.act_false_alarms_per_100h = per_100h * ratio;
        let setting = format!("{per_100h} wrong alerts per 100 h");
        Entry { asked_per_100h: Some(per_100h), ..self.entry(Rule::Evidence, setting, judgement) }
    }

    /// The evidence rule that alerts by this bar, the next more eager one after those that are `known` with their rates,
    /// whatever was measured for the model: where an alert went unanswered, it falls back on them as it will when they are the
    /// model's. Nothing acts: a pause brings people, and so spares alerts.
    pub fn evidence_at(&self, bar: Bar, known: &[(Bar, f64)]) -> Entry {
        let asked = known.last().map_or(1.0, |(_, rate)| rate * ABOUT_THE_NEXT);
        let mut bars = known.to_vec();
        bars.push((bar, asked));
        let measured = FalseAlarms::of(&bars, self.judgement.watch.detect.correlation_ms);
        let model = ModelFacts { false_alarms: Some(measured), ..self.model.clone() };
        let mut judgement = self.judgement;
        judgement.act.armed = false;
        let workload =
            Workload { model: &model, judgement, scripts: self.scripts.clone(), ..*self };
        let setting = format!("lift {} to {}", bar.lift, bar.threshold);
        Entry { asked_per_100h: None, setting, ..workload.evidence(asked) }
    }

    /// The Spaghetti Detective's rule at a sensitivity.
    pub fn tsd(&self, sensitivity: f64) -> Entry {
        let mut judgement = self.judgement;
        judgement.watch.detect.rule = Rule::Tsd;
        judgement.watch.detect.tsd_sensitivity = sensitivity;
        judgement.interval_ms = Some(TSD_INTERVAL_MS);
        self.entry(Rule::Tsd, format!("sensitivity {sensitivity:.3}"), judgement)
    }

    /// So many frames in a row.
    pub fn consecutive(&self, frames: u32) -> Entry {
        let mut judgement = self.judgement;
        judgement.watch.detect.rule = Rule::Consecutive;
        judgement.watch.detect.consecutive.frames = frames;
        self.entry(Rule::Consecutive, format!("{frames} frames"), judgement)
    }

    /// The most eager setting of [`Self::tsd`] that alerts wrongly no more than `per_100h` times.
    pub fn tsd_at(&self, per_100h: f64) -> Entry {
        // Between never and at anything.
        let (mut low, mut high) = (0.05_f64, 20.0_f64);
        let mut best = self.tsd(low);
        for _ in 0..HALVINGS {
            let middle = (low * high).sqrt();
            let entry = self.tsd(middle);
            if entry.tally.false_alerts_per_100h.value <= per_100h {
                (low, best) = (middle, entry);
            } else {
                high = middle;
            }
        }
        best
    }

    /// The fewest frames in a row that alert wrongly no more than `per_100h` times.
    pub fn consecutive_at(&self, per_100h: f64) -> Entry {
        let (mut low, mut high) = (1_u32, 3_000_u32);
        let mut best = self.consecutive(high);
        while high - low > 1 && f64::from(high) / f64::from(low) > 1.05 {
            let middle = (f64::from(low) * f64::from(high)).sqrt().round() as u32;
            let middle = middle.clamp(low + 1, high - 1);
            let entry = self.consecutive(middle);
            if entry.tally.false_alerts_per_100h.value <= per_100h {
                (high, best) = (middle, entry);
            } else {
                low = middle;
            }
        }
        best
    }

    /// The same entry, and what of it the clutter does.
    pub fn without_clutter(&self, entry: Entry) -> Entry {
        let what = format!("{} ({}), clutter taken away", rule_word(entry.rule), entry.setting);
        let told = self.run(entry.judgement, Clutter::TakenAway, &what);
        let more = more_false_alerts_per_100h(&entry.in_clutter, &told);
        Entry { false_alerts_by_clutter_per_100h: Some(more), ..entry }
    }

    fn entry(&self, rule: Rule, setting: String, judgement: Judgement) -> Entry {
        let what = format!("{} ({setting})", rule_word(rule));
        let told = self.run(judgement, Clutter::AsItLies, &what);
        let failures = told.iter().flatten().filter_map(|told| told.failure);
        let delays_s = failures.map(|found| found.alert_s).collect();
        Entry {
            rule,
            setting,
            asked_per_100h: None,
            tally: Tally::of(&told),
            false_alerts_by_clutter_per_100h: None,
            delays_s,
            judgement,
            in_clutter: cluttered(&told),
        }
    }

    fn life(&self, place: &'a Place, scripts: &[Script], judgement: Judgement) -> Life<'a> {
        let interval_ms = scripts.first().map_or(TSD_INTERVAL_MS, |script| script.interval_ms);
        Life::new(&place.tidy, self.model, judgement, interval_ms)
    }

    /// Every printer's life, in as many threads as there are processors; in the printers' order.
    fn run(&self, judgement: Judgement, clutter: Clutter, what: &str) -> Vec<Vec<Told>> {
        let progress = Progress::new(self.scripts.len() as u64, "printers").described(what);
        let told = (0..self.scripts.len()).into_par_iter().with_max_len(1).map(|index| {
            let told = self.live(index, judgement, clutter);
            progress.step();
            told
        });
        let told = told.collect();
        progress.finish();
        told
    }

    /// The life of printer `index`.
    fn live(&self, index: usize, judgement: Judgement, clutter: Clutter) -> Vec<Told> {
        let (scripts, cluttered_from) = &self.scripts[index];
        let place = &self.bank.printers[index];
        if clutter == Clutter::TakenAway && place.cluttered.is_none() {
            return Vec::new();
        }
        let mut life = self.life(place, scripts, judgement);
        let mut all = Vec::new();
        for (number, script) in scripts.iter().enumerate() {
            let cluttered = place.cluttered.as_ref().filter(|_| number >= *cluttered_from);
            if let Some(view) = cluttered.filter(|_| clutter == Clutter::AsItLies) {
                life.look_at(view);
            }
            let told = life.print(script);
            if clutter == Clutter::AsItLies || cluttered.is_some() {
                all.push(told);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::wiring;
    use crate::config;
    use crate::core::types::{Calibration, FailureMap, FrameScore, ScoreRule};
    use crate::sim::workload::{Growth, Variants, View};

    /// One cell that shows the print, one beside it.
    fn frame(cells: [f32; 2]) -> Variants {
        let map = FailureMap {
            columns: 2,
            rows: 1,
            content: [0.0, 0.0, 1.0, 1.0],
            cells: cells.to_vec(),
        };
        vec![FrameScore {
            score: cells[0].max(cells[1]),
            boxes: Vec::new(),
            map,
            infer_ms: 1.0,
            view: None,
            brightness: None,
        }]
    }

    /// A print that always scores low, with something beside it that scores so.
    fn view(beside: f32) -> View {
        let calm = frame([0.02, beside]);
        View {
            name: "a print".to_owned(),
            cluttered: beside > 0.5,
            good: vec![vec![calm.clone()]],
            passing: vec![calm.clone()],
            reaching: vec![calm],
            growths: vec![Growth { light: 0, stage: 0, sizes: vec![(0.0, frame([0.99, beside]))] }],
        }
    }

    #[test]
    fn what_clutter_does_is_told_apart_by_living_the_same_prints_without_it() {
        let place = |cluttered| Place { tidy: view(0.02), cluttered };
        let bank = Bank { printers: vec![place(Some(view(0.9))), place(None)] };
        let config = config::load(Some(std::path::Path::new("/dev/null"))).unwrap();
        let (watch, act) = wiring::judgement(&config);
        let judgement = Judgement { watch, act, interval_ms: None, alerts_answered: true };
        let mix = Mix { failing: 0.0, hours: (0.5, 1.0), ..Mix::default() };
        let model = ModelFacts {
            name: "test".to_owned(),
            sha256: String::new(),
            score_rule: ScoreRule::TopKMean { k: 1 },
            calibration: Calibration {
                score: vec![0.0, 1.0],
                log_likelihood_ratio: vec![-4.0, 4.0],
            },
            false_alarms: None,
        };
        let workload = Workload::new(&bank, &model, judgement, &mix, 20, 1);
        // A rule that knows no clutter.
        let entry = workload.without_clutter(workload.consecutive(3));
        assert!(entry.tally.false_alerts_in_clutter_per_100h.value > 5.0, "{entry:?}");
        let by_clutter = entry.false_alerts_by_clutter_per_100h.unwrap();
        assert_eq!(by_clutter.value, entry.tally.false_alerts_in_clutter_per_100h.value);

        let [lain, taken] = [Clutter::AsItLies, Clutter::TakenAway]
            .map(|clutter| workload.run(workload.judgement, clutter, "test"));
        let prints = |told: &[Vec<Told>], cluttered: bool| {
            told.iter().flatten().filter(|told| told.cluttered == cluttered).count()
        };
        assert!(prints(&lain, true) > 0);
        assert_eq!(prints(&taken, false), prints(&lain, true), "those prints and no others");
        assert_eq!(prints(&taken, true), 0);
    }
}
