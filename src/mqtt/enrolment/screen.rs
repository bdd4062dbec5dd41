//! What the printer's own screens show of invitations.

use super::Code;
use crate::core::authz::Grant;
use crate::core::screen::{Button, MacroCall, Prompt, ScreenMessage, Tone};
use crate::core::types::Name;

fn rights(grant: &Grant) -> String {
    let rights: Vec<&str> = grant.rights.iter().map(|right| right.name()).collect();
    format!("It is for the rights {}.", rights.join(", "))
}

fn button(label: &str, command: &str, which: &str, tone: Tone) -> Button {
    let call = MacroCall::command(command, &[("OBJECT", which)]);
    Button { label: label.to_owned(), call, tone }
}

/// A line and a dialog with the code: on the printer's own screens, never anywhere by address.
pub(super) fn invitation(code: &Code, grant: &Grant, minutes: u32) -> [ScreenMessage; 2] {
    let text = format!("invitation {code}, open for {minutes} min");
    let prompt = Prompt {
        title: "Strandwatch: an invitation".to_owned(),
        text: vec![
            format!("Code: {code}"),
            rights(grant),
            format!("It is open for {minutes} min, for one newcomer."),
        ],
        buttons: vec![button("Withdraw it", TURN_AWAY, &code.label(), Tone::Warning)],
    };
    [ScreenMessage::Line { text, urgent: false }, ScreenMessage::Prompt(prompt)]
}

/// The dialog that asks whether the numbers agree.
pub(super) fn newcomer(name: &Name, number: &str, grant: &Grant) -> ScreenMessage {
    ScreenMessage::Prompt(Prompt {
        title: format!("Strandwatch: let {name} in?"),
        text: vec![
            format!("Does {name} show the number {number} as well?"),
            rights(grant),
            "If it shows another number, somebody else is trying to get in.".to_owned(),
        ],
        buttons: vec![
            button(&format!("Yes, {number}: let it in"), ADMIT, number, Tone::Primary),
            button("No", TURN_AWAY, number, Tone::Error),
        ],
    })
}

/// The macro's word for letting a newcomer in.
pub const ADMIT: &str = "admit";

/// The macro's word for refusing one.
pub const TURN_AWAY: &str = "turn_away";
