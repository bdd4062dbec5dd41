//! One printer: its print, its cameras, its incident, its actions. Printers share nothing.

mod actions;
mod commands;
mod describe;
mod life;
mod watching;

use std::collections::{BTreeMap, VecDeque};

pub use self::commands::Asked;

use super::action::Pending;
use super::contract::{Output, PrinterMemory, PrinterSetup};
use super::detect::{DetectSettings, Detector};
use super::document::{IncidentDocument, StateDocument, unix_seconds};
use super::event::{EVENT_SCHEMA, Event, EventKind};
use super::incident::{Incident, Stage};
use super::print::{Job, Phase};
use super::types::{FrameScore, LinkStatus, Name, Now, PrinterStatus, SourceReport};
use super::watch::Watch;

/// One camera of this printer.
#[derive(Debug, Default)]
struct Camera {
    report: Option<SourceReport>,
    detector: Detector,
    /// When frames were first wanted in this stretch, monotonic ms.
    wanted_ms: u64,
    scored_ms: Option<u64>,
    last: Option<FrameScore>,
    /// The last score with dismissed regions left out.
    counted: f32,
    interval_ms: Option<u64>,
}

/// A snapshot that was asked for.
#[derive(Debug)]
struct SnapshotTicket {
    ticket: u64,
    client: Name,
    request: String,
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
    cameras: BTreeMap<Name, Camera>,
    incident: Option<Incident>,
    incidents: u64,
    pending: Vec<Pending>,
    snapshots: Vec<SnapshotTicket>,
    snoozed_until_ms: Option<u64>,
    watch: Watch,
    model: Option<String>,
    model_fault: Option<String>,
    self_test_passed: Option<bool>,
    told_state: Option<StateDocument>,
    told_incident: Option<IncidentDocument>,
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
        });
        let cameras = setup
            .cameras
            .iter()
            .map(|camera| {
                let mut state = Camera::default();
                state.detector.tsd.lifetime =
                    memory.lifetime.get(camera).copied().unwrap_or_default();
                (camera.clone(), state)
            })
            .collect();
        Self {
            name,
            boot: boot.to_owned(),
            setup,
            remembered: Some(memory.clone()),
            memory,
            link: None,
            online: None,
            job: None,
            cameras,
            incident: None,
            incidents: 0,
            pending: Vec::new(),
            snapshots: Vec::new(),
            snoozed_until_ms: None,
            watch: Watch::Off,
            model: None,
            model_fault: None,
            self_test_passed: None,
            told_state: None,
            told_incident: None,
            outputs: VecDeque::new(),
        }
    }

    /// The job, if one is on.
    pub fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Announces something.
    pub fn event(&mut self, now: Now, kind: EventKind) {
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
        if self.snoozed_until_ms.is_some_and(|until| now.mono_ms >= until) {
            self.snoozed_until_ms = None;
        }
        self.check_pending(now, next_id);
        self.step_incident(now, next_id);
        self.sample(now);
        self.judge_watch(now);
        self.describe(now);
        self.remember();
    }

    /// Hands over what is to be done, in order.
    pub fn drain_into(&mut self, outputs: &mut VecDeque<Output>) {
        outputs.append(&mut self.outputs);
    }

    /// When something is due at the latest, monotonic ms.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let veto = self.incident.as_ref().and_then(|incident| match incident.stage {
            Stage::Veto { until_ms } => Some(until_ms),
            Stage::Suspect | Stage::Alert | Stage::Acted => None,
        });
        self.pending
            .iter()
            .map(Pending::deadline_ms)
            .chain(veto)
            .chain(self.snoozed_until_ms)
            .chain(self.stale_deadline_ms())
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

    /// The phase; that of the last known status while the link is down and a job was on.
    fn phase(&self) -> Phase {
        match (self.status(), &self.job) {
            (Some(status), Some(_)) => Phase::of(status),
            (None, Some(_)) => Phase::Printing,
            (_, None) => Phase::Idle,
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
