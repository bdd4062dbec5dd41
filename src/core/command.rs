//! The closed set of commands: one row each, from which parser, authorisation, topic, schema and documentation follow.

mod args;
mod button;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use self::args::shorten;
use self::args::{Args, wrong};
pub use self::button::Button;
use super::authz::Right;
use super::types::{Name, PrinterAction};

/// The largest request body that is looked at, bytes.
pub const MAX_REQUEST_BYTES: usize = 4096;

/// How far `issued_at` may lie from now, seconds, either way.
pub const FRESHNESS_S: f64 = 30.0;

/// One command's row.
#[derive(Debug)]
pub struct CommandRow {
    /// Its name: the last level of the request topic.
    pub name: &'static str,
    /// Its arguments beside `id`, `issued_at` and `job`.
    pub args: &'static [ArgRow],
    /// The right it needs.
    pub right: Right,
    /// Whether it moves the printer, so that `issued_at` is required.
    pub moves: bool,
    /// What it does, for people.
    pub doc: &'static str,
    /// Its button in Home Assistant, if it has one. What changes settings has switches and such there instead, as those
    /// show the state too.
    pub button: Option<Button>,
    build: fn(&Args<'_>) -> Result<Command, BadRequest>,
}

/// One argument of a command.
#[derive(Debug)]
pub struct ArgRow {
    /// The JSON key.
    pub name: &'static str,
    /// Its JSON type and range, for people.
    pub takes: &'static str,
    /// Whether it must be given.
    pub required: bool,
}

/// A command with its arguments, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Answer with the state document.
    Status,
    /// Publish a fresh annotated picture.
    Snapshot,
    /// Vote that the open incident is a failure.
    Confirm,
    /// Vote that the open incident is none.
    Dismiss,
    /// No alert and no action for a while.
    Snooze {
        /// How long, 1..=1440; 0 ends a snooze.
        minutes: u32,
    },
    /// Something the printer does.
    Printer {
        /// What.
        action: PrinterAction,
    },
    /// Let the daemon act by itself.
    Arm,
    /// Keep the daemon from acting by itself; it still alerts.
    Disarm,
    /// Change one setting until further notice.
    Set {
        /// Which, and to what.
        setting: Setting,
    },
}

/// What `set` can change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "value", rename_all = "snake_case")]
pub enum Setting {
    /// What to do when evidence is complete.
    Action(ActionChoice),
    /// Whether the daemon acts by itself: as `arm` and `disarm`.
    Armed(bool),
    /// Tolerated wrong actions per 100 print-hours, 0.01..=1000.
    #[serde(rename = "false_alarms_per_100h")]
    FalseAlarmsPer100h(f64),
}

/// What to do by itself when evidence is complete.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum ActionChoice {
    /// Pause the print, by the user's own PAUSE macro.
    #[default]
    Pause,
    /// Cancel the print.
    Cancel,
    /// Exclude the object whose footprint alone holds the evidence, so that the others go on; pause where that cannot be
    /// told. Needs objects named by the slicer and a calibrated camera.
    ExcludeObject,
    /// Only tell people.
    Nothing,
}

/// A request, parsed: who sent it is known elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The idempotency key.
    pub id: String,
    /// Unix seconds.
    pub issued_at: Option<f64>,
    /// The job it is meant for.
    pub job: Option<String>,
    /// The incident it is meant for: a button that was shown for one must not reach the next.
    pub incident: Option<String>,
    /// For whom it was written, where it says so.
    pub written_for: WrittenFor,
    /// What is asked.
    pub command: Command,
}

/// What a body says of the topic it was written for. In a signed request all of it is there: a signature then holds for
/// this client, this printer and this command only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WrittenFor {
    /// The client that sends it.
    pub client: Option<String>,
    /// The printer it is for.
    pub printer: Option<String>,
    /// The command it is.
    pub command: Option<String>,
}

impl Request {
    /// Refuses a request that was written for another topic.
    pub fn check_topic(
        &self,
        client: &Name,
        printer: &Name,
        row: &CommandRow,
    ) -> Result<(), BadRequest> {
        let WrittenFor { client: said_client, printer: said_printer, command } = &self.written_for;
        for (what, said, is) in [
            ("client", said_client, client.as_str()),
            ("printer", said_printer, printer.as_str()),
            ("command", command, row.name),
        ] {
            if let Some(said) = said.as_ref().filter(|said| *said != is) {
                let reason =
                    format!("its {what} is {:?}, and its topic says {is:?}", shorten(said));
                return Err(BadRequest { id: Some(self.id.clone()), reason });
            }
        }
        Ok(())
    }
}

/// Why a request could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadRequest {
    /// The request's id, where that much could be read.
    pub id: Option<String>,
    /// What was found, and what to write instead.
    pub reason: String,
}

/// Every command there is.
pub const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: "status",
        args: &[],
        right: Right::View,
        moves: false,
        doc: "Answers with the state document.",
        button: None,
        build: |_| Ok(Command::Status),
    },
    CommandRow {
        name: "snapshot",
        args: &[],
        right: Right::View,
        moves: false,
        doc: "Publishes a fresh annotated picture on `image/preview`.",
        button: Some(Button {
            enabled: false,
            ..Button::new("Refresh preview", "mdi:camera-iris")
        }),
        build: |_| Ok(Command::Snapshot),
    },
    CommandRow {
        name: "confirm",
        args: &[],
        right: Right::Vote,
        moves: true,
        doc: "Votes that the open incident is a failure: the daemon acts without waiting longer. One that was alerted of and has cleared by itself is open again.",
        button: Some(Button::new("Confirm failure", "mdi:alert-circle-check")),
        build: |_| Ok(Command::Confirm),
    },
    CommandRow {
        name: "dismiss",
        args: &[],
        right: Right::Vote,
        moves: false,
        doc: "Votes that the open incident, or the alerted one that has cleared by itself, is none: what showed there counts for nothing in this print, and for less in later ones if it ends well.",
        button: Some(Button::new("Dismiss failure", "mdi:check-circle")),
        build: |_| Ok(Command::Dismiss),
    },
    CommandRow {
        name: "snooze",
        args: &[ArgRow {
            name: "minutes",
            takes: "a number from 0 to 1440; 0 ends it",
            required: true,
        }],
        right: Right::Vote,
        moves: false,
        doc: "No alert and no action for so long.",
        button: Some(Button {
            args: &[("minutes", 30)],
            ..Button::new("Snooze for 30 minutes", "mdi:alarm-snooze")
        }),
        build: |args| {
            Ok(Command::Snooze { minutes: args.number("minutes", 0.0, 1440.0)?.ceil() as u32 })
        },
    },
    CommandRow {
        name: "pause",
        args: &[],
        right: Right::Pause,
        moves: true,
        doc: "Pauses the print; answered when the printer reports it paused.",
        button: Some(Button::new("Pause print", "mdi:pause")),
        build: |_| Ok(Command::Printer { action: PrinterAction::Pause }),
    },
    CommandRow {
        name: "resume",
        args: &[],
        right: Right::Resume,
        moves: true,
        doc: "Resumes the paused print; answered when the printer reports it printing.",
        button: Some(Button { enabled: false, ..Button::new("Resume print", "mdi:play") }),
        build: |_| Ok(Command::Printer { action: PrinterAction::Resume }),
    },
    CommandRow {
        name: "cancel",
        args: &[],
        right: Right::Cancel,
        moves: true,
        doc: "Cancels the print; answered when the printer reports it cancelled.",
        button: Some(Button { enabled: false, ..Button::new("Cancel print", "mdi:stop") }),
        build: |_| Ok(Command::Printer { action: PrinterAction::Cancel }),
    },
    CommandRow {
        name: "exclude_object",
        args: &[ArgRow {
            name: "object",
            takes: "the object's name as the printer lists it",
            required: true,
        }],
        right: Right::Cancel,
        moves: true,
        doc: "Skips one object of the print; answered when the printer reports it excluded.",
        button: None,
        build: |args| {
            Ok(Command::Printer {
                action: PrinterAction::ExcludeObject { object: args.text("object")? },
            })
        },
    },
    CommandRow {
        name: "arm",
        args: &[],
        right: Right::Configure,
        moves: false,
        doc: "Lets the daemon act by itself.",
        button: None,
        build: |_| Ok(Command::Arm),
    },
    CommandRow {
        name: "disarm",
        args: &[],
        right: Right::Configure,
        moves: false,
        doc: "Keeps the daemon from acting by itself; it still alerts.",
        button: None,
        build: |_| Ok(Command::Disarm),
    },
    CommandRow {
        name: "set",
        args: &[
            ArgRow {
                name: "name",
                takes: "`action`, `armed` or `false_alarms_per_100h`",
                required: true,
            },
            ArgRow {
                name: "value",
                takes: "`pause`, `cancel`, `exclude_object` or `nothing`; true or false; a number from 0.01 to 1000",
                required: true,
            },
        ],
        right: Right::Configure,
        moves: false,
        doc: "Changes one setting until further notice.",
        button: None,
        build: |args| {
            let name = args.text("name")?;
            let setting = match name.as_str() {
                "false_alarms_per_100h" => {
                    Setting::FalseAlarmsPer100h(args.number("value", 0.01, 1000.0)?)
                }
                "action" => Setting::Action(match args.0.get("value").and_then(Value::as_str) {
                    Some("pause") => ActionChoice::Pause,
                    Some("cancel") => ActionChoice::Cancel,
                    Some("exclude_object") => ActionChoice::ExcludeObject,
                    Some("nothing") => ActionChoice::Nothing,
                    _ => {
                        let found = args.0.get("value");
                        return Err(wrong(
                            "value",
                            "pause, cancel, exclude_object or nothing",
                            found,
                        ));
                    }
                }),
                "armed" => Setting::Armed(args.truth("value")?),
                _ => {
                    return Err(wrong(
                        "name",
                        "action, armed or false_alarms_per_100h",
                        args.0.get("name"),
                    ));
                }
            };
            Ok(Command::Set { setting })
        },
    },
];

/// The id of a request body, where that much can be read, at most 64 characters.
pub fn id_of(payload: &[u8]) -> Option<String> {
    let body = payload.get(..payload.len().min(MAX_REQUEST_BYTES))?;
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("id")?.as_str().map(|id| id.chars().take(64).collect())
}

/// The row of a command's name.
pub fn row(name: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.name == name)
}

/// Parses a request body for the command of `row`.
///
/// The body is one JSON object: `id` (text, 1 to 64 printable characters), `issued_at` (Unix seconds), `job` (text),
/// `incident` (text), `client`, `printer`, `command` (as the topic has them) and the command's own arguments. Anything
/// else is refused.
pub fn parse(row: &CommandRow, payload: &[u8]) -> Result<Request, BadRequest> {
    let bad = |reason: String| BadRequest { id: None, reason };
    if payload.len() > MAX_REQUEST_BYTES {
        return Err(bad(format!(
            "the request has {} bytes, more than the {MAX_REQUEST_BYTES} allowed",
            payload.len()
        )));
    }
    let object: Map<String, Value> = serde_json::from_slice(payload).map_err(|error| {
        bad(format!(
            "the request is not a JSON object such as {{\"id\":\"1\",\"issued_at\":1700000000}}: {error}"
        ))
    })?;
    let args = Args(&object);
    let id = args.text("id").and_then(|id| {
        if id.chars().count() <= 64 && !id.chars().any(char::is_control) {
            Ok(id)
        } else {
            Err(wrong("id", "a text of 1 to 64 printable characters", object.get("id")))
        }
    })?;
    parse_rest(row, &object, &args, id.clone())
        .map_err(|error| BadRequest { id: Some(id), reason: error.reason })
}

fn parse_rest(
    row: &CommandRow,
    object: &Map<String, Value>,
    args: &Args<'_>,
    id: String,
) -> Result<Request, BadRequest> {
    let known = |key: &str| {
        matches!(key, "id" | "issued_at" | "job" | "incident" | "client" | "printer" | "command")
            || row.args.iter().any(|arg| arg.name == key)
    };
    if let Some(key) = object.keys().find(|key| !known(key)) {
        let reason = format!("{} takes no field {:?}", row.name, shorten(key));
        return Err(BadRequest { id: None, reason });
    }
    let issued_at = match object.get("issued_at") {
        None => None,
        Some(_) => Some(args.number("issued_at", 0.0, 1e11)?),
    };
    if row.moves && issued_at.is_none() {
        return Err(wrong("issued_at", "Unix seconds, as this command moves the printer", None));
    }
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => args.text(key).map(Some),
    };
    let (job, incident) = (text("job")?, text("incident")?);
    let written_for = WrittenFor {
        client: text("client")?,
        printer: text("printer")?,
        command: text("command")?,
    };
    Ok(Request { id, issued_at, job, incident, written_for, command: (row.build)(args)? })
}
