//! Tells stories to a core, and notes what it says.

use serde_json::json;

use super::scenario::{START, frame, model, name, principal, report};
use super::stories::{CAMERAS, CLIENTS, PRINTERS, Step};
use crate::core::Core;
use crate::core::command::COMMANDS;
use crate::core::contract::{Input, Output, Setup};
use crate::core::types::{LinkStatus, Now, Objects, PrintObject, PrinterStatus};

/// What was said when one input was taken.
pub struct Turn {
    pub now: Now,
    pub input: Input,
    pub outputs: Vec<Output>,
    pub next_deadline_ms: Option<u64>,
}

/// Tells a story to a core. `mute` turns one printer's inputs into ticks; `clamp` keeps the monotonic clock from going back.
pub struct Teller {
    core: Core,
    now: Now,
    latest_ms: u64,
    passed_ms: u64,
    actions: [Vec<u64>; 2],
    tickets: [Vec<u64>; 2],
    jobs: [Option<String>; 2],
    pub mute: Option<usize>,
    pub clamp: bool,
    /// Gives each printer's requests ids of their own.
    pub own_ids: bool,
    pub turns: Vec<Turn>,
}

impl Teller {
    pub fn new(setup: Setup) -> Self {
        Self {
            core: Core::new(setup),
            now: START,
            latest_ms: 0,
            passed_ms: 100_000,
            actions: Default::default(),
            tickets: Default::default(),
            jobs: Default::default(),
            mute: None,
            clamp: false,
            own_ids: false,
            turns: Vec::new(),
        }
    }

    pub fn tell(mut self, story: &[Step]) -> Vec<Turn> {
        for step in story {
            self.step(step);
        }
        // Whatever is owed comes due.
        self.wait(3_600_000);
        self.turns
    }

    fn feed(&mut self, about: Option<usize>, input: Input) {
        let input = if about.is_some() && about == self.mute { Input::Tick } else { input };
        self.latest_ms = self.latest_ms.max(self.now.mono_ms);
        let mono_ms = if self.clamp { self.latest_ms } else { self.now.mono_ms };
        let now = Now { mono_ms, ..self.now };
        self.core.handle(now, input.clone());
        let outputs: Vec<Output> = std::iter::from_fn(|| self.core.poll_output()).collect();
        for output in &outputs {
            self.note(output);
        }
        let now = Now { mono_ms: self.latest_ms, ..now };
        let next_deadline_ms = self.core.next_deadline_ms();
        self.turns.push(Turn { now, input, outputs, next_deadline_ms });
    }

    fn note(&mut self, output: &Output) {
        let index = |printer: &str| PRINTERS.iter().position(|p| *p == printer).unwrap();
        match output {
            Output::Action(action) => {
                self.actions[index(action.printer.as_str())].push(action.id);
            }
            Output::Snapshot { printer, ticket } => {
                self.tickets[index(printer.as_str())].push(*ticket);
            }
            Output::State { printer, document } => {
                self.jobs[index(printer.as_str())] = document.job.clone();
            }
            _ => {}
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms = self.now.unix_ms.saturating_add(ms as i64);
        self.passed_ms += ms;
    }

    fn wait(&mut self, ms: u64) {
        let end_ms = self.now.mono_ms + ms;
        while let Some(due) = self.core.next_deadline_ms().filter(|&due| due <= end_ms) {
            assert!(due > self.now.mono_ms, "a deadline in the past: {due}");
            self.pass(due - self.now.mono_ms);
            self.feed(None, Input::Tick);
        }
        self.pass(end_ms - self.now.mono_ms);
    }

    fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Clocks { mono_ms, unix_ms } => {
                self.now.mono_ms = self.now.mono_ms.saturating_add_signed(mono_ms);
                self.now.unix_ms = self.now.unix_ms.saturating_add(unix_ms);
                self.feed(None, Input::Tick);
            }
            Step::Wait { ms } => {
                // Deadlines are on the clock that never goes back.
                self.now.mono_ms = self.now.mono_ms.max(self.latest_ms);
                self.wait(ms);
                // All hear how late it is, whosever deadlines were met: a clock that goes back then goes back for all.
                self.feed(None, Input::Tick);
            }
            Step::Down { printer } => {
                let link = LinkStatus::Down { why: "gone".to_owned() };
                self.feed(Some(printer), Input::Printer { printer: name(PRINTERS[printer]), link });
            }
            Step::Up { printer, klippy, print, file, total_s } => {
                let status = PrinterStatus {
                    klippy,
                    print,
                    filename: Some(format!("{file}.gcode")),
                    total_duration_s: self.passed_ms as f64 / 1e3 + total_s,
                    filament_used_mm: 1.0,
                    objects: Some(Objects {
                        known: vec![PrintObject { name: "cube".into(), ..PrintObject::default() }],
                        ..Objects::default()
                    }),
                    ..PrinterStatus::default()
                };
                let link = LinkStatus::Up(Box::new(status));
                self.feed(Some(printer), Input::Printer { printer: name(PRINTERS[printer]), link });
            }
            Step::Show { printer, camera, p, frames } => {
                for _ in 0..frames {
                    self.pass(1_000);
                    self.show(printer, camera, frame(p, 1, 1), self.now.mono_ms);
                }
            }
            Step::Odd { printer, camera, p, taken_ms } => {
                self.show(printer, camera, frame(p, 1, 1), taken_ms);
            }
            Step::Rubbish { printer, camera, kind } => {
                let mut score = frame(0.0, 1, 1);
                match kind {
                    0 => score.map.cells[0] = f32::NAN,
                    1 => score.score = f32::INFINITY,
                    2 => score.map.cells.clear(),
                    3 => score.map.content = [0.0; 4],
                    _ => score.boxes[0].p = f32::NEG_INFINITY,
                }
                self.show(printer, camera, score, self.now.mono_ms);
            }
            Step::Source { printer, camera, health } => {
                let (of, camera) = (name(PRINTERS[printer]), name(CAMERAS[camera]));
                let report = report(health);
                self.feed(Some(printer), Input::Source { printer: of, camera, report });
            }
            Step::Model { loaded } => {
                let model = if loaded { Ok(model()) } else { Err("no model".to_owned()) };
                self.feed(None, Input::Model { model });
            }
            Step::SelfTest { passed } => {
                let detail = String::new();
                self.feed(None, Input::SelfTest { passed, score: Some(0.5), detail });
            }
            Step::Plane { open } => {
                let closed = (!open).then(|| "audit failed".to_owned());
                self.feed(None, Input::CommandPlane { closed });
            }
            Step::Ask { client, printer, command, id, age_s, job, retained } => {
                let row = &COMMANDS[command];
                let mut body = match row.name {
                    "snooze" => json!({ "minutes": id % 3 }),
                    "exclude_object" => json!({ "object": "cube" }),
                    "set" if id % 2 == 0 => {
                        json!({ "name": "false_alarms_per_100h", "value": 1 + id })
                    }
                    "set" => {
                        let choice = ["pause", "cancel", "nothing"][usize::from(id % 3)];
                        json!({ "name": "action", "value": choice })
                    }
                    _ => json!({}),
                };
                let of = if self.own_ids { PRINTERS[printer] } else { "r" };
                body["id"] = json!(format!("{of}{id}"));
                body["issued_at"] = json!(self.now.unix_ms as f64 / 1e3 - age_s as f64);
                body["job"] = match (job, &self.jobs[printer]) {
                    (0, _) => json!("1-other.gcode"),
                    (1, Some(job)) => json!(job),
                    _ => json!(null),
                };
                self.ask(client, printer, row.name, retained, body.to_string().into_bytes());
            }
            Step::Babble { client, printer, command, payload } => {
                self.ask(client, printer, COMMANDS[command].name, false, payload);
            }
            Step::Answer { printer, back, ok } => {
                let id = self.actions[printer].iter().rev().nth(back).copied();
                let outcome = if ok { Ok(()) } else { Err("refused".to_owned()) };
                if let Some(id) = id {
                    self.feed(Some(printer), Input::ActionAnswered { id, outcome });
                } else {
                    self.feed(None, Input::Tick);
                }
            }
            Step::Picture { printer, back, ok } => {
                let ticket = self.tickets[printer].iter().rev().nth(back).copied();
                let outcome = if ok { Ok(()) } else { Err("no frame".to_owned()) };
                if let Some(ticket) = ticket {
                    self.feed(Some(printer), Input::SnapshotTaken { ticket, outcome });
                } else {
                    self.feed(None, Input::Tick);
                }
            }
        }
    }

    fn show(
        &mut self,
        printer: usize,
        camera: usize,
        score: crate::core::types::FrameScore,
        taken_ms: u64,
    ) {
        let (of, camera) = (name(PRINTERS[printer]), name(CAMERAS[camera]));
        self.feed(Some(printer), Input::Score { printer: of, camera, taken_ms, score });
    }

    fn ask(
        &mut self,
        client: usize,
        printer: usize,
        command: &str,
        retained: bool,
        payload: Vec<u8>,
    ) {
        let request = Input::Request {
            principal: principal(CLIENTS[client]),
            printer: PRINTERS[printer].to_owned(),
            command: command.to_owned(),
            retained,
            payload,
        };
        self.feed(Some(printer), request);
    }
}
