//! What a client's admitted command does.

use serde_json::Value;

use super::{Moment, Printer, SnapshotTicket};
use crate::core::action::Origin;
use crate::core::authz::Principal;
use crate::core::command::{ActionChoice, Command, Setting};
use crate::core::contract::{Output, Reply, ReplyBody, ReplyStatus};
use crate::core::event::EventKind;
use crate::core::incident::{Incident, Vote};
use crate::core::screen;
use crate::core::types::Now;

/// How long a snapshot may take, ms.
const SNAPSHOT_WITHIN_MS: u64 = 20_000;
/// How many snapshots of a printer may be under way.
const SNAPSHOTS_OPEN: usize = 8;

/// An admitted command and whom to answer.
pub struct Asked<'a> {
    /// Who asks.
    pub by: &'a Principal,
    /// The request's id.
    pub request: String,
    /// The command's name.
    pub command_name: &'static str,
    /// What.
    pub command: Command,
    /// The incident that it is about, where that was said.
    pub incident: Option<String>,
}

/// The answer at once, or `None` when it comes later.
type Answer = Option<Result<Option<Value>, String>>;

impl Printer {
    /// Carries out a command.
    pub fn on_command(&mut self, now: Now, asked: Asked<'_>, next_id: &mut u64) -> Answer {
        match asked.command {
            Command::Status => {
                // The sender may be ahead of a deadline: what is stale by now must not read as it did.
                self.settle(now, next_id);
                let state = self.state_document(now);
                Some(Ok(if asked.by.is_console() {
                    Some(Value::from(screen::status(&state)))
                } else {
                    serde_json::to_value(state).ok()
                }))
            }
            Command::Snapshot => {
                if self.snapshots.len() >= SNAPSHOTS_OPEN {
                    return Some(Err(format!("{SNAPSHOTS_OPEN} snapshots are under way already")));
                }
                let ticket = *next_id;
                *next_id += 1;
                self.snapshots.push(SnapshotTicket {
                    ticket,
                    client: asked.by.name().clone(),
                    request: asked.request,
                    until_ms: now.mono_ms.saturating_add(SNAPSHOT_WITHIN_MS),
                });
                self.outputs.push_back(Output::Snapshot { printer: self.name.clone(), ticket });
                None
            }
            Command::Confirm => Some(self.vote(now, &asked, Vote::Confirm)),
            Command::Dismiss => Some(self.vote(now, &asked, Vote::Dismiss)),
            Command::Snooze { minutes } => {
                self.snoozed_until =
                    (minutes > 0).then(|| Moment::after(now, u64::from(minutes) * 60_000));
                if minutes > 0 {
                    self.drop_policy_actions();
                }
                Some(Ok(None))
            }
            Command::Arm => {
                self.arm(true);
                Some(Ok(None))
            }
            Command::Disarm => {
                self.arm(false);
                Some(Ok(None))
            }
            Command::Set { setting } => {
                match setting {
                    Setting::Action(action) => {
                        self.memory.on_failure = Some(action);
                        if action == ActionChoice::Nothing {
                            self.drop_policy_actions();
                        }
                    }
                    Setting::Armed(armed) => self.arm(armed),
                    Setting::FalseAlarmsPer100h(rate) => {
                        self.memory.false_alarms_per_100h = Some(rate);
                    }
                }
                Some(Ok(None))
            }
            Command::Printer { action } => {
                let origin = Origin::Client {
                    client: asked.by.name().clone(),
                    request: asked.request,
                    command: asked.command_name.to_owned(),
                };
                match self.begin_action(now, action, origin, next_id) {
                    Ok(()) => None,
                    Err(why) => Some(Err(why)),
                }
            }
        }
    }

    fn arm(&mut self, armed: bool) {
        self.memory.armed = Some(armed);
        if !armed {
            self.drop_policy_actions();
        }
    }

    /// The application has published a snapshot, or could not.
    pub fn on_snapshot_taken(&mut self, ticket: u64, outcome: &Result<(), String>) {
        let Some(index) = self.snapshots.iter().position(|open| open.ticket == ticket) else {
            return;
        };
        let open = self.snapshots.remove(index);
        self.answer_snapshot(open, outcome.clone().err());
    }

    /// Whoever asked hears of it, even when no picture can be had.
    pub(super) fn give_up_snapshots(&mut self, now: Now) {
        let overdue = |open: &mut SnapshotTicket| now.mono_ms >= open.until_ms;
        for open in self.snapshots.extract_if(.., overdue).collect::<Vec<_>>() {
            self.answer_snapshot(open, Some("no picture came in time".to_owned()));
        }
    }

    fn answer_snapshot(&mut self, open: SnapshotTicket, failure: Option<String>) {
        let status = if failure.is_none() { ReplyStatus::Ok } else { ReplyStatus::Failed };
        self.outputs.push_back(Output::Reply(Reply {
            client: open.client,
            printer: self.name.to_string(),
            command: "snapshot".to_owned(),
            body: ReplyBody { id: Some(open.request), status, reason: failure, data: None },
        }));
    }

    /// A vote counts for the incident that it names; without a name for the open one, or else for the one that has cleared
    /// and was not answered.
    fn vote(&mut self, now: Now, asked: &Asked<'_>, vote: Vote) -> Result<Option<Value>, String> {
        let needed = self.setup.act.votes_needed.max(1);
        let named = asked.incident.as_deref();
        let meant = |incident: &&mut Incident| named.is_none_or(|id| id == incident.id);
        let open = self.incident.as_mut().filter(meant);
        let Some(incident) = open.or(self.unanswered.as_mut().filter(meant)) else {
            return Err("no incident is open: there is nothing to vote on".to_owned());
        };
        incident.votes.insert(asked.by.name().clone(), vote);
        let voters = incident.voters(vote);
        let count = u32::try_from(voters.len()).unwrap_or(u32::MAX);
        let id = incident.id.clone();
        let decided = count >= needed;
        let data = serde_json::json!({
            "incident": id, "votes": count, "votes_needed": needed, "decided": decided,
        });
        if decided {
            match vote {
                Vote::Confirm => self.confirm(now, &id, voters),
                Vote::Dismiss => self.dismiss(now, named, &voters),
            }
        }
        Ok(Some(data))
    }

    /// People say that the print has failed: an incident that had cleared is open again.
    fn confirm(&mut self, now: Now, id: &str, by: Vec<String>) {
        if let Some(told) = self.unanswered.take_if(|told| told.id == id) {
            self.close_incident(now, "an earlier one is confirmed");
            self.incident = Some(told);
        }
        if let Some(incident) = self.incident.as_mut().filter(|open| !open.confirmed) {
            incident.confirmed = true;
            self.event(now, EventKind::Confirmed { incident: id.to_owned(), by });
        }
    }

    /// People say that all is well: what was shown counts for nothing in this print, and later ones are told.
    fn dismiss(&mut self, now: Now, named: Option<&str>, by: &[String]) {
        let meant = |incident: &mut Incident| named.is_none_or(|id| id == incident.id);
        let (told, open) = (self.unanswered.take_if(meant), self.incident.take_if(meant));
        let dismissed: Vec<Incident> = told.into_iter().chain(open.clone()).collect();
        for (name, camera) in &mut self.cameras {
            let worst = dismissed.iter().filter_map(|incident| incident.worst.get(name));
            let worst: Vec<_> = worst.map(|(_, score)| score).collect();
            let last = camera.last.as_ref().filter(|_| open.is_some());
            camera.detector.dismiss(&worst, last);
            worst.into_iter().chain(last).for_each(|score| camera.detector.pardon(score));
        }
        if open.is_some() {
            self.drop_policy_actions();
        }
        for incident in dismissed {
            let by = by.to_vec();
            self.event(now, EventKind::Dismissed { incident: incident.id, by });
        }
    }
}
