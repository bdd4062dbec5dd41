//! A recording decided again, by other rules and settings, side by side: when it would have alerted and acted.

use serde::Serialize;

use crate::core::Core;
use crate::core::contract::{ActSettings, Input, Output, PrinterSetup, Setup, WatchSettings};
use crate::core::detect::Rule;
use crate::core::detect::evidence::{FalseAlarms, bar, bar_to_act};
use crate::core::document::StateDocument;
use crate::core::event::EventKind;
use crate::core::print::Phase;
use crate::core::types::{
    Decoding, FrameScore, KlippyState, LinkStatus, ModelFacts, Name, Now, PrintState,
    PrinterStatus, SourceHealth, SourceReport,
};

/// What to decide differently; what is `None` stays as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Change {
    /// Which rule decides.
    pub rule: Option<Rule>,
    /// Tolerated wrong actions per 100 hours.
    pub act_per_100h: Option<f64>,
    /// Tolerated wrong alerts per 100 hours.
    pub alert_per_100h: Option<f64>,
    /// Frames within this time count as one, ms.
    pub correlation_ms: Option<u64>,
    /// The Spaghetti Detective's sensitivity.
    pub tsd_sensitivity: Option<f64>,
    /// Frames in a row.
    pub frames_in_a_row: Option<u32>,
}

impl Change {
    /// The same recording with this changed.
    pub fn apply(&self, setup: &Setup) -> Setup {
        let mut setup = setup.clone();
        for printer in setup.printers.values_mut() {
            let detect = &mut printer.watch.detect;
            detect.rule = self.rule.unwrap_or(detect.rule);
            let (act, alert) =
                (&mut detect.act_false_alarms_per_100h, &mut detect.alert_false_alarms_per_100h);
            // One number moves both, as it does in the configuration.
            let ratio = *alert / *act;
            *act =
                self.act_per_100h.or(self.alert_per_100h.map(|rate| rate / ratio)).unwrap_or(*act);
            *alert = self.alert_per_100h.unwrap_or(*act * ratio).max(*act);
            detect.correlation_ms = self.correlation_ms.unwrap_or(detect.correlation_ms);
            detect.tsd_sensitivity = self.tsd_sensitivity.unwrap_or(detect.tsd_sensitivity);
            detect.consecutive.frames = self.frames_in_a_row.unwrap_or(detect.consecutive.frames);
            if let Some(memory) = printer
                .memory
                .as_mut()
                .filter(|_| self.act_per_100h.or(self.alert_per_100h).is_some())
            {
                memory.false_alarms_per_100h = None;
            }
        }
        setup
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// Seconds since the recording began.
    pub at_s: f64,
    /// The event's type.
    pub what: &'static str,
    /// The incident, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// One moment of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the recording began.
    pub at_s: f64,
    /// What the printer did.
    pub phase: Phase,
    /// The frame's score.
    pub score: Option<f64>,
    /// The deciding rule's statistic as a fraction of what acting needs.
    pub evidence: f64,
}

/// What a rule made of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The rule.
    pub rule: Rule,
    /// Inputs decided on.
    pub inputs: u64,
    /// Hours in which frames counted.
    pub hours: f64,
    /// Where people are told, as a fraction of what acting needs; the evidence rule's alone, and where one sum serves both.
    pub alert_at: Option<f64>,
    /// What happened, in order.
    pub happenings: Vec<Happening>,
    /// For a plot; thinned to what can be drawn.
    #[serde(skip)]
    pub moments: Vec<Moment>,
}

impl Judged {
    /// How often something happened.
    pub fn count(&self, what: &str) -> usize {
        self.times(what).count()
    }

    /// When it did, seconds since the recording began.
    pub fn times<'a>(&'a self, what: &'a str) -> impl Iterator<Item = f64> + 'a {
        self.happenings.iter().filter(move |happening| happening.what == what).map(|h| h.at_s)
    }
}

/// Closer together than this, s, nothing is told apart in a plot.
const PLOTTED_EVERY_S: f64 = 2.0;

struct Judge {
    core: Core,
    setup: Setup,
    judged: Judged,
    counts: Option<f64>,
}

/// Decides `inputs` again, once for each of `changes`, in one pass.
pub fn judge<E>(
    setup: &Setup,
    inputs: impl Iterator<Item = Result<(Now, Input), E>>,
    changes: &[Change],
) -> Result<Vec<Judged>, E> {
    let mut judges: Vec<Judge> =
        changes.iter().map(|change| Judge::new(change.apply(setup))).collect();
    let mut began_ms = None;
    for input in inputs {
        let (now, input) = input?;
        let since_ms = now.mono_ms.saturating_sub(*began_ms.get_or_insert(now.mono_ms));
        let at_s = since_ms as f64 / 1_000.0;
        if let Some((last, rest)) = judges.split_last_mut() {
            rest.iter_mut().for_each(|judge| judge.take(at_s, now, input.clone()));
            last.take(at_s, now, input);
        }
    }
    Ok(judges.into_iter().map(|judge| judge.judged).collect())
}

impl Judge {
    fn new(setup: Setup) -> Self {
        let rule = setup.printers.values().next().map(|p| p.watch.detect.rule).unwrap_or_default();
        let judged = Judged {
            rule,
            inputs: 0,
            hours: 0.0,
            alert_at: None,
            happenings: Vec::new(),
            moments: Vec::new(),
        };
        Self { core: Core::new(setup.clone()), setup, judged, counts: None }
    }

    fn take(&mut self, at_s: f64, now: Now, input: Input) {
        self.judged.inputs += 1;
        if let Input::Model { model: Ok(facts) } = &input {
            self.judged.alert_at = self.alert_at(facts.false_alarms.as_ref());
        }
        if let Some(since_s) = self.counts {
            self.judged.hours += (at_s - since_s) / 3_600.0;
            self.counts = Some(at_s);
        }
        self.core.handle(now, input);
        while let Some(output) = self.core.poll_output() {
            if let Output::Event { event } = output {
                let incident = incident_of(&event.kind);
                let what = event.kind.name();
                self.judged.happenings.push(Happening { at_s, what, incident });
            } else if let Output::State { document, .. } = output {
                self.state(at_s, &document);
            }
        }
    }

    fn state(&mut self, at_s: f64, document: &StateDocument) {
        let phase = document.phase;
        self.counts = phase.frames_count().then_some(at_s);
        let last = self.judged.moments.last();
        let near =
            last.is_some_and(|last| at_s - last.at_s < PLOTTED_EVERY_S && last.phase == phase);
        if !near {
            let StateDocument { score, evidence, .. } = *document;
            self.judged.moments.push(Moment { at_s, phase, score, evidence });
        }
    }

    fn alert_at(&self, measured: Option<&FalseAlarms>) -> Option<f64> {
        let detect = self.setup.printers.values().next()?.watch.detect;
        let alert = bar(detect.alert_false_alarms_per_100h, detect.correlation_ms, measured);
        let act = bar_to_act(detect.act_false_alarms_per_100h, detect.correlation_ms, measured);
        let same = detect.rule == Rule::Evidence && alert.lift == act.lift;
        same.then_some(alert.threshold / act.threshold)
    }
}

fn incident_of(kind: &EventKind) -> Option<String> {
    serde_json::to_value(kind).ok()?.get("incident")?.as_str().map(str::to_owned)
}

/// A print made of frames alone, as a video or a folder of pictures: it extrudes from the first frame on, and nobody
/// answers. `at_ms` is the time since the first frame.
pub fn print_of_frames(
    model: &ModelFacts,
    watch: WatchSettings,
    act: ActSettings,
    frames: impl IntoIterator<Item = (u64, FrameScore)>,
) -> (Setup, Vec<(Now, Input)>) {
    let [printer, camera] = ["printer", "camera"].map(known_name);
    let setup = PrinterSetup {
        cameras: vec![camera.clone()],
        watch,
        act,
        memory: None,
        views: Default::default(),
    };
    let setup = Setup {
        boot: "replay".to_owned(),
        printers: [(printer.clone(), setup)].into(),
        grants: Default::default(),
        answered: Default::default(),
    };
    let now = |ms: u64| Now { mono_ms: 1_000 + ms, unix_ms: 1_000 + ms as i64 };
    let status = PrinterStatus {
        klippy: KlippyState::Ready,
        print: PrintState::Printing,
        filament_used_mm: 1.0,
        ..PrinterStatus::default()
    };
    let health = SourceHealth::Seeing;
    let report = SourceReport { health, decoding: Decoding::default(), size: None };
    let mut inputs = vec![
        (now(0), Input::Model { model: Ok(model.clone()) }),
        (now(0), Input::SelfTest { passed: true, score: None, detail: "not run".to_owned() }),
        (now(0), Input::Source { printer: printer.clone(), camera: camera.clone(), report }),
        (
            now(0),
            Input::Printer { printer: printer.clone(), link: LinkStatus::Up(Box::new(status)) },
        ),
    ];
    inputs.extend(frames.into_iter().map(|(ms, score)| {
        // The first one is taken after the print began.
        let taken_ms = now(ms + 1).mono_ms;
        let (printer, camera) = (printer.clone(), camera.clone());
        (now(ms + 1), Input::Score { printer, camera, taken_ms, score: score.quantised() })
    }));
    (setup, inputs)
}

#[expect(clippy::expect_used, reason = "the names are ours")]
fn known_name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::scenario::{Scenario, frame, model, setup};

    fn all(inputs: &[(Now, Input)]) -> impl Iterator<Item = Result<(Now, Input), String>> + '_ {
        inputs.iter().cloned().map(Ok)
    }

    #[test]
    fn the_same_recording_is_judged_by_several_rules_at_once() {
        let mut scenario = Scenario::printing();
        scenario.score(0.9).for_secs(120);
        let changes = [Rule::Evidence, Rule::Tsd, Rule::Consecutive]
            .map(|rule| Change { rule: Some(rule), ..Change::default() });
        let judged = judge(&scenario.setup, all(&scenario.inputs), &changes).unwrap();
        let alerts: Vec<usize> = judged.iter().map(|judged| judged.count("alert")).collect();
        // The Spaghetti Detective's rule looks away for its first thirty frames.
        assert_eq!(alerts, [1, 0, 1]);
        assert!((judged[0].hours - 120.0 / 3_600.0).abs() < 0.001, "{}", judged[0].hours);
        assert!(judged[0].alert_at.is_some_and(|at| (0.5..1.0).contains(&at)));
    }

    #[test]
    fn a_tolerated_rate_moves_alert_and_action_alike() {
        let changed = Change { alert_per_100h: Some(50.0), ..Change::default() }.apply(&setup());
        let detect = changed.printers.values().next().unwrap().watch.detect;
        assert_eq!(detect.act_false_alarms_per_100h, 10.0);
        let changed = Change { act_per_100h: Some(2.0), ..Change::default() }.apply(&setup());
        let detect = changed.printers.values().next().unwrap().watch.detect;
        assert_eq!(detect.alert_false_alarms_per_100h, 10.0);
    }

    #[test]
    fn frames_alone_make_a_print() {
        let settings = setup().printers.values().next().unwrap().clone();
        let frames = (0..60).map(|i| (i * 2_000, frame(if i < 30 { 0.0 } else { 0.95 }, 1, 1)));
        let (setup, inputs) = print_of_frames(&model(), settings.watch, settings.act, frames);
        let judged = judge(&setup, all(&inputs), &[Change::default()]).unwrap().remove(0);
        let alert = judged.times("alert").next().unwrap();
        assert!((60.0..100.0).contains(&alert), "{alert}");
        assert_eq!(judged.count("print_started"), 1);
    }
}
