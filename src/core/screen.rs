//! The printer's own screens (Mainsail, Fluidd, KlipperScreen): what is said in the console and asked in dialogs.

use serde::{Deserialize, Serialize};

use super::command::ActionChoice;
use super::contract::{Output, Reply, ReplyBody, ReplyStatus};
use super::document::{StateDocument, Verdict};
use super::event::{EnrolmentStep, EventKind};
use super::types::Name;
use super::watch::WatchWord;

/// Something shown on a printer's own screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "show", rename_all = "snake_case")]
pub enum ScreenMessage {
    /// A line in the console.
    Line {
        /// One line, without a prefix.
        text: String,
        /// Whether it should stand out.
        urgent: bool,
    },
    /// A dialog, in place of the one that stands there.
    Prompt(Prompt),
    /// The dialog goes.
    ClosePrompt,
}

/// A dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its headline.
    pub title: String,
    /// Its lines.
    pub text: Vec<String>,
    /// Its buttons, in order.
    pub buttons: Vec<Button>,
}

/// A button of a dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What stands on it.
    pub label: String,
    /// What it runs on the printer.
    pub call: MacroCall,
    /// Its colour.
    pub tone: Tone,
}

/// A macro of the printer and its arguments; an empty argument is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacroCall {
    /// The macro, in capitals, digits and `_`.
    pub name: String,
    /// Names and values; a value may have letters, digits and `_-.+:` only.
    pub args: Vec<(String, String)>,
}

/// What colour a button has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// What most people will want.
    Primary,
    /// Something else.
    Secondary,
    /// Something to think about.
    Warning,
    /// Something that cannot be undone.
    Error,
}

impl MacroCall {
    /// The call of `klipper/strandwatch.cfg` that asks for one of our commands.
    pub fn command(command: &str, args: &[(&str, &str)]) -> Self {
        let all = [("COMMAND", command)].into_iter().chain(args.iter().copied());
        let args = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { name: "_STRANDWATCH".to_owned(), args }
    }
}

/// Sends an answer to where its asker hears it: the console's own asker reads the console.
pub(super) fn addressed(output: Output) -> Output {
    if let Output::Reply(reply) = &output
        && reply.client.as_str() == super::authz::CONSOLE
        && let Ok(printer) = Name::parse(&reply.printer)
    {
        return Output::Screen { printer, message: answer(reply) };
    }
    output
}

fn answer(Reply { command, body, .. }: &Reply) -> ScreenMessage {
    let ReplyBody { status, reason, data, .. } = body;
    let reason = reason.as_deref().unwrap_or_default();
    let text = match (status, data) {
        (ReplyStatus::Refused, _) => format!("{command} refused: {reason}"),
        (ReplyStatus::Failed, _) => format!("{command} failed: {reason}"),
        (ReplyStatus::Ok, Some(serde_json::Value::String(text))) => text.clone(),
        (ReplyStatus::Ok, Some(votes)) if votes.get("decided").is_some_and(|d| d == false) => {
            format!("{command}: vote {} of {} noted", votes["votes"], votes["votes_needed"])
        }
        (ReplyStatus::Ok, _) => format!("{command}: done"),
    };
    ScreenMessage::Line { text, urgent: *status != ReplyStatus::Ok }
}

/// The state for people, in one line.
pub(super) fn status(state: &StateDocument) -> String {
    let watch = match state.watch {
        WatchWord::Off => "nothing to watch",
        WatchWord::Watching => "watching",
        WatchWord::Degraded => "sees badly",
        WatchWord::Blind => "sees nothing",
    };
    let mut text = match &state.why {
        Some(why) => format!("{watch} ({why})"),
        None => watch.to_owned(),
    };
    if state.watch != WatchWord::Off {
        text += match state.verdict {
            Verdict::Clear => "; the print looks well",
            Verdict::Suspect => "; something looks odd",
            Verdict::Failing => "; the print looks failed",
            Verdict::Unknown => "; how the print is, is not known",
        };
    }
    if let Some(score) = state.score {
        text += &format!(", score {score:.2}, evidence {}", percent(state.evidence));
    }
    text += match (state.armed, state.action) {
        (false, _) => "; disarmed: tells only",
        (true, ActionChoice::Pause) => "; armed: pauses a failure",
        (true, ActionChoice::Cancel) => "; armed: cancels a failure",
        (true, ActionChoice::ExcludeObject) => "; armed: skips the failed object, else pauses",
        (true, ActionChoice::Nothing) => "; set to tell only",
    };
    if state.snoozed_until.is_some() {
        text += "; snoozed";
    }
    text
}

/// What the console hears of an event, and whether urgently; `None` for what is no news there.
pub(super) fn line_of(event: &EventKind) -> Option<(String, bool)> {
    let line = match event {
        EventKind::Watching => ("watching this print".to_owned(), false),
        EventKind::Degraded { why, .. } => (format!("sees badly: {why}"), false),
        EventKind::Blind { why, for_s: Some(for_s), .. } => {
            (format!("has seen nothing of this print for {}: {why}", span(*for_s)), true)
        }
        EventKind::Blind { why, for_s: None, .. } => {
            (format!("sees nothing of this print: {why}"), true)
        }
        EventKind::Alert { camera, score, .. } => {
            let score = percent(f64::from(*score));
            (format!("this print looks failed (camera {camera}, score {score})"), true)
        }
        EventKind::Acting { action, attempt: 1, .. } => {
            (format!("acting by itself: {}", words(action)), true)
        }
        EventKind::Acting { action, attempt, .. } => {
            (format!("acting by itself: {}, attempt {attempt}", words(action)), true)
        }
        EventKind::Paused { by, idle_timeout_s, .. } if by != "printer" => {
            let cooling = idle_timeout_s.map(cooling).unwrap_or_default();
            (format!("print paused by {by}{cooling}"), true)
        }
        EventKind::Cancelled { by, .. } if by != "printer" => {
            (format!("print cancelled by {by}"), true)
        }
        EventKind::ActFailed { action, attempts, reason, .. } => (
            format!("could not {} ({attempts} attempts): {reason}; look after it", words(action)),
            true,
        ),
        EventKind::Dismissed { by, .. } => (format!("it is fine, says {}", by.join(", ")), false),
        EventKind::Confirmed { by, .. } => {
            (format!("it is a failure, says {}", by.join(", ")), false)
        }
        EventKind::Cleared { why, .. } => (format!("the alarm is over: {why}"), false),
        EventKind::BrokerAudit { problems } if problems.is_empty() => {
            ("the message broker is well again".to_owned(), false)
        }
        EventKind::BrokerAudit { problems } => {
            (format!("the message broker: {}", problems.join("; ")), true)
        }
        EventKind::SelfTest { passed: false, detail, .. } => {
            (format!("the self-test failed: {detail}"), true)
        }
        EventKind::Enrolment { step, client, why, .. } => {
            let who = client.as_deref().unwrap_or("nobody");
            match step {
                EnrolmentStep::Invited | EnrolmentStep::Presented => return None,
                EnrolmentStep::Admitted => (format!("{who} is a client now"), false),
                EnrolmentStep::Burned => (
                    format!("an invitation is gone: {}", why.as_deref().unwrap_or("it ended")),
                    true,
                ),
            }
        }
        EventKind::Suspect { .. }
        | EventKind::Paused { .. }
        | EventKind::Cancelled { .. }
        | EventKind::PrintStarted { .. }
        | EventKind::PrintEnded { .. }
        | EventKind::CommandRefused { .. }
        | EventKind::SelfTest { .. } => return None,
    };
    Some(line)
}

/// What a pause leads to when nobody comes, as the end of a sentence.
pub(super) fn cooling(idle_timeout_s: f64) -> String {
    format!(
        "; in {} idle_timeout turns the heaters off and the position is lost",
        span(idle_timeout_s)
    )
}

/// An action's name as words.
pub(super) fn words(action: &str) -> String {
    action.replace('_', " ")
}

/// A fraction in per cent.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.0} %", fraction * 100.0)
}

/// Seconds as people say them: whole seconds, minutes or hours, rounded down.
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{} min", (s / 60.0).floor()),
        s => format!("{} h", (s / 3_600.0).floor()),
    }
}
