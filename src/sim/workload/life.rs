//! A printer's life in virtual time: the real core decides, what it asks for is done, and people answer its alerts.

use std::collections::BTreeMap;

use super::View;
use super::script::{HEATING_S, Script, Trouble};
use crate::core::Core;
use crate::core::authz::{Grant, Grants, Principal, Right, VerifiedCredential};
use crate::core::contract::{
    ActSettings, Action, Input, Output, PrinterSetup, Setup, WatchSettings,
};
use crate::core::event::EventKind;
use crate::core::types::{
    Decoding, Heater, KlippyState, LinkStatus, ModelFacts, Name, Now, PrintState, PrinterStatus,
    SourceFault, SourceHealth, SourceReport,
};

/// People look so long after an alert or a pause.
const PEOPLE_LOOK_MS: u64 = 5 * 60_000;
/// A pause takes effect so long after it was sent.
const PAUSING_MS: u64 = 2_000;
/// A frozen picture is noticed so late.
const NOTICED_MS: u64 = 10_000;
/// The printer tells of its progress so often.
const PROGRESS_MS: u64 = 60_000;
/// Between two prints.
const BETWEEN_MS: u64 = 20 * 60_000;
/// The first moment of a life.
const START: Now = Now { mono_ms: 1_000_000, unix_ms: 1_700_000_000_000 };

/// What became of one print.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Told {
    /// Hours that were good: until the failure began or the print ended, pauses left out.
    pub good_h: f64,
    /// Wrong alerts.
    pub false_alerts: u32,
    /// Wrong pauses.
    pub false_pauses: u32,
    /// The failure, where there was one.
    pub failure: Option<Found>,
    /// How often a dead or frozen camera was told of, and whether there was one.
    pub blind: u32,
    /// Whether its camera died or froze.
    pub troubled: bool,
    /// Whether clutter lay in view.
    pub cluttered: bool,
}

/// How a failure fared.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Found {
    /// Whether it was there from the first frame on.
    pub from_the_start: bool,
    /// Seconds from its beginning to the alert.
    pub alert_s: Option<f64>,
    /// To the pause as the printer reported it.
    pub pause_s: Option<f64>,
}

/// How this printer is watched and acted upon.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// How it is watched; the script's interval replaces its own.
    pub watch: WatchSettings,
    /// How it is acted upon.
    pub act: ActSettings,
    /// Every camera at this interval, ms, whatever the script says.
    pub interval_ms: Option<u64>,
    /// Whether people look after an alert; after a pause they always do.
    pub alerts_answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Extruding,
    CameraTrouble,
    CameraBack,
    Progress,
    Paused,
    PeopleLook,
}

/// One printer with one camera.
pub struct Life<'a> {
    view: &'a View,
    core: Core,
    printer: Name,
    camera: Name,
    owner: Principal,
    now: Now,
    agenda: BTreeMap<(u64, u8), Due>,
    entries: u8,
    interval_ms: Option<u64>,
    frame_ms: u64,
    requests: u64,
    alerted: bool,
    blind: u32,
    actions: Vec<Action>,
    alerts_answered: bool,
}

impl<'a> Life<'a> {
    /// A new printer before its first print.
    pub fn new(view: &'a View, model: &ModelFacts, judgement: Judgement, interval_ms: u64) -> Self {
        let [printer, camera, owner] = ["printer", "camera", "owner"].map(name);
        let mut watch = judgement.watch;
        watch.clear_interval_ms = judgement.interval_ms.unwrap_or(interval_ms);
        watch.suspect_interval_ms =
            judgement.interval_ms.unwrap_or(watch.clear_interval_ms.min(1_000));
        let setup = PrinterSetup { watch, ..printer_setup(&camera, &judgement) };
        let grant = Grant { rights: Right::ALL.into(), printers: None };
        let core = Core::new(Setup {
            boot: "simulated".to_owned(),
            printers: [(printer.clone(), setup)].into(),
            grants: Grants([(owner.clone(), grant)].into()),
            answered: BTreeMap::new(),
        });
        let owner = owner_by_credential(owner);
        let mut life = Self {
            view,
            core,
            printer,
            camera,
            owner,
            now: START,
            agenda: BTreeMap::new(),
            entries: 0,
            interval_ms: None,
            frame_ms: 0,
            requests: 0,
            alerted: false,
            blind: 0,
            actions: Vec::new(),
            alerts_answered: judgement.alerts_answered,
        };
        life.input(Input::CommandPlane { closed: None });
        life.input(Input::Model { model: Ok(model.clone()) });
        life.input(Input::SelfTest { passed: true, score: None, detail: "simulated".to_owned() });
        life.report(SourceHealth::Seeing);
        life
    }

    /// From the next print on the camera sees this.
    pub fn look_at(&mut self, view: &'a View) {
        self.view = view;
    }

    /// Lives through one print.
    pub fn print(&mut self, script: &Script) -> Told {
        let from = self.now;
        let mut told = Told {
            good_h: 0.0,
            false_alerts: 0,
            false_pauses: 0,
            failure: script.onset.map(|onset| Found {
                from_the_start: onset.grows_s <= 0.0,
                alert_s: None,
                pause_s: None,
            }),
            blind: 0,
            troubled: script.trouble.is_some(),
            cluttered: self.view.cluttered,
        };
        let onset_s = script.onset.map_or(script.ends_s(), |onset| onset.at_s);
        let (mut state, mut extruding, mut dead) = (PrintState::Printing, false, false);
        let mut paused_from_s = None;
        let mut paused_s = 0.0;
        self.plan(script, from);
        self.alerted = false;
        self.blind = 0;
        self.tell(script, from, state, extruding);
        loop {
            let frame_ms = (self.interval_ms.is_some() && !dead).then_some(self.frame_ms);
            let agenda_ms = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let end_ms = from.mono_ms + (script.ends_s() * 1_000.0) as u64;
            let times = [frame_ms, agenda_ms, self.core.next_deadline_ms(), Some(end_ms)];
            let next_ms = times.into_iter().flatten().min().unwrap_or(end_ms);
            let ahead_ms = next_ms.saturating_sub(self.now.mono_ms);
            self.now = later(self.now, ahead_ms);
            let at_s = (self.now.mono_ms - from.mono_ms) as f64 / 1_000.0;
            if next_ms >= end_ms {
                break;
            }
            if agenda_ms == Some(next_ms) {
                let Some((_, due)) = self.agenda.pop_first() else { break };
                match due {
                    Due::Extruding => extruding = true,
                    Due::Progress => self.plan_in(PROGRESS_MS, Due::Progress),
                    Due::CameraTrouble => {
                        dead = script.trouble.is_some_and(|(_, what)| what == Trouble::Dies);
                        self.trouble(dead);
                        continue;
                    }
                    Due::CameraBack => {
                        dead = false;
                        self.frame_ms = self.now.mono_ms;
                        self.report(SourceHealth::Seeing);
                        continue;
                    }
                    Due::Paused => {
                        state = PrintState::Paused;
                        self.tell(script, from, state, extruding);
                        if script.has_failed(at_s) {
                            if let Some(found) = &mut told.failure {
                                found.pause_s = Some(at_s - onset_s);
                                // The alert came first, however late it was looked at.
                                found.alert_s = found.alert_s.or(found.pause_s);
                            }
                            break;
                        }
                        told.false_pauses += 1;
                        paused_from_s = Some(at_s);
                        self.plan_in(PEOPLE_LOOK_MS, Due::PeopleLook);
                        continue;
                    }
                    Due::PeopleLook if !script.has_failed(at_s) => {
                        self.ask("dismiss");
                        state = PrintState::Printing;
                        paused_s += paused_from_s.take().map_or(0.0, |from_s| at_s - from_s);
                    }
                    // They see the failure that has begun meanwhile.
                    Due::PeopleLook => {
                        if let Some(found) = &mut told.failure {
                            found.alert_s = found.alert_s.or(Some(at_s - onset_s));
                        }
                        continue;
                    }
                }
                self.tell(script, from, state, extruding);
            } else if frame_ms == Some(next_ms) {
                self.frame_ms = next_ms + self.interval_ms.unwrap_or(0);
                let score = script.shot(self.view, at_s).clone();
                self.input(Input::Score {
                    printer: self.printer.clone(),
                    camera: self.camera.clone(),
                    taken_ms: next_ms,
                    score,
                });
            } else {
                self.input(Input::Tick);
            }
            self.follow(script, at_s, onset_s, &mut told);
        }
        let end_s = (self.now.mono_ms - from.mono_ms) as f64 / 1_000.0;
        paused_s += paused_from_s.map_or(0.0, |from_s| end_s - from_s);
        told.good_h = (end_s.min(onset_s) - paused_s).max(0.0) / 3_600.0;
        told.blind = self.blind;
        self.agenda.clear();
        let ended =
            if told.failure.is_some() { PrintState::Cancelled } else { PrintState::Complete };
        self.tell(script, from, ended, extruding);
        if dead {
            self.report(SourceHealth::Seeing);
        }
        self.actions.clear();
        self.now = later(self.now, BETWEEN_MS);
        told
    }

    /// Notes what the last input brought about, and does what was asked for.
    fn follow(&mut self, script: &Script, at_s: f64, onset_s: f64, told: &mut Told) {
        for action in std::mem::take(&mut self.actions) {
            self.input(Input::ActionAnswered { id: action.id, outcome: Ok(()) });
            self.plan_in(PAUSING_MS, Due::Paused);
        }
        if std::mem::take(&mut self.alerted) {
            match &mut told.failure {
                Some(found) if script.has_failed(at_s) => {
                    found.alert_s = found.alert_s.or(Some(at_s - onset_s));
                }
                Some(_) | None => {
                    told.false_alerts += 1;
                    if self.alerts_answered {
                        self.plan_in(PEOPLE_LOOK_MS, Due::PeopleLook);
                    }
                }
            }
        }
    }

    fn plan(&mut self, script: &Script, from: Now) {
        self.plan_in((HEATING_S * 1_000.0) as u64, Due::Extruding);
        self.plan_in(PROGRESS_MS, Due::Progress);
        if let Some((stretch, what)) = script.trouble {
            let noticed = if what == Trouble::Freezes { NOTICED_MS } else { 0 };
            let ms = |at_s: f64| (at_s * 1_000.0) as u64;
            self.plan_in(ms(stretch.from_s) + noticed, Due::CameraTrouble);
            self.plan_in(ms(stretch.until_s) + noticed + 1, Due::CameraBack);
        }
        self.frame_ms = from.mono_ms;
    }

    fn plan_in(&mut self, ms: u64, due: Due) {
        self.entries = self.entries.wrapping_add(1);
        self.agenda.insert((self.now.mono_ms + ms, self.entries), due);
    }

    fn tell(&mut self, script: &Script, from: Now, print: PrintState, extruding: bool) {
        let since_s = (self.now.mono_ms - from.mono_ms) as f64 / 1_000.0;
        let printed_s = if extruding { (since_s - HEATING_S).max(1.0) } else { 0.0 };
        let done = (printed_s / (script.length_s - HEATING_S)).clamp(0.0, 1.0);
        let heated = if extruding { 215.0 } else { 120.0 };
        let status = PrinterStatus {
            klippy: KlippyState::Ready,
            print,
            filename: Some("simulated.gcode".to_owned()),
            total_duration_s: since_s,
            print_duration_s: printed_s,
            filament_used_mm: printed_s * 2.0,
            progress: Some(done),
            layer: (script.layers && extruding).then_some(1 + (done * 200.0) as u32),
            layers: script.layers.then_some(200),
            homed_axes: "xyz".to_owned(),
            extruder: Some(Heater { temperature: heated, target: 215.0 }),
            idle_timeout_s: Some(600.0),
            ..PrinterStatus::default()
        };
        let link = LinkStatus::Up(Box::new(status));
        self.input(Input::Printer { printer: self.printer.clone(), link });
    }

    fn trouble(&mut self, dead: bool) {
        self.report(if dead {
            let why = "simulated: the connection was reset".to_owned();
            SourceHealth::Blind { fault: SourceFault::Vanished, why }
        } else {
            let why = "simulated: every frame is the same".to_owned();
            SourceHealth::Impaired { fault: SourceFault::Frozen, why }
        });
    }

    fn report(&mut self, health: SourceHealth) {
        let report = SourceReport { health, decoding: Decoding::default(), size: Some((640, 480)) };
        let (printer, camera) = (self.printer.clone(), self.camera.clone());
        self.input(Input::Source { printer, camera, report });
    }

    fn ask(&mut self, command: &str) {
        self.requests += 1;
        let issued_at = self.now.unix_ms as f64 / 1_000.0;
        let body = serde_json::json!({ "id": self.requests.to_string(), "issued_at": issued_at });
        self.input(Input::Request {
            principal: self.owner.clone(),
            printer: self.printer.to_string(),
            command: command.to_owned(),
            retained: false,
            payload: body.to_string().into_bytes(),
        });
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll_output() {
            if let Output::Event { event } = &output {
                self.alerted |= matches!(event.kind, EventKind::Alert { .. });
                self.blind += u32::from(matches!(event.kind, EventKind::Blind { .. }));
            } else if let Output::Sampling { interval_ms, .. } = output {
                self.sample_every(interval_ms);
            } else if let Output::Action(action) = output {
                self.actions.push(action);
            }
        }
    }

    fn sample_every(&mut self, interval_ms: Option<u64>) {
        if let Some(interval_ms) = interval_ms {
            self.frame_ms = self.frame_ms.min(self.now.mono_ms + interval_ms);
            self.frame_ms = self.frame_ms.max(self.now.mono_ms);
        }
        self.interval_ms = interval_ms;
    }
}

fn printer_setup(camera: &Name, judgement: &Judgement) -> PrinterSetup {
    PrinterSetup {
        cameras: vec![camera.clone()],
        watch: judgement.watch,
        act: judgement.act,
        memory: None,
        views: BTreeMap::new(),
    }
}

fn later(now: Now, ms: u64) -> Now {
    Now { mono_ms: now.mono_ms + ms, unix_ms: now.unix_ms + ms as i64 }
}

#[expect(clippy::expect_used, reason = "the name is ours")]
fn owner_by_credential(name: Name) -> Principal {
    Principal::new(VerifiedCredential::BrokerEnforcedTopic(name)).expect("not a reserved name")
}

#[expect(clippy::expect_used, reason = "the names are ours")]
fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}
