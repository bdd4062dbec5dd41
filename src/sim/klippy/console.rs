//! The console: what `RESPOND` says, and the macros of `klipper/strandwatch.cfg` as far as they matter to their peer.

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::gcode::argument;
use super::machine::Machine;

/// Lines of the console that are remembered, and happenings that a slow connection may fall behind by.
const KEPT: usize = 1000;

/// How long the macros wait to be heard, seconds.
const ANSWER_S: f64 = 5.0;

/// Something that Klippy tells its connections unasked.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// A line for those that subscribed to the console.
    Said(String),
    /// A call of a remote method, for those that registered it.
    Called(String, Map<String, Value>),
}

/// The console and what the macros remember.
#[derive(Debug)]
pub(super) struct Console {
    /// Every line, oldest first.
    pub(super) lines: Vec<String>,
    pub(super) happenings: broadcast::Sender<Happening>,
    /// Whether a daemon has said that it listens.
    pub(super) here: bool,
    /// When the last call has to be heard by, Klipper's `eventtime`.
    pub(super) heard_by: Option<f64>,
}

impl Default for Console {
    fn default() -> Self {
        let (happenings, _) = broadcast::channel(KEPT);
        Self { lines: Vec::new(), happenings, here: false, heard_by: None }
    }
}

impl Console {
    fn say(&mut self, line: String) {
        self.lines.push(line.clone());
        if self.lines.len() > KEPT {
            self.lines.remove(0);
        }
        // Nobody may be connected.
        let _ = self.happenings.send(Happening::Said(line));
    }
}

impl Machine {
    /// Runs a line of the console's own commands; `false` for any other.
    pub(super) fn console_gcode(&mut self, command: &str, arguments: &str) -> bool {
        let get = |name| argument(arguments, name);
        match command {
            "RESPOND" => {
                let prefix = match get("TYPE").unwrap_or_default().as_str() {
                    "command" => "//",
                    "error" => "!!",
                    _ => "echo:",
                };
                self.console.say(format!("{prefix} {}", get("MSG").unwrap_or_default()));
            }
            "SET_GCODE_VARIABLE" if get("MACRO").as_deref() == Some("_STRANDWATCH") => {
                let on = get("VALUE").as_deref() == Some("1");
                match get("VARIABLE").as_deref() {
                    Some("here") => self.console.here = on,
                    Some("waiting") if !on => self.console.heard_by = None,
                    Some(_) | None => {}
                }
            }
            "_STRANDWATCH" => self.call_strandwatch(arguments),
            _ => match command.strip_prefix("STRANDWATCH_") {
                Some(word) => {
                    let minutes = if word == "SNOOZE" && get("MINUTES").is_none() {
                        " MINUTES=30"
                    } else {
                        ""
                    };
                    let asked = format!("COMMAND={} {arguments}{minutes}", word.to_lowercase());
                    self.call_strandwatch(&asked);
                }
                None => return false,
            },
        }
        true
    }

    fn call_strandwatch(&mut self, arguments: &str) {
        if !self.console.here {
            self.console.say("!! Strandwatch is not connected to this printer".to_owned());
            return;
        }
        let mut params = Map::new();
        for name in ["COMMAND", "MINUTES", "OBJECT", "INCIDENT"] {
            let value = argument(arguments, name).unwrap_or_default();
            let number = value.parse::<i64>().ok().filter(|_| name == "MINUTES");
            params.insert(name.to_lowercase(), number.map_or(Value::from(value), Value::from));
        }
        self.console.heard_by = Some(self.event_time + ANSWER_S);
        let call = Happening::Called("strandwatch_command".to_owned(), params);
        let _ = self.console.happenings.send(call);
    }

    /// A call that nobody heard in time is told of.
    pub(super) fn miss_answers(&mut self) {
        if self.console.heard_by.is_some_and(|by| self.event_time >= by) {
            self.console.heard_by = None;
            self.console.here = false;
            self.console.say("!! Strandwatch did not answer: is it running?".to_owned());
        }
    }
}
