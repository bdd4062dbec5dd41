//! Who may do what. A [`Principal`] exists only as a type made from a verified credential; nothing here can hold a
//! network address. A missing grant means refuse.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::Name;

/// How it was proven who speaks. Each variant names the check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedCredential {
    /// The broker authenticated the client and its ACL lets only that client publish below `client/<name>/request/`,
    /// which the audit has shown.
    BrokerEnforcedTopic(Name),
    /// The request bears a signature by this client's key, over a body that names this client.
    SignedRequest(Name),
    /// The owner's configuration declares that every login of the broker may speak as any client.
    DeclaredByOwner(Name),
    /// Moonraker, over the connection on which we logged in to it, delivered a call that Klippy made of the method we
    /// registered. Only a macro that runs on that printer makes such calls; whoever can run one (at its display, in its
    /// web interface, in the file it prints) commands that printer already.
    PrinterMacro,
}

/// The name under which a printer's own console speaks; no client of the bus may have it.
pub const CONSOLE: &str = "console";

/// The daemon's user name at its own broker.
pub const DAEMON: &str = "strandwatch";

/// The user name that the audit logs in as at our own broker: the rules of a client, and no rights.
pub const CANARY: &str = "strandwatch-canary";

/// A client has a name that belongs to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is a name that strandwatch has for itself: give the client another")]
pub struct ReservedName(pub Name);

/// Somebody whose credential was verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Principal(Name);

impl Principal {
    /// The only way to a principal.
    pub fn new(credential: VerifiedCredential) -> Result<Self, ReservedName> {
        match credential {
            VerifiedCredential::BrokerEnforcedTopic(name)
            | VerifiedCredential::SignedRequest(name)
            | VerifiedCredential::DeclaredByOwner(name) => {
                if is_reserved(&name) {
                    Err(ReservedName(name))
                } else {
                    Ok(Self(name))
                }
            }
            VerifiedCredential::PrinterMacro => Ok(Self(Name::console())),
        }
    }

    /// Whether it is the console of the printer that it speaks to.
    pub fn is_console(&self) -> bool {
        self.0.as_str() == CONSOLE
    }

    /// The client's name.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

/// Whether a name is the daemon's or the console's, and so no client's.
pub fn is_reserved(name: &Name) -> bool {
    [CONSOLE, DAEMON, CANARY].contains(&name.as_str())
}

/// What shows who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The broker keeps clients apart, which is tested with real connections; until that is shown, no command is taken.
    #[default]
    Isolation,
    /// Each request bears its client's signature. Needs nothing of the broker.
    Signatures,
    /// Every login of the broker may speak as any client: for a broker whose every user may do everything to the
    /// printer. Never without logins.
    AnyLogin,
}

impl Trust {
    /// Its word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Isolation => "isolation",
            Self::Signatures => "signatures",
            Self::AnyLogin => "any-login",
        }
    }
}

/// One thing a client may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Read states, ask for a snapshot.
    View,
    /// Confirm, dismiss and snooze.
    Vote,
    /// Pause a print.
    Pause,
    /// Resume a paused print.
    Resume,
    /// Cancel a print, or one object of it.
    Cancel,
    /// Arm, disarm and change settings.
    Configure,
}

impl Right {
    /// Every right, in the order of power.
    pub const ALL: [Self; 6] =
        [Self::View, Self::Vote, Self::Pause, Self::Resume, Self::Cancel, Self::Configure];

    /// The right's name, as config and refusals have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Vote => "vote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Configure => "configure",
        }
    }

    /// The rights that a word of the config stands for: a right, or a preset (`observer`, `household`, `owner`).
    pub fn from_word(word: &str) -> Option<Vec<Self>> {
        match word {
            "observer" => Some(vec![Self::View]),
            "household" => Some(vec![Self::View, Self::Vote, Self::Pause]),
            "owner" => Some(Self::ALL.to_vec()),
            _ => Self::ALL.into_iter().find(|right| right.name() == word).map(|right| vec![right]),
        }
    }
}

/// What one client may do, and on which printers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// Where; `None` is every printer of this daemon.
    pub printers: Option<BTreeSet<Name>>,
}

impl Grant {
    /// Whether it has `right` on `printer`: for what is shown to people. Of a request only [`Grants::allow`] judges.
    pub fn covers(&self, right: Right, printer: &Name) -> bool {
        self.rights.contains(&right)
            && self.printers.as_ref().is_none_or(|printers| printers.contains(printer))
    }
}

/// Every client's grant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(pub BTreeMap<Name, Grant>);

/// Why a request is refused on account of who asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No grant at all.
    #[error("client {0} is not known here: the owner adds it with `strandwatch client add`")]
    UnknownClient(Name),
    /// A grant, but not this right.
    #[error("client {client} lacks the right {right}", right = .right.name())]
    MissingRight {
        /// Who asked.
        client: Name,
        /// What it lacks.
        right: Right,
    },
    /// A grant, but not on this printer.
    #[error("client {client} has no rights on printer {printer}")]
    OtherPrinter {
        /// Who asked.
        client: Name,
        /// Where.
        printer: Name,
    },
}

impl Grants {
    /// Whether `principal` holds `right` on `printer`. A printer's console speaks for its owner, and reaches no other.
    pub fn allow(&self, principal: &Principal, right: Right, printer: &Name) -> Result<(), Denied> {
        if principal.is_console() {
            return Ok(());
        }
        let client = principal.name().clone();
        let Some(grant) = self.0.get(&client) else {
            return Err(Denied::UnknownClient(client));
        };
        if grant.printers.as_ref().is_some_and(|printers| !printers.contains(printer)) {
            return Err(Denied::OtherPrinter { client, printer: printer.clone() });
        }
        if !grant.rights.contains(&right) {
            return Err(Denied::MissingRight { client, right });
        }
        Ok(())
    }
}
