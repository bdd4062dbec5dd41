//! Every topic of the contract: one type that prints them and parses them.

use std::collections::BTreeSet;
use std::fmt;

use crate::core::types::Name;

/// Why a text cannot be the base of all topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a valid base topic: use levels of letters, digits, '_', '-' and '.' joined by '/', at most 128 characters, such as \"strandwatch\""
)]
pub struct BadBase {
    /// The text as it was found.
    pub found: String,
}

/// What stands before every topic: one or more levels, such as `strandwatch` or `home/printers`.
#[derive(Clone, PartialEq, Eq)]
pub struct Base(String);

/// One level of a topic as somebody else wrote it: any text without `/`, `+`, `#` and control characters, at most 128
/// bytes. It is not a [`Name`] yet, and is only ever compared or sent back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(String);

/// A topic below the base.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `status`: the daemon itself.
    Status,
    /// `health`.
    Health,
    /// `<printer>/availability`.
    Availability(Name),
    /// `<printer>/state`.
    State(Name),
    /// `<printer>/incident`.
    Incident(Name),
    /// `<printer>/event`.
    Event(Name),
    /// `<printer>/image/failure`.
    FailureImage(Name),
    /// `<printer>/image/preview`.
    PreviewImage(Name),
    /// `client/<client>/request/<printer>/<command>`.
    Request(Exchange),
    /// `client/<client>/response/<printer>/<command>`.
    Response(Exchange),
    /// A whole topic outside the base: Home Assistant's.
    Foreign(String),
}

/// What a request and its response are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// Who asks; the broker's ACL vouches for it.
    pub client: Name,
    /// The printer as the client wrote it.
    pub printer: Level,
    /// The command as the client wrote it.
    pub command: Level,
}

type OfPrinter = fn(Name) -> Topic;

/// What everybody with the right to view may read of a printer: below its level, and as a topic.
const PUBLIC_OF_PRINTER: [(&str, OfPrinter); 6] = [
    ("availability", Topic::Availability),
    ("state", Topic::State),
    ("incident", Topic::Incident),
    ("event", Topic::Event),
    ("image/failure", Topic::FailureImage),
    ("image/preview", Topic::PreviewImage),
];

/// Why a topic is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    /// Another shape, or not below the base.
    #[error("{0:?} is not a topic of the contract")]
    Unknown(String),
    /// The client's or the printer's level cannot be a name.
    #[error("{topic:?}: {why}")]
    BadName {
        /// The topic.
        topic: String,
        /// What is wrong with the name.
        why: crate::core::types::BadName,
    },
    /// A level that we would not send back.
    #[error("{0:?}: a level is longer than 128 bytes or holds a control character")]
    BadLevel(String),
}

impl Base {
    /// Takes `text` as a base, or says why it is none.
    ///
    /// # Errors
    /// When a level is empty or holds anything but letters, digits, `_`, `-` and `.`.
    pub fn parse(text: &str) -> Result<Self, BadBase> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let level = |level: &str| !level.is_empty() && level.chars().all(plain);
        if text.len() <= 128 && text.split('/').all(level) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadBase { found: text.to_owned() })
        }
    }

    /// The base as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole topic.
    pub fn topic(&self, topic: &Topic) -> String {
        let base = &self.0;
        match topic {
            Topic::Status => format!("{base}/status"),
            Topic::Health => format!("{base}/health"),
            Topic::Availability(printer) => format!("{base}/{printer}/availability"),
            Topic::State(printer) => format!("{base}/{printer}/state"),
            Topic::Incident(printer) => format!("{base}/{printer}/incident"),
            Topic::Event(printer) => format!("{base}/{printer}/event"),
            Topic::FailureImage(printer) => format!("{base}/{printer}/image/failure"),
            Topic::PreviewImage(printer) => format!("{base}/{printer}/image/preview"),
            Topic::Request(Exchange { client, printer, command }) => {
                format!("{base}/client/{client}/request/{printer}/{command}")
            }
            Topic::Response(Exchange { client, printer, command }) => {
                format!("{base}/client/{client}/response/{printer}/{command}")
            }
            Topic::Foreign(topic) => topic.clone(),
        }
    }

    /// Reads a whole topic of the contract.
    ///
    /// # Errors
    /// When it is not below this base, has another shape, or a level that cannot be.
    pub fn parse_topic(&self, text: &str) -> Result<Topic, BadTopic> {
        let unknown = || BadTopic::Unknown(text.to_owned());
        let below = text
            .strip_prefix(self.0.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(unknown)?;
        let name = |level: &str| {
            Name::parse(level).map_err(|why| BadTopic::BadName { topic: text.to_owned(), why })
        };
        let level =
            |level: &str| Level::parse(level).ok_or_else(|| BadTopic::BadLevel(text.to_owned()));
        let levels: Vec<&str> = below.split('/').collect();
        match *levels.as_slice() {
            ["status"] => Ok(Topic::Status),
            ["health"] => Ok(Topic::Health),
            ["client", client, kind @ ("request" | "response"), printer, command] => {
                let exchange = Exchange {
                    client: name(client)?,
                    printer: level(printer)?,
                    command: level(command)?,
                };
                Ok(if kind == "request" {
                    Topic::Request(exchange)
                } else {
                    Topic::Response(exchange)
                })
            }
            [printer, ref rest @ ..] => {
                let rest = rest.join("/");
                let row = PUBLIC_OF_PRINTER.iter().find(|(suffix, _)| *suffix == rest);
                let (_, topic) = row.ok_or_else(unknown)?;
                Ok(topic(name(printer)?))
            }
            [] => Err(unknown()),
        }
    }

    /// The filters of what is told of the daemon itself.
    pub fn daemon_filters(&self) -> [String; 2] {
        [self.topic(&Topic::Status), self.topic(&Topic::Health)]
    }

    /// The filters of all that is public of these printers; `None` is every printer.
    pub fn printer_filters(&self, printers: Option<&BTreeSet<Name>>) -> Vec<String> {
        let levels: Vec<&str> = match printers {
            None => vec!["+"],
            Some(names) => names.iter().map(Name::as_str).collect(),
        };
        let of = |level: &&str| {
            PUBLIC_OF_PRINTER.map(|(suffix, _)| format!("{}/{level}/{suffix}", self.0))
        };
        levels.iter().flat_map(of).collect()
    }

    /// The filter that matches every request.
    pub fn request_filter(&self) -> String {
        format!("{}/client/+/request/+/+", self.0)
    }

    /// The filter that matches every request of one client.
    pub fn requests_of(&self, client: &Name) -> String {
        format!("{}/client/{client}/request/+/+", self.0)
    }

    /// Where the newcomer of an invitation speaks.
    pub fn enrolment_request(&self, label: &str) -> String {
        format!("{}/enrol/{label}/request", self.0)
    }

    /// Where it is answered.
    pub fn enrolment_response(&self, label: &str) -> String {
        format!("{}/enrol/{label}/response", self.0)
    }

    /// The label of the invitation whose newcomer speaks on this topic.
    pub fn enrolling<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let below = topic.strip_prefix(self.0.as_str())?.strip_prefix("/enrol/")?;
        below.strip_suffix("/request").filter(|label| !label.contains('/'))
    }

    /// Where the owner's command line asks the daemon; nobody but the daemon's own account may use it.
    pub fn owner_request(&self) -> String {
        format!("{}/owner/request", self.0)
    }

    /// Where the daemon answers it.
    pub fn owner_response(&self) -> String {
        format!("{}/owner/response", self.0)
    }

    /// The filter that matches every response to one client.
    pub fn response_filter(&self, client: &Name) -> String {
        format!("{}/client/{client}/response/+/+", self.0)
    }
}

impl Level {
    /// Takes `text` as one level, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let hostile = |c: char| c.is_control() || matches!(c, '/' | '+' | '#');
        (text.len() <= 128 && !text.contains(hostile)).then(|| Self(text.to_owned()))
    }

    /// The level as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public_is_filtered_as_it_is_printed() {
        let base = Base::parse("home/printers").unwrap();
        let voron = Name::parse("voron").unwrap();
        let printed = PUBLIC_OF_PRINTER.map(|(_, topic)| base.topic(&topic(voron.clone())));
        assert_eq!(base.printer_filters(Some(&BTreeSet::from([voron]))), printed);
        let everywhere = printed.map(|topic| topic.replace("/voron/", "/+/"));
        assert_eq!(base.printer_filters(None), everywhere);
    }
}
