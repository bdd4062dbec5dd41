//! After a pause for an incident: people decide together what becomes of the print, or the deadline does.

use super::{Moment, Printer};
use crate::core::incident::{Question, Unanswered};
use crate::core::types::{KlippyState, Now, PrintState, PrinterAction};

impl Printer {
    /// The printer reports our pause: what next?
    pub(super) fn ask_people(&mut self, now: Now) {
        let until = Moment::after(now, self.setup.act.answer_within_ms);
        if let Some(incident) = &mut self.incident
            && incident.question == Question::Unasked
        {
            let (until_ms, until_unix_ms) = (until.mono_ms, until.unix_ms);
            incident.question = Question::Open { until_ms, until_unix_ms };
        }
    }

    /// Does what people decided, or what is set for the case that they did not.
    pub(super) fn settle_question(&mut self, now: Now, next_id: &mut u64) {
        // Unless the printer can be seen standing there, nothing is decided.
        let held = self.status().is_some_and(|status| {
            status.klippy == KlippyState::Ready && status.print == PrintState::Paused
        });
        let hands_off = !self.armed() || self.snoozed_until.is_some();
        let decided = self.action_of_policy();
        let Some(incident) = self.incident.as_mut().filter(|_| held) else { return };
        let overdue = match incident.question {
            Question::Unasked | Question::Closed => return,
            Question::Lapsed => false,
            Question::Open { until_ms, .. } => now.mono_ms >= until_ms,
        };
        let cancels = if incident.confirmed {
            incident.question = Question::Closed;
            decided == Some(PrinterAction::Cancel)
        } else if overdue {
            incident.question = Question::Lapsed;
            self.setup.act.if_unanswered == Unanswered::Cancel
        } else {
            false
        };
        if cancels && !hands_off {
            incident.question = Question::Closed;
            self.act_for_incident(now, PrinterAction::Cancel, next_id);
        }
    }

    /// When people's time is up, monotonic ms.
    pub(super) fn question_deadline_ms(&self) -> Option<u64> {
        match self.incident.as_ref()?.question {
            Question::Open { until_ms, .. } => Some(until_ms),
            Question::Unasked | Question::Lapsed | Question::Closed => None,
        }
    }
}
