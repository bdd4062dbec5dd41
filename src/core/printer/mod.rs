//! One printer: its print, its cameras, its incident, its actions. Printers share nothing.

mod actions;
mod commands;
mod cooling;
mod describe;
mod life;
mod object;
mod pace;
mod question;
mod screen;
mod sight;
mod watching;

use std::collections::{BTreeMap, VecDeque};

pub use self::commands::Asked;
use self::cooling::Cooling;
use self::pace::Pace;
use self::screen::Screen;
use self::sight::Blindness;

use super::action::Pending;
use super::contract::{Output, PrinterMemory, PrinterSetup, WatchSettings};
use super::detect::{DetectSettings, Detector};
use super::document::{IncidentDocument, StateDocument, unix_seconds};
use super::event::{EVENT_SCHEMA, Event, EventKind};
use super::incident::{Incident, Stage};
use super::print::{Job, Phase};
use super::request::Target;
use super::types::{FrameScore, LinkStatus, Name, Now, PrinterStatus, SourceFault, SourceReport};
use super::watch::{CameraView, Watch};

/// One camera of this printer.
#[derive(Debug, Default)]
struct Camera {
    report: Option<SourceReport>,
    detector: Detector,
    /// When frames were first wanted in this stretch, monotonic ms.
    wanted_ms: u64,
    scored_ms: Option<u64>,
    pace: Pace,
    /// Why it showed nothing, until a score proves that it shows something again.
    unseen: Option<(SourceFault, String)>,
    last: Option<FrameScore>,
    /// The last score with dismissed regions left out.
    counted: f32,
    interval_ms: Option<u64>,
}

impl Camera {
    /// Begins a new print: nothing of the last one counts.
    fn begin_print(&mut self, now: Now) {
        self.detector.new_print();
        self.wanted_ms = now.mono_ms;
        self.scored_ms = None;
        self.unseen = None;
        self.last = None;
        self.counted = 0.0;
    }

    fn view<'a>(
        &'a self,
        name: &'a Name,
        watch: &WatchSettings,
        printer_moves: bool,
    ) -> CameraView<'a> {
        CameraView {
            name: name.as_str(),
            report: self.report.as_ref(),
            wanted_ms: self.wanted_ms,
            scored_ms: self.scored_ms,
            unseen: self.unseen.as_ref(),
            interval_ms: self.interval_ms.unwrap_or(watch.clear_interval_ms),
            printer_moves,
        }
    }
}

/// A moment by both clocks, as they stood when it was fixed.
#[derive(Debug, Clone, Copy)]
struct Moment {
    mono_ms: u64,
    unix_ms: i64,
}

impl Moment {
    fn after(now: Now, ms: u64) -> Self {
        Self {
            mono_ms: now.mono_ms.saturating_add(ms),
            unix_ms: now.unix_ms.saturating_add_unsigned(ms),
        }
    }
}

/// A snapshot that was asked for.
#[derive(Debug)]
struct SnapshotTicket {
    ticket: u64,
    client: Name,
    request: String,
    until_ms: u64,
}

/// One printer's whole state.
#[derive(Debug)]
pub struct Printer {
    name: Name,
    boot: String,
    setup: PrinterSetup,
    memory: PrinterMemory,
    remembered: Option<PrinterMemory>,
    link: Option<LinkStatus>,
    online: Option<bool>,
    job: Option<Job>,
    /// What the printer did when it was last in sight.
    phase: Phase,
    /// Frames of this job were taken from here on, monotonic ms.
    job_from_ms: u64,
    /// Frames count from here on, monotonic ms.
    counts_from_ms: u64,
    /// Since when it lays down strands, monotonic ms; `None` while it does not.
    extrudes_from_ms: Option<u64>,
    cameras: BTreeMap<Name, Camera>,
    incident: Option<Incident>,
    /// The incident that people were told of last, where it went by itself: they may still answer.
    unanswered: Option<Incident>,
    incidents: u64,
    pending: Vec<Pending>,
    snapshots: Vec<SnapshotTicket>,
    snoozed_until: Option<Moment>,
    watch: Watch,
    blind: Option<Blindness>,
    model: Option<String>,
    model_fault: Option<String>,
    self_test_passed: Option<bool>,
    told_state: Option<StateDocument>,
    /// `None` until something was told: an incident of an earlier run may still stand on the bus.
    told_incident: Option<Option<IncidentDocument>>,
    screen: Screen,
    cooling: Option<Cooling>,
    outputs: VecDeque<Output>,
}

impl Printer {
    /// A printer of which nothing is known yet.
    pub fn new(name: Name, setup: PrinterSetup, boot: &str) -> Self {
        let memory = setup.memory.clone().unwrap_or(PrinterMemory {
            seq: 0,
            armed: None,
            on_failure: None,
            false_alarms_per_100h: None,
            lifetime: BTreeMap::new(),
            habits: BTreeMap::new(),
            prompt_open: false,
        });
        let cameras = setup
            .cameras
            .iter()
            .map(|camera| {
                let view = setup.views.get(camera).cloned().unwrap_or_default();
                let habit = memory.habits.get(camera).copied().unwrap_or_default();
                let mut detector = Detector::new(view.masks, view.clutter, habit);
                detector.tsd.lifetime = memory.lifetime.get(camera).copied().unwrap_or_default();
                (camera.clone(), Camera { detector, ..Camera::default() })
            })
            .collect();
        let prompt_open = memory.prompt_open;
        Self {
            name,
            boot: boot.to_owned(),
            setup,
            remembered: Some(memory.clone()),
            memory,
            link: None,
            online: None,
            job: None,
            phase: Phase::Idle,
            job_from_ms: 0,
            counts_from_ms: 0,
            extrudes_from_ms: None,
            cameras,
            incident: None,
            unanswered: None,
            incidents: 0,
            pending: Vec::new(),
            snapshots: Vec::new(),
            snoozed_until: None,
            watch: Watch::Off,
            blind: None,
            model: None,
            model_fault: None,
            self_test_passed: None,
            told_state: None,
            told_incident: None,
            screen: Screen::new(prompt_open),
            cooling: None,
            outputs: VecDeque::new(),
        }
    }

    /// What a request finds here.
    pub fn target<'a>(&'a self, name: &'a Name) -> Target<'a> {
        let id = |incident: &'a Option<Incident>| incident.as_ref().map(|known| known.id.as_str());
        let (incident, unanswered) = (id(&self.incident), id(&self.unanswered));
        Target { name, job: self.job.as_ref(), incident, unanswered }
    }

    /// Announces something.
    pub fn event(&mut self, now: Now, kind: EventKind) {
        self.say_event(now, &kind);
        self.memory.seq += 1;
        let event = Event {
            schema: EVENT_SCHEMA,
            id: format!("{}-{}-{}", self.boot, self.name, self.memory.seq),
            seq: self.memory.seq,
            at: unix_seconds(now.unix_ms),
            printer: self.name.to_string(),
            job: self.job.as_ref().map(|job| job.id.clone()),
            kind,
        };
        self.outputs.push_back(Output::Event { event });
    }

    /// What is due at `now`, whatever the input was: deadlines, the incident's next step, documents.
    pub fn settle(&mut self, now: Now, next_id: &mut u64) {
        if self.snoozed_until.is_some_and(|until| now.mono_ms >= until.mono_ms) {
            self.snoozed_until = None;
        }
        self.give_up_snapshots(now);
        self.check_pending(now, next_id);
        self.step_incident(now, next_id);
        self.cool(now, next_id);
        self.settle_question(now, next_id);
        self.sample(now);
        self.judge_watch(now, next_id);
        self.describe(now);
        self.keep_prompt();
        self.remember();
    }

    /// Hands over what is to be done, in order.
    pub fn drain_into(&mut self, outputs: &mut VecDeque<Output>) {
        outputs.append(&mut self.outputs);
    }

    /// When something is due at the latest, monotonic ms. What was due by `after_ms` waits for an input, not for time.
    pub fn next_deadline_ms(&self, after_ms: u64) -> Option<u64> {
        let veto = self.incident.as_ref().and_then(|incident| match incident.stage {
            Stage::Veto { until_ms, .. } => Some(until_ms),
            Stage::Suspect | Stage::Alert | Stage::Acted => None,
        });
        self.pending
            .iter()
            .map(Pending::deadline_ms)
            .chain(veto)
            .chain(self.question_deadline_ms())
            .chain(self.cooling.as_ref().map(|cooling| cooling.at.mono_ms))
            .chain(self.snoozed_until.map(|until| until.mono_ms))
            .chain(self.snapshots.iter().map(|open| open.until_ms))
            .chain(self.stale_deadlines_ms())
            .chain(self.blind_deadline_ms())
            .filter(|&deadline| deadline > after_ms)
            .min()
    }

    /// Puts what must survive a restart before everything else that this input brought about.
    fn remember(&mut self) {
        if self.remembered.as_ref() != Some(&self.memory) {
            self.remembered = Some(self.memory.clone());
            self.outputs.push_front(Output::Remember {
                printer: self.name.clone(),
                memory: self.memory.clone(),
            });
        }
    }

    fn status(&self) -> Option<&PrinterStatus> {
        match &self.link {
            Some(LinkStatus::Up(status)) => Some(status),
            Some(LinkStatus::Down { .. }) | None => None,
        }
    }

    fn armed(&self) -> bool {
        self.memory.armed.unwrap_or(self.setup.act.armed)
    }

    fn detect(&self) -> DetectSettings {
        let mut settings = self.setup.watch.detect;
        if let Some(rate) = self.memory.false_alarms_per_100h {
            // People set one number; the alert keeps its distance from the action.
            let ratio = settings.alert_false_alarms_per_100h / settings.act_false_alarms_per_100h;
            settings.act_false_alarms_per_100h = rate;
            settings.alert_false_alarms_per_100h = rate * ratio;
        }
        settings
    }
}
