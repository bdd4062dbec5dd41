//! A print that the daemon itself paused does not stay hot for ever, where its owner set how long.

use super::{Moment, Printer};
use crate::core::action::Origin;
use crate::core::event::EventKind;
use crate::core::types::{KlippyState, Now, PrintState, PrinterAction};

/// When the heaters of a paused print go off, and for which incident.
#[derive(Debug)]
pub(super) struct Cooling {
    pub(super) at: Moment,
    incident: String,
}

impl Printer {
    /// The printer reports our pause for this incident.
    pub(super) fn plan_cooling(&mut self, now: Now, incident: &str) {
        let after = self.setup.act.heaters_off_after_ms;
        self.cooling =
            after.map(|ms| Cooling { at: Moment::after(now, ms), incident: incident.to_owned() });
    }

    /// Turns the heaters off when it is time, as long as the print stands there paused.
    pub(super) fn cool(&mut self, now: Now, next_id: &mut u64) {
        let paused = self.status().is_some_and(|status| {
            status.klippy == KlippyState::Ready && status.print == PrintState::Paused
        });
        let Some(cooling) = self.cooling.take_if(|due| paused && now.mono_ms >= due.at.mono_ms)
        else {
            return;
        };
        let (action, incident) = (PrinterAction::TurnOffHeaters, Some(cooling.incident.clone()));
        let name = action.name().to_owned();
        let origin = Origin::Policy { incident: cooling.incident };
        if let Err(reason) = self.begin_action(now, action, origin, next_id) {
            self.event(now, EventKind::ActFailed { incident, action: name, attempts: 0, reason });
        }
    }
}
