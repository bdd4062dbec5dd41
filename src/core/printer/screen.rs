//! What this printer's own screens show: lines for events that matter, a dialog while an alert is open.

use std::collections::VecDeque;

use super::Printer;
use crate::core::command::ActionChoice;
use crate::core::contract::Output;
use crate::core::event::EventKind;
use crate::core::incident::{Incident, Stage};
use crate::core::screen::{
    Button, MacroCall, Prompt, ScreenMessage, Tone, cooling, line_of, percent, span,
};
use crate::core::types::{KlippyState, Now, PrintState, PrinterStatus};

/// More lines than this within a minute are left out.
const LINES_A_MINUTE: usize = 12;

/// What has been shown.
#[derive(Debug)]
pub(super) struct Screen {
    /// When the last lines were said, monotonic ms.
    said_ms: VecDeque<u64>,
    /// Lines left out since.
    left_out: u32,
    /// What the dialog that stands there is about; one of an earlier run is about nothing that is known.
    prompt: Option<Occasion>,
}

/// What a dialog is about: it is shown anew only when this changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Occasion {
    incident: String,
    stage: &'static str,
    paused: bool,
    armed: bool,
    object: Option<String>,
}

impl Screen {
    pub(super) fn new(prompt_open: bool) -> Self {
        let prompt = prompt_open.then(Occasion::default);
        Self { said_ms: VecDeque::new(), left_out: 0, prompt }
    }
}

impl Printer {
    /// The status of a printer that can show something.
    fn screen_status(&self) -> Option<&PrinterStatus> {
        self.status().filter(|status| status.klippy == KlippyState::Ready)
    }

    fn show(&mut self, message: ScreenMessage) {
        self.outputs.push_back(Output::Screen { printer: self.name.clone(), message });
    }

    /// Says what an event means, unless too much was said just now.
    pub(super) fn say_event(&mut self, now: Now, event: &EventKind) {
        // What was never more than a suspicion was not told and needs no end.
        let untold = matches!(event, EventKind::Cleared { .. }) && self.screen.prompt.is_none();
        let Some((text, urgent)) = line_of(event).filter(|_| !untold) else { return };
        if self.screen_status().is_none() {
            return;
        }
        let screen = &mut self.screen;
        screen.said_ms.retain(|said| now.mono_ms < said.saturating_add(60_000));
        if screen.said_ms.len() >= LINES_A_MINUTE {
            screen.left_out += 1;
            return;
        }
        screen.said_ms.push_back(now.mono_ms);
        let text = match std::mem::take(&mut screen.left_out) {
            0 => text,
            left_out => format!("({left_out} lines left out) {text}"),
        };
        self.show(ScreenMessage::Line { text, urgent });
    }

    /// Shows the dialog that the open incident calls for, and takes away the one that nothing calls for any more.
    pub(super) fn keep_prompt(&mut self) {
        let Some(status) = self.screen_status() else { return };
        let wanted = self.incident.as_ref().and_then(|incident| self.occasion(incident, status));
        if wanted == self.screen.prompt {
            return;
        }
        let prompt = self.incident.as_ref().zip(wanted.as_ref());
        let message = match prompt.map(|(incident, of)| self.prompt(incident, of, status)) {
            Some(prompt) => ScreenMessage::Prompt(prompt),
            None => ScreenMessage::ClosePrompt,
        };
        self.memory.prompt_open = wanted.is_some();
        self.screen.prompt = wanted;
        self.show(message);
    }

    fn occasion(&self, incident: &Incident, status: &PrinterStatus) -> Option<Occasion> {
        let stage = match incident.stage {
            Stage::Suspect => return None,
            Stage::Alert => "alert",
            Stage::Veto { .. } => "veto",
            Stage::Acted => "acted",
        };
        Some(Occasion {
            incident: incident.id.clone(),
            stage,
            paused: status.print == PrintState::Paused,
            armed: self.armed(),
            object: self.object_to_skip(&incident.id, status),
        })
    }

    fn accuses_an_object(&self) -> bool {
        self.incident.as_ref().is_some_and(|open| open.object.is_some())
    }

    /// The object whose failure it is, else the one that was printed when the dialog came up, where others would be left without it.
    fn object_to_skip(&self, incident: &str, status: &PrinterStatus) -> Option<String> {
        let objects = status.objects.as_ref()?;
        let shown = self.screen.prompt.as_ref().filter(|shown| shown.incident == incident);
        let accused = self.incident.as_ref().and_then(|open| open.object.as_ref());
        let current = shown.map_or(objects.current.as_ref(), |shown| shown.object.as_ref());
        let object = accused.or(current)?;
        let known = objects.known.iter().map(|one| &one.name);
        let left: Vec<&String> = known.filter(|name| !objects.excluded.contains(name)).collect();
        (left.len() > 1 && left.contains(&object)).then(|| object.clone())
    }

    fn prompt(&self, incident: &Incident, of: &Occasion, status: &PrinterStatus) -> Prompt {
        let score = percent(f64::from(incident.score));
        let text = vec![
            format!("Camera {} sees what looks like loose strands.", incident.camera),
            format!(
                "How sure: score {score}, evidence {} of what acting takes.",
                percent(f64::from(self.evidence()))
            ),
            self.what_follows(of, status),
        ];
        let ask = |label: &str, command: &str, args: &[(&str, &str)], tone| {
            let args = [&[("INCIDENT", of.incident.as_str())], args].concat();
            Button { label: label.to_owned(), call: MacroCall::command(command, &args), tone }
        };
        let mut buttons = vec![ask("It's fine", "dismiss", &[], Tone::Primary)];
        buttons.push(if of.paused {
            ask("Resume", "resume", &[], Tone::Secondary)
        } else {
            ask("Pause now", "pause", &[], Tone::Warning)
        });
        if let Some(object) = &of.object {
            let skip = [("OBJECT", object.as_str())];
            buttons.push(ask("Skip this object", "exclude_object", &skip, Tone::Warning));
        }
        buttons.push(ask("Cancel print", "cancel", &[], Tone::Error));
        Prompt { title: "Strandwatch: is this print failing?".to_owned(), text, buttons }
    }

    fn what_follows(&self, of: &Occasion, status: &PrinterStatus) -> String {
        let action = match self.memory.on_failure.unwrap_or(self.setup.act.on_failure) {
            ActionChoice::Pause => Some("pause"),
            ActionChoice::Cancel => Some("cancel"),
            ActionChoice::ExcludeObject if self.accuses_an_object() => Some("skip one object of"),
            ActionChoice::ExcludeObject => Some("pause"),
            ActionChoice::Nothing => None,
        };
        match (action, of.stage) {
            (_, _) if of.paused => {
                let ours = self.setup.act.heaters_off_after_ms.filter(|_| self.cooling.is_some());
                let cooling = match ours.map(|ms| ms as f64 / 1_000.0) {
                    Some(s) if status.idle_timeout_s.is_none_or(|theirs| s < theirs) => {
                        format!("; in {} the heaters go off", span(s))
                    }
                    Some(_) | None => status.idle_timeout_s.map(cooling).unwrap_or_default(),
                };
                format!("The print is paused{cooling}.")
            }
            (Some(action), "veto") => format!(
                "It will {action} the print in {} unless somebody says that it is fine.",
                span(self.setup.act.veto_ms as f64 / 1_000.0)
            ),
            (Some(action), "acted") => format!("It has asked the printer to {action} the print."),
            (Some(action), _) if of.armed => {
                format!("Not sure enough yet to {action} the print by itself.")
            }
            (_, _) => "It will not act by itself: it is disarmed or set to tell only.".to_owned(),
        }
    }
}
