//! Records each print as a journal of its own, and each incident's facts: what the scores and the evidence were before and
//! after, by which settings and which model.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::evidence::{Evidence, PrintJournal};
use super::journal::Standing;
use crate::core::contract::{Input, Output, PrinterSetup, Setup};
use crate::core::event::{Event, EventKind};
use crate::core::types::{Name, Now};

/// How much of the past an incident keeps, and how much it may grow to.
const BEFORE: usize = 600;
const MOST: usize = 3_000;

/// One moment of an incident: Unix seconds, the score, the evidence as a fraction of what acting needs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Moment(f64, Option<f64>, Option<f64>);

/// What is kept of an incident as `incident.json`.
#[derive(Debug, Clone, Serialize)]
struct Incident {
    incident: String,
    printer: String,
    job: Option<String>,
    journal: Option<String>,
    /// The model's name and hash.
    model: Value,
    /// How the printer was watched and acted upon.
    settings: Value,
    /// Everything that happened to it, in order; an alert has its boxes.
    events: Vec<Event>,
    /// Scores and evidence, from ten minutes before the alert or so.
    trace: Vec<Moment>,
}

/// Of one printer.
#[derive(Default)]
struct Track {
    journal: Option<PrintJournal>,
    trace: VecDeque<Moment>,
    incident: Option<Incident>,
}

/// Every print's recorder.
pub struct Recorder {
    evidence: Evidence,
    setup: Setup,
    standing: Standing,
    model: Value,
    tracks: BTreeMap<Name, Track>,
}

impl Recorder {
    /// A recorder of what a core made from `setup` takes and gives.
    pub fn new(evidence: Evidence, setup: Setup) -> Self {
        let tracks = setup.printers.keys().map(|name| (name.clone(), Track::default())).collect();
        Self { evidence, setup, standing: Standing::default(), model: Value::Null, tracks }
    }

    /// Takes note of an input, at the time at which the core takes it and before it does.
    pub fn input(&mut self, now: Now, input: &Input) {
        self.standing.note(input);
        if let Input::Model { model } = input {
            self.model = model.as_ref().map_or(
                Value::Null,
                |facts| serde_json::json!({ "name": facts.name, "sha256": facts.sha256 }),
            );
        }
        for (name, track) in &mut self.tracks {
            if let Some(journal) = track.journal.as_mut().filter(|_| concerns(input, name)) {
                journal.append(now, input);
            }
        }
    }

    /// Takes note of an output.
    pub fn output(&mut self, now: Now, output: &Output) {
        if let Output::Event { event } = output {
            self.event(now, event);
        } else if let Output::State { printer, document } = output {
            self.trace(now, printer, document);
        } else if let Output::Remember { printer, memory } = output {
            if let Some(setup) = self.setup.printers.get_mut(printer) {
                setup.memory = Some(memory.clone());
            }
        } else if let Output::Learned { printer, camera, clutter } = output
            && let Some(setup) = self.setup.printers.get_mut(printer)
        {
            setup.views.entry(camera.clone()).or_default().clutter.clone_from(clutter);
        }
    }

    /// Hands everything to the system: before the daemon goes.
    pub fn flush(&mut self) {
        for track in self.tracks.values_mut() {
            if let Some(journal) = &mut track.journal {
                journal.flush();
            }
        }
    }

    fn event(&mut self, now: Now, event: &Event) {
        let Ok(name) = Name::parse(&event.printer) else { return };
        let (Some(setup), Some(track)) =
            (self.setup.printers.get(&name), self.tracks.get_mut(&name))
        else {
            return;
        };
        if let EventKind::PrintStarted { .. } = event.kind {
            let alone =
                Setup { printers: [(name.clone(), setup.clone())].into(), ..self.setup.clone() };
            track.journal = self.evidence.begin_print(&name, now, &alone);
            if let Some(journal) = &mut track.journal {
                self.standing.of(&name).for_each(|input| journal.append(now, input));
            }
            return;
        }
        if let EventKind::Alert { incident, .. } = &event.kind {
            track.incident = Some(Incident {
                incident: incident.clone(),
                printer: name.to_string(),
                job: event.job.clone(),
                journal: track.journal.as_mut().map(PrintJournal::holds_an_incident),
                model: self.model.clone(),
                settings: settings(setup),
                events: Vec::new(),
                trace: track.trace.iter().copied().collect(),
            });
        }
        let over = matches!(
            event.kind,
            EventKind::Cleared { .. } | EventKind::Dismissed { .. } | EventKind::PrintEnded { .. }
        );
        if let Some(incident) = &mut track.incident {
            incident.events.push(event.clone());
            self.evidence.keep_facts(&incident.incident, incident);
        }
        if over {
            track.incident = None;
        }
        if let EventKind::PrintEnded { .. } = event.kind {
            track.journal = None;
            track.trace.clear();
        }
    }

    fn trace(&mut self, now: Now, printer: &Name, document: &Value) {
        let Some(track) = self.tracks.get_mut(printer) else { return };
        let number = |key: &str| document.get(key).and_then(Value::as_f64);
        let (score, evidence) = (number("score"), number("evidence"));
        let last = track.trace.back().map(|moment| (moment.1, moment.2));
        if last == Some((score, evidence)) {
            return;
        }
        let moment = Moment(now.unix_ms as f64 / 1_000.0, score, evidence);
        track.trace.push_back(moment);
        if track.trace.len() > BEFORE {
            track.trace.pop_front();
        }
        if let Some(incident) = track.incident.as_mut().filter(|known| known.trace.len() < MOST) {
            incident.trace.push(moment);
        }
    }
}

/// Whether `input` is about this printer, or about all.
fn concerns(input: &Input, name: &Name) -> bool {
    match input {
        Input::Printer { printer, .. }
        | Input::Score { printer, .. }
        | Input::Source { printer, .. } => printer == name,
        Input::Request { printer, .. } | Input::Unverified { printer, .. } => {
            printer == name.as_str()
        }
        Input::Model { .. }
        | Input::SelfTest { .. }
        | Input::CommandPlane { .. }
        | Input::Grants { .. }
        | Input::Enrolment { .. }
        | Input::ActionAnswered { .. }
        | Input::SnapshotTaken { .. }
        | Input::Tick => true,
    }
}

fn settings(setup: &PrinterSetup) -> Value {
    serde_json::json!({ "watch": setup.watch, "act": setup.act })
}
