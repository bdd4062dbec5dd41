//! The decision, pure: `(state, now, Input) -> Outputs`. No async, no clock, no randomness, no I/O, no logging.
//!
//! [`Core::handle`] takes one input, then [`Core::poll_output`] is drained until empty; [`Core::next_deadline_ms`] says
//! when to call again with [`Input::Tick`]. The same inputs at the same times give the same outputs, byte for byte.

pub mod action;
pub mod audit;
pub mod authz;
mod cells;
pub mod command;
pub mod contract;
pub mod detect;
pub mod document;
pub mod event;
pub mod geometry;
pub mod incident;
mod limit;
pub mod print;
mod printer;
mod request;
pub mod screen;
mod source;
#[cfg(test)]
pub(crate) mod tests;
pub mod types;
pub mod watch;

use std::collections::{BTreeMap, VecDeque};

use self::authz::{Grants, is_reserved};
use self::command::Command;
use self::contract::{Decision, Input, Output, Reply, ReplyBody, ReplyStatus, Setup};
use self::document::unix_seconds;
use self::event::EventKind;
use self::limit::{Asking, Limits};
use self::printer::{Asked, Printer};
use self::request::{Admitted, Door, Knock, Ledger};
use self::types::{ModelFacts, Name, Now};

/// The whole decision, for every printer of this daemon.
#[derive(Debug)]
pub struct Core {
    printers: BTreeMap<Name, Printer>,
    grants: Grants,
    ledger: Ledger,
    limits: Limits,
    /// What the last audit of the broker found.
    problems: Vec<String>,
    model: Option<ModelFacts>,
    closed: Option<String>,
    next_id: u64,
    latest: Option<Now>,
    outputs: VecDeque<Output>,
}

impl Core {
    /// A core that has seen nothing yet. The command plane is closed until an input opens it.
    pub fn new(setup: Setup) -> Self {
        let printers = setup
            .printers
            .into_iter()
            .map(|(name, printer)| (name.clone(), Printer::new(name, printer, &setup.boot)))
            .collect();
        Self {
            printers,
            grants: setup.grants,
            ledger: Ledger::new(setup.answered),
            limits: Limits::default(),
            problems: Vec::new(),
            model: None,
            closed: Some("the message bus has not been checked yet".to_owned()),
            next_id: 1,
            latest: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. A monotonic clock that went backwards is taken to have stood still.
    pub fn handle(&mut self, now: Now, input: Input) {
        let mono_ms = now.mono_ms.max(self.latest.map_or(0, |latest| latest.mono_ms));
        let now = Now { mono_ms, ..now };
        self.latest = Some(now);
        let mut reply = None;
        match input {
            Input::Printer { printer, link } => {
                self.with(&printer, |printer| printer.on_link(now, link));
            }
            Input::Score { printer, camera, taken_ms, score } => {
                let taken_ms = taken_ms.min(now.mono_ms);
                if let (Some(model), Some(printer)) = (&self.model, self.printers.get_mut(&printer))
                {
                    printer.on_score(now, &camera, taken_ms, score, model);
                }
            }
            Input::Source { printer, camera, report } => {
                self.with(&printer, |printer| printer.on_source(now, &camera, report));
            }
            Input::Model { model } => {
                let model = model.and_then(usable);
                for printer in self.printers.values_mut() {
                    printer.on_model(&model);
                }
                self.model = model.ok();
            }
            Input::SelfTest { passed, score, detail } => {
                for printer in self.printers.values_mut() {
                    printer.on_self_test(now, passed, score, &detail);
                }
            }
            Input::Request { principal, printer, command, retained, payload } => {
                let knock = Knock {
                    principal: &principal,
                    printer: &printer,
                    command: &command,
                    retained,
                    payload: &payload,
                };
                reply = self.on_request(now, &knock);
            }
            Input::Unverified { claimed, printer, command, id, why } => {
                let body = ReplyBody::refused(id, format!("not verified: {why}"));
                let refused = Reply { client: claimed, printer, command, body };
                self.announce_refusal(now, None, false, &refused);
                // Whoever pretends to be one of us is not answered: the console would show it.
                reply = Some(refused).filter(|refused| !is_reserved(&refused.client));
            }
            Input::CommandPlane { closed } => self.closed = closed,
            Input::Audited { audit } => self.on_audited(now, audit.problems()),
            Input::Grants { grants } => self.grants = grants,
            Input::Enrolment { printers, event } => {
                for (name, printer) in &mut self.printers {
                    if printers.as_ref().is_none_or(|printers| printers.contains(name)) {
                        printer.event(now, event.clone());
                    }
                }
            }
            Input::ActionAnswered { id, outcome } => {
                for printer in self.printers.values_mut() {
                    printer.on_action_answered(now, id, &outcome);
                }
            }
            Input::SnapshotTaken { ticket, outcome } => {
                for printer in self.printers.values_mut() {
                    printer.on_snapshot_taken(ticket, &outcome);
                }
            }
            Input::Tick => {}
        }
        let mut settled = VecDeque::new();
        for printer in self.printers.values_mut() {
            printer.settle(now, &mut self.next_id);
            printer.drain_into(&mut settled);
        }
        // An answer comes after its record, and last: what a request changed is durable and announced before.
        for output in settled {
            if let Output::Reply(late) = &output {
                self.outputs.push_back(Output::Decided(decided(now, late, true)));
            }
            self.outputs.push_back(output);
        }
        self.outputs.extend(reply.map(Output::Reply));
    }

    /// The next thing to be done outside, in order; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front().map(screen::addressed)
    }

    /// When to call again with [`Input::Tick`] at the latest, on the monotonic clock, ms. Always after the latest input:
    /// what was due then has been dealt with, or waits for another input.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let after_ms = self.latest?.mono_ms;
        self.printers.values().filter_map(|printer| printer.next_deadline_ms(after_ms)).min()
    }

    fn with(&mut self, name: &Name, act: impl FnOnce(&mut Printer)) {
        if let Some(printer) = self.printers.get_mut(name) {
            act(printer);
        }
    }

    /// Announces what is new: whoever watches any printer should hear of it.
    fn on_audited(&mut self, now: Now, problems: Vec<String>) {
        if self.problems != problems {
            for printer in self.printers.values_mut() {
                let problems = problems.clone();
                printer.event(now, EventKind::BrokerAudit { problems });
            }
            self.problems = problems;
        }
    }

    /// Deals with a request; `None` when the answer comes later.
    fn on_request(&mut self, now: Now, knock: &Knock<'_>) -> Option<Reply> {
        let client = knock.principal.name();
        let is_known = knock.principal.is_console() || self.grants.0.contains_key(client);
        let named = self.printers.iter().find(|(name, _)| name.as_str() == knock.printer);
        let asking = Asking {
            client: is_known.then(|| client.clone()),
            printer: named.map(|(name, _)| name.clone()),
        };
        let within_limit = self.limits.admits(&asking, now.mono_ms);
        let closed = self.closed.as_deref();
        let door = Door { closed, within_limit, grants: &self.grants, ledger: &self.ledger };
        let target = named.map(|(name, printer)| printer.target(name));
        let body = match door.admit(now, knock, target) {
            Ok(admitted) => self.carry_out(now, knock, admitted)?,
            Err(refusal) => refusal,
        };
        let reply = Reply {
            client: client.clone(),
            printer: knock.printer.to_owned(),
            command: knock.command.to_owned(),
            body,
        };
        if reply.body.status == ReplyStatus::Refused {
            self.announce_refusal(now, asking.client, true, &reply);
        } else if knock.command != STATUS {
            self.outputs.push_back(Output::Decided(decided(now, &reply, true)));
        }
        Some(reply)
    }

    /// Carries out what was admitted; `None` when the answer comes later.
    fn carry_out(&mut self, now: Now, knock: &Knock<'_>, admitted: Admitted) -> Option<ReplyBody> {
        let client = knock.principal.name().clone();
        let id = admitted.request.id;
        let Some(printer) = self.printers.get_mut(&admitted.printer) else {
            return Some(ReplyBody::refused(Some(id), "there is no such printer here".to_owned()));
        };
        // Reading takes no effect, so it needs no record that survives a restart.
        if !matches!(admitted.request.command, Command::Status) {
            let ids = self.ledger.note(&client, &id);
            self.outputs.push_back(Output::Answered { client, ids });
        }
        let asked = Asked {
            by: knock.principal,
            request: id.clone(),
            command_name: admitted.row.name,
            command: admitted.request.command,
            incident: admitted.request.incident,
        };
        Some(match printer.on_command(now, asked, &mut self.next_id)? {
            Ok(data) => ReplyBody { id: Some(id), status: ReplyStatus::Ok, reason: None, data },
            Err(reason) => ReplyBody::refused(Some(id), reason),
        })
    }

    /// Announces and records a refusal, as long as this client has not been refused too often lately. `known` is the
    /// client if it has a grant.
    fn announce_refusal(&mut self, now: Now, known: Option<Name>, verified: bool, refused: &Reply) {
        let named = self.printers.iter_mut().find(|(name, _)| name.as_str() == refused.printer);
        let asking =
            Asking { client: known, printer: named.as_ref().map(|(name, _)| (*name).clone()) };
        let Some(silent) = self.limits.announces(&asking, now.mono_ms) else { return };
        let mut decision = decided(now, refused, verified);
        if silent > 0 {
            let reason = decision.reason.unwrap_or_default();
            decision.reason = Some(format!("{reason} ({silent} refusals before it were not told)"));
        }
        let kind = EventKind::CommandRefused {
            client: decision.client.clone(),
            command: decision.command.clone(),
            reason: decision.reason.clone().unwrap_or_default(),
        };
        if let Some((_, printer)) = named {
            printer.event(now, kind);
        }
        self.outputs.push_back(Output::Decided(decision));
    }
}

/// The command that is not worth a record: reading takes no effect.
const STATUS: &str = "status";

/// The record of an answer.
fn decided(now: Now, reply: &Reply, verified: bool) -> Decision {
    let short = |text: &str| text.chars().take(64).collect();
    Decision {
        at: unix_seconds(now.unix_ms),
        client: reply.client.to_string(),
        verified,
        printer: short(&reply.printer),
        command: short(&reply.command),
        request: reply.body.id.clone(),
        status: reply.body.status,
        reason: reply.body.reason.clone(),
    }
}

/// A model that can tell nothing apart must not pass for one that sees nothing.
fn usable(model: ModelFacts) -> Result<ModelFacts, String> {
    match model.calibration.fault() {
        None => Ok(model),
        Some(fault) => Err(format!("model {}: its calibration table {fault}", model.name)),
    }
}
