//! Tells a story to the core: printers, cameras, clients, time. Everything told is kept, so that it can be journalled.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::core::Core;
use crate::core::authz::{CONSOLE, Grant, Grants, Principal, Right, VerifiedCredential};
use crate::core::command::ActionChoice;
use crate::core::contract::{
    ActSettings, Action, Input, OnBlind, Output, PrinterSetup, Reply, ReplyStatus, Setup,
    WatchSettings,
};
use crate::core::detect::consecutive::ConsecutiveSettings;
use crate::core::detect::{DetectSettings, Rule};
use crate::core::event::{Event, EventKind};
use crate::core::incident::Unanswered;
use crate::core::types::{
    Calibration, Decoding, FailureMap, FrameScore, KlippyState, LinkStatus, ModelFacts, Name, Now,
    Objects, PrintObject, PrintState, PrinterStatus, ScoreRule, ScoredBox, SourceHealth,
    SourceReport,
};

/// When every story begins.
pub const START: Now = Now { mono_ms: 100_000, unix_ms: 1_700_000_000_000 };
/// The veto window, seconds.
pub const VETO_S: u64 = 60;
/// Blindness that lasts so long, seconds, is told of.
pub const BLIND_ALERT_S: u64 = 86_400;
/// How long the printer may take, seconds.
pub const CONFIRM_S: u64 = 20;
/// How long people may take after a pause, seconds.
pub const ANSWER_S: u64 = 600;
/// How often the daemon tries.
pub const ATTEMPTS: u32 = 3;

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Score 0..1 to a ratio of -4..4.
pub fn model() -> ModelFacts {
    ModelFacts {
        name: "test-model".to_owned(),
        sha256: "00".to_owned(),
        score_rule: ScoreRule::TopKMean { k: 1 },
        calibration: Calibration { score: vec![0.0, 1.0], log_likelihood_ratio: vec![-4.0, 4.0] },
        false_alarms: None,
    }
}

/// A 4×4 map with one cell of `p` at `row`, `column`.
pub fn frame(p: f32, row: usize, column: usize) -> FrameScore {
    let mut cells = vec![0.0; 16];
    cells[row * 4 + column] = p;
    let (x, y) = (column as f32 / 4.0, row as f32 / 4.0);
    FrameScore {
        score: p,
        boxes: vec![ScoredBox { x0: x, y0: y, x1: x + 0.25, y1: y + 0.25, p }],
        map: FailureMap { columns: 4, rows: 4, content: [0.0, 0.0, 1.0, 1.0], cells },
        infer_ms: 12.0,
        view: None,
        brightness: None,
    }
}

pub fn report(health: SourceHealth) -> SourceReport {
    SourceReport { health, decoding: Decoding::default(), size: Some((640, 480)) }
}

pub fn printer_setup(cameras: &[&str]) -> PrinterSetup {
    PrinterSetup {
        cameras: cameras.iter().map(|camera| name(camera)).collect(),
        watch: WatchSettings {
            detect: DetectSettings {
                rule: Rule::Evidence,
                correlation_ms: 10_000,
                act_false_alarms_per_100h: 1.0,
                alert_false_alarms_per_100h: 5.0,
                tsd_sensitivity: 1.0,
                consecutive: ConsecutiveSettings::default(),
            },
            clear_interval_ms: 5_000,
            suspect_interval_ms: 1_000,
            blind_alert_after_ms: BLIND_ALERT_S * 1_000,
        },
        act: ActSettings {
            armed: true,
            on_failure: ActionChoice::Pause,
            on_blind: OnBlind::Nothing,
            veto_ms: VETO_S * 1_000,
            votes_needed: 1,
            on_confirmed: None,
            answer_within_ms: ANSWER_S * 1_000,
            if_unanswered: Unanswered::Nothing,
            heaters_off_after_ms: None,
            confirm_within_ms: CONFIRM_S * 1_000,
            attempts: ATTEMPTS,
        },
        memory: None,
        views: BTreeMap::new(),
    }
}

fn grant(preset: &str, printers: Option<&[&str]>) -> Grant {
    Grant {
        rights: Right::from_word(preset).unwrap().into_iter().collect(),
        printers: printers.map(|printers| printers.iter().map(|printer| name(printer)).collect()),
    }
}

/// One printer `voron` with camera `cam`. Clients: `owner`, `household` and its housemate, `observer`; `neighbour` owns another printer.
pub fn setup() -> Setup {
    let grants = [
        ("owner", grant("owner", None)),
        ("household", grant("household", None)),
        ("housemate", grant("household", None)),
        ("observer", grant("observer", None)),
        ("neighbour", grant("owner", Some(&["ender"]))),
    ];
    Setup {
        boot: "boot".to_owned(),
        printers: BTreeMap::from([(name("voron"), printer_setup(&["cam"]))]),
        grants: Grants(grants.into_iter().map(|(who, grant)| (name(who), grant)).collect()),
        answered: BTreeMap::new(),
    }
}

/// A core, its world, and all that was said.
pub struct Scenario {
    pub core: Core,
    pub setup: Setup,
    pub now: Now,
    /// What the printer reports; total duration runs with the clock while a job is on.
    pub status: PrinterStatus,
    pub inputs: Vec<(Now, Input)>,
    pub outputs: Vec<(Now, Output)>,
    read: usize,
    requests: u32,
}

impl Scenario {
    /// A daemon that has just started: the model is loaded, the command plane open, the printer's state not known.
    pub fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = setup();
        change(&mut setup);
        let mut scenario = Self {
            core: Core::new(setup.clone()),
            setup,
            now: START,
            status: PrinterStatus {
                klippy: KlippyState::Ready,
                homed_axes: "xyz".to_owned(),
                idle_timeout_s: Some(600.0),
                ..PrinterStatus::default()
            },
            inputs: Vec::new(),
            outputs: Vec::new(),
            read: 0,
            requests: 0,
        };
        scenario.input(Input::CommandPlane { closed: None });
        scenario.input(Input::Model { model: Ok(model()) });
        scenario
    }

    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// As above, and a print has begun that extrudes; a first good frame was seen.
    pub fn printing_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut scenario = Self::with(change);
        scenario.start_print("benchy.gcode");
        scenario.score(0.0).for_secs(1);
        scenario.forget();
        scenario
    }

    pub fn printing() -> Self {
        Self::printing_with(|_| {})
    }

    /// A print in which an alert was raised and the veto window runs.
    pub fn in_veto_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut scenario = Self::printing_with(change);
        scenario.score(0.9).for_secs(40);
        scenario.forget();
        scenario
    }

    pub fn in_veto() -> Self {
        let scenario = Self::in_veto_with(|_| {});
        assert_eq!(scenario.incident()["stage"], "veto");
        scenario
    }

    /// The daemon has sent its pause.
    pub fn acting() -> Self {
        Self::acting_with(|_| {})
    }

    pub fn acting_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut scenario = Self::in_veto_with(change);
        scenario.score(0.9).for_secs(VETO_S);
        assert_eq!(scenario.incident()["stage"], "acted");
        scenario
    }

    pub fn input(&mut self, input: Input) -> &mut Self {
        self.inputs.push((self.now, input.clone()));
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll_output() {
            self.outputs.push((self.now, output));
        }
        self
    }

    /// Lets time pass, with a tick at every deadline.
    pub fn wait(&mut self, seconds: u64) -> &mut Self {
        let end_ms = self.now.mono_ms + seconds * 1_000;
        while let Some(due_ms) = self.core.next_deadline_ms().filter(|&due| due <= end_ms) {
            assert!(due_ms > self.now.mono_ms, "a deadline that does not move on: {due_ms}");
            self.set_time(due_ms);
            self.input(Input::Tick);
        }
        self.set_time(end_ms);
        self
    }

    fn set_time(&mut self, mono_ms: u64) {
        let passed_ms = mono_ms - self.now.mono_ms;
        self.now = Now { mono_ms, unix_ms: self.now.unix_ms + passed_ms as i64 };
        if self.status.print.is_active() {
            self.status.total_duration_s += passed_ms as f64 / 1_000.0;
        }
    }

    /// Changes what the printer reports, and reports it.
    pub fn report(&mut self, change: impl FnOnce(&mut PrinterStatus)) -> &mut Self {
        change(&mut self.status);
        let link = LinkStatus::Up(Box::new(self.status.clone()));
        self.input(Input::Printer { printer: name("voron"), link })
    }

    pub fn link_down(&mut self) -> &mut Self {
        let link = LinkStatus::Down { why: "connection refused".to_owned() };
        self.input(Input::Printer { printer: name("voron"), link })
    }

    pub fn start_print(&mut self, file: &str) -> &mut Self {
        self.report(|status| {
            status.print = PrintState::Printing;
            status.filename = Some(file.to_owned());
            status.total_duration_s = 0.0;
            status.filament_used_mm = 5.0;
            status.objects = Some(Objects {
                known: vec![PrintObject { name: "cube".to_owned(), ..PrintObject::default() }],
                ..Objects::default()
            });
        })
    }

    pub fn print_state(&mut self, state: PrintState) -> &mut Self {
        self.report(|status| status.print = state)
    }

    pub fn camera(&mut self, health: SourceHealth) -> &mut Self {
        self.camera_named("cam", health)
    }

    pub fn camera_named(&mut self, camera: &str, health: SourceHealth) -> &mut Self {
        let (printer, camera) = (name("voron"), name(camera));
        self.input(Input::Source { printer, camera, report: report(health) })
    }

    /// Frames of this score, one a second, in the middle of the view.
    pub fn score(&mut self, p: f32) -> Frames<'_> {
        self.frames(frame(p, 1, 1))
    }

    pub fn frames(&mut self, score: FrameScore) -> Frames<'_> {
        Frames { scenario: self, camera: "cam", score }
    }

    /// A request of this client; gives back its id.
    pub fn ask(&mut self, client: &str, command: &str, args: Value) -> String {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        let mut body = json!({ "id": id.clone(), "issued_at": self.now.unix_ms as f64 / 1_000.0 });
        for (key, value) in args.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.ask_raw(client, "voron", command, false, body.to_string().as_bytes());
        id
    }

    pub fn ask_raw(
        &mut self,
        client: &str,
        printer: &str,
        command: &str,
        retained: bool,
        payload: &[u8],
    ) -> &mut Self {
        self.input(Input::Request {
            principal: principal(client),
            printer: printer.to_owned(),
            command: command.to_owned(),
            retained,
            payload: payload.to_vec(),
        })
    }

    /// Moonraker's answer to the newest action.
    pub fn answer_action(&mut self, outcome: Result<(), &str>) -> &mut Self {
        let id = self.all_actions().last().unwrap().id;
        self.input(Input::ActionAnswered { id, outcome: outcome.map_err(str::to_owned) })
    }

    /// Takes what came out so far as known.
    pub fn forget(&mut self) -> &mut Self {
        self.read = self.outputs.len();
        self
    }

    /// What came out since [`Self::forget`].
    pub fn fresh(&self) -> impl Iterator<Item = &Output> {
        self.outputs[self.read..].iter().map(|(_, output)| output)
    }

    pub fn events(&self) -> Vec<&Event> {
        self.fresh()
            .filter_map(|o| if let Output::Event { event } = o { Some(event) } else { None })
            .collect()
    }

    pub fn event_names(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.kind.name()).collect()
    }

    /// The fresh event of this name.
    #[track_caller]
    pub fn event(&self, event_type: &str) -> EventKind {
        let found = self.events().into_iter().find(|event| event.kind.name() == event_type);
        found.unwrap_or_else(|| panic!("no {event_type} in {:?}", self.event_names())).kind.clone()
    }

    pub fn actions(&self) -> Vec<&Action> {
        self.fresh()
            .filter_map(|o| if let Output::Action(action) = o { Some(action) } else { None })
            .collect()
    }

    fn all_actions(&self) -> Vec<Action> {
        let actions = self.outputs.iter();
        actions
            .filter_map(|(_, o)| if let Output::Action(a) = o { Some(a.clone()) } else { None })
            .collect()
    }

    pub fn replies(&self) -> Vec<&Reply> {
        self.fresh()
            .filter_map(|o| if let Output::Reply(reply) = o { Some(reply) } else { None })
            .collect()
    }

    /// The one answer to this request so far, since [`Self::forget`].
    #[track_caller]
    pub fn answer(&self, id: &str) -> (ReplyStatus, String) {
        let mut answers = self.replies().into_iter().filter(|r| r.body.id.as_deref() == Some(id));
        let answer = answers.next().unwrap_or_else(|| panic!("no answer to {id}"));
        assert!(answers.next().is_none(), "two answers to {id}");
        (answer.body.status, answer.body.reason.clone().unwrap_or_default())
    }

    /// The state document as the bus has it.
    #[track_caller]
    pub fn state(&self) -> Value {
        let newest = self.outputs.iter().rev().find_map(|(_, output)| {
            if let Output::State { document, .. } = output { Some(document) } else { None }
        });
        serde_json::to_value(newest.expect("a state document")).unwrap()
    }

    /// The incident document as the bus has it; null when none is open.
    pub fn incident(&self) -> Value {
        let newest = self.outputs.iter().rev().find_map(|(_, output)| {
            if let Output::Incident { document, .. } = output { Some(document) } else { None }
        });
        serde_json::to_value(newest).unwrap()
    }
}

pub fn principal(client: &str) -> Principal {
    Principal::new(match client {
        CONSOLE => VerifiedCredential::PrinterMacro,
        client => VerifiedCredential::BrokerEnforcedTopic(name(client)),
    })
    .unwrap()
}

/// Frames come so often.
const EVERY_MS: u64 = 1_000;

/// A run of equal frames.
pub struct Frames<'a> {
    scenario: &'a mut Scenario,
    camera: &'a str,
    score: FrameScore,
}

impl<'a> Frames<'a> {
    pub fn by(self, camera: &'a str) -> Self {
        Self { camera, ..self }
    }

    /// Shows them for so long; deadlines that pass meanwhile are met.
    pub fn for_secs(self, seconds: u64) -> &'a mut Scenario {
        let end_ms = self.scenario.now.mono_ms + seconds * 1_000;
        while self.scenario.now.mono_ms + EVERY_MS <= end_ms {
            let next_ms = self.scenario.now.mono_ms + EVERY_MS;
            while let Some(due) = self.scenario.core.next_deadline_ms().filter(|&due| due < next_ms)
            {
                self.scenario.set_time(due);
                self.scenario.input(Input::Tick);
            }
            self.scenario.set_time(next_ms);
            let taken_ms = self.scenario.now.mono_ms;
            self.scenario.input(Input::Score {
                printer: name("voron"),
                camera: name(self.camera),
                taken_ms,
                score: self.score.clone(),
            });
        }
        self.scenario
    }
}
