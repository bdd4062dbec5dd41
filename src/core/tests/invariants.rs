//! What holds in every story, however odd.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::scenario::ATTEMPTS;
use super::stories::{PRINTERS, story, world};
use super::teller::{Teller, Turn};
use crate::core::command::{COMMANDS, Command, parse, row};
use crate::core::contract::{Input, Output, ReplyStatus, Setup};
use crate::core::document::Verdict;
use crate::core::event::EventKind;
use crate::core::types::{
    KlippyState, LinkStatus, PrintState, PrinterAction, SourceFault, SourceHealth,
};

/// What a bystander knows of one printer.
#[derive(Default)]
struct Bystander {
    armed: bool,
    snoozed_until_ms: u64,
    seq: u64,
    /// Running, as the printer reports it.
    running: bool,
    /// When each camera's last usable frame was taken.
    seen: BTreeMap<String, u64>,
    /// Cameras that say they show nothing.
    blind: BTreeSet<String>,
    /// Own actions by incident.
    tries: BTreeMap<String, u32>,
    /// Incidents that are done with or called off.
    over: BTreeSet<String>,
    verdict: Option<Verdict>,
}

/// No score of this age is fresh: two of the longest intervals and the grace.
const STALE_MS: u64 = 20_000;

struct Watchers<'a> {
    setup: &'a Setup,
    printers: BTreeMap<String, Bystander>,
    model: bool,
    open: bool,
    ids: BTreeSet<String>,
    asked: usize,
    answered: usize,
}

impl<'a> Watchers<'a> {
    fn new(setup: &'a Setup) -> Self {
        let begin = |_: &&str| Bystander { armed: true, ..Bystander::default() };
        let printers = PRINTERS.iter().map(|p| ((*p).to_owned(), begin(p))).collect();
        let (ids, asked, answered) = (BTreeSet::new(), 0, 0);
        Self { setup, printers, model: false, open: false, ids, asked, answered }
    }

    fn printer(&mut self, name: &str) -> &mut Bystander {
        self.printers.get_mut(name).unwrap()
    }

    fn check(&mut self, turn: &Turn) {
        self.hear(turn);
        // An answer comes last in its turn; what it says holds for the whole of it.
        for output in &turn.outputs {
            if let Output::Reply(reply) = output
                && reply.body.status == ReplyStatus::Ok
            {
                self.obey(turn, &reply.printer);
            }
        }
        for output in &turn.outputs {
            self.look_at(turn, output);
        }
        for (name, printer) in &self.printers {
            if printer.verdict == Some(Verdict::Clear) {
                assert!(self.model && printer.running, "{name}: clear of what?");
                for camera in &self.setup.printers.values().next().unwrap().cameras {
                    let seen = printer.seen.get(camera.as_str());
                    let fresh = seen.is_some_and(|&at| turn.now.mono_ms - at < STALE_MS);
                    assert!(fresh, "{name}: clear by a stale score");
                    assert!(!printer.blind.contains(camera.as_str()), "{name}: clear while blind");
                }
            }
        }
        if let Some(due) = turn.next_deadline_ms {
            assert!(due > turn.now.mono_ms, "a deadline that does not move on");
        }
        assert!(turn.outputs.len() < 200, "an avalanche");
    }

    fn hear(&mut self, turn: &Turn) {
        match &turn.input {
            Input::Printer { printer, link } => {
                self.printer(printer.as_str()).running = matches!(link, LinkStatus::Up(status)
                    if status.klippy == KlippyState::Ready && status.print == PrintState::Printing);
            }
            Input::Source { printer, camera, report } => {
                let blind = matches!(
                    report.health,
                    SourceHealth::Blind { .. }
                        | SourceHealth::Impaired {
                            fault: SourceFault::Dark | SourceFault::Frozen,
                            ..
                        }
                );
                let cameras = &mut self.printer(printer.as_str()).blind;
                if blind {
                    cameras.insert(camera.to_string());
                } else {
                    cameras.remove(camera.as_str());
                }
            }
            Input::Model { model } => self.model = model.is_ok(),
            Input::CommandPlane { closed } => self.open = closed.is_none(),
            Input::Request { .. } | Input::Unverified { .. } => self.asked += 1,
            Input::Score { printer, camera, taken_ms, score } => {
                let cells = &score.map.cells;
                if cells.len() == 16 && cells.iter().all(|cell| cell.is_finite()) {
                    let at = (*taken_ms).min(turn.now.mono_ms);
                    let printer = self.printer(printer.as_str());
                    let seen = printer.seen.entry(camera.to_string()).or_default();
                    *seen = at.max(*seen);
                }
            }
            Input::SelfTest { .. }
            | Input::Audited { .. }
            | Input::Grants { .. }
            | Input::Enrolment { .. }
            | Input::ActionAnswered { .. }
            | Input::SnapshotTaken { .. }
            | Input::Tick => {}
        }
    }

    fn look_at(&mut self, turn: &Turn, output: &Output) {
        match output {
            Output::Event { event } => self.look_at_event(event),
            Output::State { printer, document } => {
                self.printer(printer.as_str()).verdict = Some(document.verdict);
            }
            Output::Action(action) if action.by_policy => {
                let printer = &self.printers[action.printer.as_str()];
                let name = action.printer.as_str();
                assert!(printer.armed, "{name}: acts while disarmed");
                assert!(turn.now.mono_ms >= printer.snoozed_until_ms, "{name}: acts while snoozed");
                assert!(printer.running, "{name}: acts on a print that is not running");
            }
            Output::Action(action) => {
                self.check_granted(turn, action.printer.as_str(), &action.action);
            }
            Output::Reply(_) => {
                self.answered += 1;
                assert!(self.answered <= self.asked, "an answer nobody asked for");
            }
            _ => {}
        }
    }

    fn look_at_event(&mut self, event: &crate::core::event::Event) {
        assert!(self.ids.insert(event.id.clone()), "the id {} again", event.id);
        let printer = self.printers.get_mut(&event.printer).unwrap();
        assert_eq!(event.seq, printer.seq + 1);
        printer.seq = event.seq;
        match &event.kind {
            EventKind::Acting { incident, attempt, .. } => {
                assert!(!printer.over.contains(incident), "acts for {incident} again");
                let tries = printer.tries.entry(incident.clone()).or_default();
                *tries += 1;
                assert_eq!(*tries, *attempt);
                assert!(*tries <= ATTEMPTS, "tries for ever");
            }
            EventKind::Paused { incident: Some(incident), .. }
            | EventKind::Cancelled { incident: Some(incident), .. }
            | EventKind::Dismissed { incident, .. }
            | EventKind::Cleared { incident, .. } => {
                printer.over.insert(incident.clone());
            }
            // Whoever confirms what had cleared by itself opens it again.
            EventKind::Confirmed { incident, .. } => {
                printer.over.remove(incident);
            }
            _ => {}
        }
    }

    /// A client's action goes out only in the turn of a request that may ask for it.
    fn check_granted(&self, turn: &Turn, on: &str, action: &PrinterAction) {
        let Input::Request { principal, printer, command, retained, payload } = &turn.input else {
            panic!("{action:?} without a request");
        };
        let row = row(command).unwrap();
        let grant = &self.setup.grants.0[principal.name()];
        assert!(self.open && !retained && printer == on);
        assert!(grant.rights.contains(&row.right));
        assert!(grant.printers.as_ref().is_none_or(|of| of.iter().any(|p| p.as_str() == on)));
        let request = parse(row, payload).unwrap();
        assert_eq!(request.command, Command::Printer { action: action.clone() });
        let age_s = turn.now.unix_ms as f64 / 1e3 - request.issued_at.unwrap();
        assert!(age_s.abs() <= 30.0);
    }

    /// Takes note of what a request changed.
    fn obey(&mut self, turn: &Turn, on: &str) {
        let Input::Request { command, payload, .. } = &turn.input else { return };
        let Ok(request) = parse(row(command).unwrap(), payload) else { return };
        let now_ms = turn.now.mono_ms;
        let printer = self.printer(on);
        match request.command {
            Command::Arm => printer.armed = true,
            Command::Disarm => printer.armed = false,
            Command::Snooze { minutes } => {
                printer.snoozed_until_ms = now_ms + u64::from(minutes) * 60_000;
            }
            _ => return,
        }
        // Whoever disarms or snoozes calls off what is under way.
        if !matches!(request.command, Command::Arm | Command::Snooze { minutes: 0 }) {
            let tried: Vec<String> = printer.tries.keys().cloned().collect();
            printer.over.extend(tried);
        }
    }
}

/// What concerns one printer, without the numbers that all share.
fn of_printer(turns: &[Turn], printer: &str) -> Vec<(u64, Output)> {
    let mut found = Vec::new();
    for turn in turns {
        for output in &turn.outputs {
            let mut output = output.clone();
            let of = match &mut output {
                Output::Event { event } => event.printer.clone(),
                Output::State { printer, .. }
                | Output::Incident { printer, .. }
                | Output::Availability { printer, .. }
                | Output::Remember { printer, .. }
                | Output::Learned { printer, .. }
                | Output::Sampling { printer, .. }
                | Output::Screen { printer, .. }
                | Output::FailureImage { printer, .. } => printer.to_string(),
                Output::Action(action) => {
                    action.id = 0;
                    action.printer.to_string()
                }
                Output::Snapshot { printer, ticket } => {
                    *ticket = 0;
                    printer.to_string()
                }
                Output::Reply(reply) => reply.printer.clone(),
                Output::Answered { .. } | Output::Decided(_) => continue,
            };
            if of == printer {
                found.push((turn.now.mono_ms, output));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_story_keeps_every_promise(
        story in story(), cameras in 1..3usize, votes in 1..3u32, veto_s in prop_oneof![Just(0u64), 1..90u64],
    ) {
        let setup = world(cameras, votes, veto_s);
        let turns = Teller::new(setup.clone()).tell(&story);
        let mut watchers = Watchers::new(&setup);
        for turn in &turns {
            watchers.check(turn);
        }
        prop_assert_eq!(watchers.asked, watchers.answered, "every request gets exactly one answer");
    }

    #[test]
    fn no_printer_hears_of_the_other(story in story(), mute in 0..2usize) {
        let setup = world(1, 1, 20);
        let mut both = Teller::new(setup.clone());
        both.own_ids = true;
        let mut alone = Teller::new(setup);
        alone.own_ids = true;
        alone.mute = Some(mute);
        let other = PRINTERS[1 - mute];
        prop_assert_eq!(of_printer(&both.tell(&story), other), of_printer(&alone.tell(&story), other));
    }

    #[test]
    fn a_clock_that_goes_back_is_one_that_stands_still(story in story()) {
        let outputs = |clamp: bool| {
            let mut teller = Teller::new(world(2, 1, 20));
            teller.clamp = clamp;
            teller.tell(&story).into_iter().flat_map(|turn| turn.outputs).collect::<Vec<_>>()
        };
        prop_assert_eq!(outputs(false), outputs(true));
    }
}

/// The promises above would be empty if no story got anywhere.
#[test]
fn the_stories_get_somewhere() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..200 {
        let story = story().new_tree(&mut runner).unwrap().current();
        for output in Teller::new(world(1, 1, 20)).tell(&story).into_iter().flat_map(|t| t.outputs)
        {
            let what = match output {
                Output::Event { event } => event.kind.name().to_owned(),
                Output::Action(action) => format!("{} {}", action.by_policy, action.action.name()),
                Output::Reply(reply) if reply.body.status == ReplyStatus::Ok => reply.command,
                Output::State { document, .. } => format!("{:?}", document.verdict),
                _ => continue,
            };
            *seen.entry(what).or_default() += 1;
        }
    }
    let commands = COMMANDS.iter().map(|row| row.name);
    let rest = [
        "watching",
        "degraded",
        "blind",
        "suspect",
        "alert",
        "acting",
        "paused",
        "act_failed",
        "dismissed",
        "confirmed",
        "cleared",
        "true pause",
        "true cancel",
        "false cancel",
        "Clear",
        "Failing",
        "Unknown",
    ];
    for what in commands.filter(|&name| name != "exclude_object").chain(rest) {
        assert!(seen.contains_key(what), "no story shows {what}: {seen:?}");
    }
}
