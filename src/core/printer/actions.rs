//! Actions under way: sent, verified against what the printer reports, tried again, given up loudly.

use super::Printer;
use crate::core::action::{Origin, Pending, Standing, is_possible, is_reported};
use crate::core::contract::{Action, Output, Reply, ReplyBody, ReplyStatus};
use crate::core::event::EventKind;
use crate::core::types::{Now, PrinterAction};

/// Time between attempts, ms.
const RETRY_AFTER_MS: u64 = 2_000;

impl Printer {
    /// Starts an action. Refused, with the reason, when it makes no sense now or is under way already.
    pub(super) fn begin_action(
        &mut self,
        now: Now,
        action: PrinterAction,
        origin: Origin,
        next_id: &mut u64,
    ) -> Result<(), String> {
        let Some(status) = self.status() else {
            return Err("the printer's Moonraker cannot be reached".to_owned());
        };
        is_possible(&action, status)?;
        if self.pending.iter().any(|pending| pending.action == action && !pending.called_off) {
            return Err(format!("{} is under way already", action.name()));
        }
        self.pending.push(Pending {
            id: 0,
            action,
            origin,
            attempts: 0,
            standing: Standing::Waiting { until_ms: now.mono_ms },
            last_failure: None,
            called_off: false,
        });
        self.check_pending(now, next_id);
        Ok(())
    }

    /// Takes in Moonraker's answer: accepted is not done.
    pub fn on_action_answered(&mut self, now: Now, id: u64, outcome: &Result<(), String>) {
        let Err(why) = outcome else { return };
        let Some(index) = self.pending.iter().position(|pending| pending.id == id) else { return };
        let again = self.attempts_for(&self.pending[index].origin) > self.pending[index].attempts;
        let pending = &mut self.pending[index];
        if let Standing::Sent { .. } = pending.standing {
            pending.last_failure = Some(why.clone());
            let wait_ms = if again { RETRY_AFTER_MS } else { 0 };
            pending.standing = Standing::Waiting { until_ms: now.mono_ms.saturating_add(wait_ms) };
        }
    }

    /// Finishes what the printer reports done, repeats or gives up what is overdue.
    pub(super) fn check_pending(&mut self, now: Now, next_id: &mut u64) {
        let mut still = Vec::new();
        let mut pause_instead = false;
        for mut pending in std::mem::take(&mut self.pending) {
            let reported = self.status().is_some_and(|status| is_reported(&pending.action, status));
            if pending.attempts > 0 && reported {
                self.finish(now, &pending);
            } else if now.mono_ms < pending.deadline_ms() {
                still.push(pending);
            } else {
                if let Standing::Sent { .. } = pending.standing {
                    pending.last_failure =
                        Some("the printer did not report the new state in time".to_owned());
                }
                if pending.called_off {
                    continue;
                } else if pending.attempts >= self.attempts_for(&pending.origin) {
                    self.give_up(now, &pending);
                    pause_instead |= matches!(
                        (&pending.action, &pending.origin),
                        (PrinterAction::ExcludeObject { .. }, Origin::Policy { .. })
                    );
                } else if self.status().is_some_and(|s| is_possible(&pending.action, s).is_ok()) {
                    self.send(now, &mut pending, next_id);
                    still.push(pending);
                } else {
                    // Nobody is there to be asked: the attempts are kept for when somebody is.
                    still.push(pending);
                }
            }
        }
        self.pending = still;
        if pause_instead {
            self.act_for_incident(now, PrinterAction::Pause, next_id);
        }
    }

    /// Only the daemon's own actions are repeated: a client hears at once and decides for itself.
    fn attempts_for(&self, origin: &Origin) -> u32 {
        match origin {
            Origin::Policy { .. } => self.setup.act.attempts.max(1),
            Origin::Client { .. } => 1,
        }
    }

    fn send(&mut self, now: Now, pending: &mut Pending, next_id: &mut u64) {
        pending.id = *next_id;
        *next_id += 1;
        pending.attempts += 1;
        let until_ms = now.mono_ms.saturating_add(self.setup.act.confirm_within_ms);
        pending.standing = Standing::Sent { until_ms };
        if let Origin::Policy { incident } = &pending.origin {
            let incident = incident.clone();
            let action = pending.action.name().to_owned();
            self.event(now, EventKind::Acting { incident, action, attempt: pending.attempts });
        }
        self.outputs.push_back(Output::Action(Action {
            id: pending.id,
            printer: self.name.clone(),
            action: pending.action.clone(),
            by_policy: matches!(pending.origin, Origin::Policy { .. }),
        }));
    }

    fn finish(&mut self, now: Now, pending: &Pending) {
        if let (PrinterAction::ExcludeObject { object }, Origin::Policy { .. }) =
            (&pending.action, &pending.origin)
        {
            self.give_up_object(object);
            self.close_incident(now, &format!("the object {object} was excluded"));
        }
        self.answer(pending, ReplyStatus::Ok, None);
    }

    fn give_up(&mut self, now: Now, pending: &Pending) {
        let reason = pending.last_failure.clone().unwrap_or_default();
        self.event(
            now,
            EventKind::ActFailed {
                incident: pending.origin.incident(),
                action: pending.action.name().to_owned(),
                attempts: pending.attempts,
                reason: reason.clone(),
            },
        );
        self.answer(pending, ReplyStatus::Failed, Some(reason));
    }

    fn answer(&mut self, pending: &Pending, status: ReplyStatus, reason: Option<String>) {
        let Origin::Client { client, request, command } = &pending.origin else { return };
        self.outputs.push_back(Output::Reply(Reply {
            client: client.clone(),
            printer: self.name.to_string(),
            command: command.clone(),
            body: ReplyBody { id: Some(request.clone()), status, reason, data: None },
        }));
    }

    /// The job is over: a cancel is done, everything else has lost its object and must not reach the next job.
    pub(super) fn settle_pending_of_ended_job(&mut self, now: Now) {
        for mut pending in std::mem::take(&mut self.pending) {
            if pending.action == PrinterAction::Cancel {
                self.finish(now, &pending);
            } else if !pending.called_off {
                pending.last_failure = Some("the print ended before it was done".to_owned());
                self.give_up(now, &pending);
            }
        }
    }

    /// What the daemon wanted for this incident is no longer wanted.
    pub(super) fn drop_policy_actions_of(&mut self, incident: &str) {
        self.pending.retain_mut(|pending| {
            let ours = pending.origin.incident().as_deref() == Some(incident);
            pending.called_off |= ours;
            !ours || matches!(pending.standing, Standing::Sent { .. })
        });
    }

    /// People called it off: the daemon's own action is not repeated. One that is under way may still show its effect.
    pub(super) fn drop_policy_actions(&mut self) {
        self.cooling = None;
        self.pending.retain_mut(|pending| {
            let ours = matches!(pending.origin, Origin::Policy { .. });
            pending.called_off |= ours;
            !ours || matches!(pending.standing, Standing::Sent { .. })
        });
    }
}
