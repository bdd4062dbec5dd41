//! Records each print as a journal of its own, and each incident's facts: what the scores and the evidence were before and
//! after, by which settings and which model.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::evidence::{Evidence, PrintJournal};
use super::journal::Standing;
use crate::core::contract::{Input, Output, PrinterSetup, Setup};
use crate::core::document::StateDocument;
use crate::core::event::{Event, EventKind};
use crate::core::types::{Name, Now};

/// How much of the past an incident keeps, and how much it may grow to.
const BEFORE: usize = 600;
const MOST: usize = 3_000;

/// One moment of an incident: Unix seconds, the score, the evidence as a fraction of what acting needs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Moment(f64, Option<f64>, f64);

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
    /// One that has cleared: people may still answer.
    cleared: Option<Incident>,
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
        if let EventKind::Dismissed { incident, .. } | EventKind::Confirmed { incident, .. } =
            &event.kind
            && let Some(answered) = track.cleared.take_if(|known| known.incident == *incident)
        {
            track.incident = Some(answered);
        }
        if let EventKind::Alert { incident, .. } = &event.kind {
            track.cleared = None;
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
        if over && let Some(known) = track.incident.take() {
            track.cleared = Some(known);
        }
        if let EventKind::PrintEnded { .. } = event.kind {
            track.cleared = None;
            track.journal = None;
            track.trace.clear();
        }
    }

    fn trace(&mut self, now: Now, printer: &Name, document: &StateDocument) {
        let Some(track) = self.tracks.get_mut(printer) else { return };
        let StateDocument { score, evidence, .. } = *document;
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
        | Input::Audited { .. }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::replay::replay_journal;
    use crate::core::Core;
    use crate::core::tests::scenario::Scenario;

    /// What a recorder in `folder` makes of a scenario.
    fn record(scenario: &Scenario, folder: &std::path::Path) {
        let evidence = Evidence::new(folder.to_owned(), 1 << 30);
        let mut recorder = Recorder::new(evidence, scenario.setup.clone());
        let mut core = Core::new(scenario.setup.clone());
        for (now, input) in &scenario.inputs {
            recorder.input(*now, input);
            core.handle(*now, input.clone());
            while let Some(output) = core.poll_output() {
                recorder.output(*now, &output);
            }
        }
        recorder.flush();
    }

    fn journals(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        paths
    }

    fn kinds(outputs: &[(Now, Output)]) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for (_, output) in outputs {
            if let Output::Event { event } = output {
                kinds.push(event.kind.name());
            }
        }
        kinds
    }

    #[test]
    fn each_print_has_a_journal_that_decides_as_it_was_decided() {
        let folder = tempfile::tempdir().unwrap();
        let mut scenario = Scenario::printing();
        scenario.score(0.02).for_secs(30).score(0.95).for_secs(60);
        scenario.print_state(crate::core::types::PrintState::Cancelled).wait(30);
        scenario.start_print("second.gcode").score(0.02).for_secs(30);
        record(&scenario, folder.path());
        let journals = journals(folder.path());
        assert_eq!(journals.len(), 2, "{journals:?}");
        let first = kinds(&replay_journal(&journals[0]).unwrap().outputs);
        assert!(journals[0].to_str().unwrap().ends_with(".incident.jsonl"), "{journals:?}");
        assert_eq!(first.first(), Some(&"print_started"), "{first:?}");
        assert!(first.contains(&"alert") && first.contains(&"print_ended"), "{first:?}");
        let second = kinds(&replay_journal(&journals[1]).unwrap().outputs);
        assert!(second.contains(&"print_started") && !second.contains(&"alert"), "{second:?}");
    }

    #[test]
    fn an_incident_keeps_what_led_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut scenario = Scenario::printing();
        scenario.score(0.02).for_secs(30).score(0.95).for_secs(60);
        scenario.ask("owner", "dismiss", serde_json::json!({}));
        record(&scenario, folder.path());
        let text = std::fs::read(folder.path().join("boot-voron-i1/incident.json")).unwrap();
        let facts: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(facts["model"], serde_json::json!({ "name": "test-model", "sha256": "00" }));
        assert_eq!(facts["settings"]["watch"]["detect"]["rule"], "evidence");
        assert!(facts["journal"].as_str().unwrap().ends_with(".incident.jsonl"));
        let events = facts["events"].as_array().unwrap();
        assert_eq!(events.first().unwrap()["event_type"], "alert");
        assert_eq!(events.last().unwrap()["event_type"], "dismissed");
        let trace = facts["trace"].as_array().unwrap();
        let scores: Vec<f64> = trace.iter().filter_map(|moment| moment[1].as_f64()).collect();
        assert!(scores.first() < Some(&0.1) && scores.last() > Some(&0.9), "{scores:?}");
    }

    #[test]
    fn an_answer_to_an_incident_that_had_cleared_is_kept_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut scenario = Scenario::in_veto();
        scenario.score(0.0).for_secs(120);
        scenario.ask("owner", "dismiss", serde_json::json!({}));
        record(&scenario, folder.path());
        let text = std::fs::read(folder.path().join("boot-voron-i1/incident.json")).unwrap();
        let facts: Value = serde_json::from_slice(&text).unwrap();
        let events = facts["events"].as_array().unwrap().iter();
        let names: Vec<_> = events.map(|event| event["event_type"].as_str().unwrap()).collect();
        assert_eq!(names, ["alert", "cleared", "dismissed"]);
    }
}
