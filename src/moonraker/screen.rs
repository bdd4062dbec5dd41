//! Messages as G-code. Klipper's `RESPOND` puts a line into the console; lines of `action:prompt_…` make the dialogs of
//! Mainsail (<https://docs.mainsail.xyz/overview/features/macro-prompts>), Fluidd and KlipperScreen.

use super::fault::MoonrakerFault;
use crate::core::screen::{Button, MacroCall, ScreenMessage, Tone};

/// A line has no more characters than this: what others wrote may be long.
const LONGEST: usize = 400;

/// The lines of G-code that show a message.
pub(super) fn script(message: &ScreenMessage) -> Result<String, MoonrakerFault> {
    Ok(match message {
        ScreenMessage::Line { text, urgent } => {
            let kind = if *urgent { "error" } else { "echo" };
            respond(kind, &format!("Strandwatch: {text}"))
        }
        ScreenMessage::ClosePrompt => respond("command", "action:prompt_end"),
        ScreenMessage::Prompt(prompt) => {
            // The one before goes first: screens add to a dialog that stands there.
            let mut lines = vec![
                respond("command", "action:prompt_end"),
                respond("command", &format!("action:prompt_begin {}", prompt.title)),
            ];
            for text in &prompt.text {
                lines.push(respond("command", &format!("action:prompt_text {text}")));
            }
            for one in &prompt.buttons {
                lines.push(respond("command", &button(one)?));
            }
            lines.push(respond("command", "action:prompt_show"));
            lines.join("\n")
        }
    })
}

fn button(Button { label, call, tone }: &Button) -> Result<String, MoonrakerFault> {
    let tone = match tone {
        Tone::Primary => "primary",
        Tone::Secondary => "secondary",
        Tone::Warning => "warning",
        Tone::Error => "error",
    };
    let gcode =
        gcode(call).map_err(|what| MoonrakerFault::BadButton { label: label.clone(), what })?;
    Ok(format!("action:prompt_footer_button {}|{gcode}|{tone}", label.replace('|', "/")))
}

/// A macro call as a line of G-code, or what of it could be something else.
fn gcode(call: &MacroCall) -> Result<String, String> {
    let name = |text: &str| {
        let capitals = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !text.is_empty() && text.chars().all(capitals)
    };
    let harmless = |c: char| c.is_alphanumeric() || "_-.+:".contains(c);
    if !name(&call.name) {
        return Err(call.name.clone());
    }
    let mut line = call.name.clone();
    for (key, value) in call.args.iter().filter(|(_, value)| !value.is_empty()) {
        if !name(key) || value.len() > 256 || !value.chars().all(harmless) {
            return Err(format!("{key}={value}"));
        }
        line += &format!(" {key}={value}");
    }
    Ok(line)
}

fn respond(kind: &str, text: &str) -> String {
    format!("RESPOND TYPE={kind} MSG=\"{}\"", plain(text))
}

/// What can stand between quotes in every Klipper: older ones take `;`, `#` and `*` for the end of a line even there.
fn plain(text: &str) -> String {
    let shown = text.chars().take(LONGEST).map(|c| match c {
        '"' => '\'',
        '\\' => '/',
        ';' => ',',
        '#' | '*' => ' ',
        c if c.is_control() || "\u{2028}\u{2029}".contains(c) => ' ',
        c => c,
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::screen::Prompt;

    fn prompt(call: MacroCall) -> ScreenMessage {
        let label = "It's fine".to_owned();
        let buttons = vec![Button { label, call, tone: Tone::Primary }];
        let text = vec!["How sure: 87 %".to_owned()];
        ScreenMessage::Prompt(Prompt { title: "Failing?".to_owned(), text, buttons })
    }

    #[test]
    fn a_dialog_is_begun_filled_and_shown() {
        let call = MacroCall::command("dismiss", &[("INCIDENT", "b-voron-i1"), ("OBJECT", "")]);
        assert_eq!(
            script(&prompt(call)).unwrap().lines().collect::<Vec<_>>(),
            [
                "RESPOND TYPE=command MSG=\"action:prompt_end\"",
                "RESPOND TYPE=command MSG=\"action:prompt_begin Failing?\"",
                "RESPOND TYPE=command MSG=\"action:prompt_text How sure: 87 %\"",
                "RESPOND TYPE=command MSG=\"action:prompt_footer_button It's fine|_STRANDWATCH COMMAND=dismiss \
                 INCIDENT=b-voron-i1|primary\"",
                "RESPOND TYPE=command MSG=\"action:prompt_show\"",
            ]
        );
    }

    #[test]
    fn whatever_others_wrote_stays_one_quoted_text() {
        let text = "a\"b\\c;d#e*f\nM112\r\u{2028}\u{0}".to_owned();
        let line = script(&ScreenMessage::Line { text, urgent: true }).unwrap();
        assert_eq!(line, "RESPOND TYPE=error MSG=\"Strandwatch: a'b/c,d e f M112   \"");
        let text = "x".repeat(5_000);
        assert!(script(&ScreenMessage::Line { text, urgent: false }).unwrap().len() < 500);
    }

    #[test]
    fn a_button_runs_one_macro_and_nothing_else() {
        let with = |name: &str, value: &str| {
            let args = vec![("OBJECT".to_owned(), value.to_owned())];
            script(&prompt(MacroCall { name: name.to_owned(), args }))
        };
        assert!(with("_STRANDWATCH", "ФИГУРА.1").is_ok());
        for value in ["A B", "A\nM112", "A;G28", "A\"", "A|error", "A#"] {
            assert!(with("_STRANDWATCH", value).is_err(), "{value:?}");
        }
        for name in ["", "G28 X", "M112\n", "pause"] {
            assert!(with(name, "A").is_err(), "{name:?}");
        }
    }
}
