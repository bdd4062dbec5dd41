//! What can go wrong with a broker, told so that people can act on it.

use std::path::PathBuf;

/// Why there is no connection to a broker, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No TCP connection.
    #[error(
        "could not connect to the MQTT broker {broker}: {why}; see that it runs, and that host and port under [mqtt] are right"
    )]
    Unreachable {
        /// `host:port`.
        broker: String,
        /// What the system said.
        why: String,
    },
    /// A connection, but no greeting.
    #[error(
        "the MQTT broker {broker} took the connection and did not answer in time; see that it speaks MQTT 5, and whether that port expects TLS"
    )]
    Unanswered {
        /// `host:port`.
        broker: String,
    },
    /// A connection that it closed instead of greeting.
    #[error(
        "the MQTT broker {broker} closed the connection instead of greeting; see that it speaks MQTT 5, and whether that port expects TLS"
    )]
    TurnedAway {
        /// `host:port`.
        broker: String,
    },
    /// Wrong user or password.
    #[error(
        "the MQTT broker {broker} refused the login {as_whom}; check the user name under [mqtt] and its password, and that the broker knows them"
    )]
    Login {
        /// `host:port`.
        broker: String,
        /// As which user.
        as_whom: String,
    },
    /// It greeted with another refusal.
    #[error("the MQTT broker {broker} refused the connection: {why}")]
    Refused {
        /// `host:port`.
        broker: String,
        /// Its reason code.
        why: String,
    },
    /// The file with the certificate authority is of no use.
    #[error(
        "the certificate authority for the MQTT broker {broker} cannot be read from {from}: {why}; set ca_file under [mqtt] to the PEM file of the authority that signed the broker's certificate"
    )]
    Authority {
        /// `host:port`.
        broker: String,
        /// The file, or the system's store.
        from: AuthoritySource,
        /// What is wrong with it.
        why: String,
    },
    /// TLS failed.
    #[error(
        "no TLS with the MQTT broker {broker}: {why}; see that this is its TLS port, that its certificate names this host, and that ca_file under [mqtt] is the authority that signed it"
    )]
    Tls {
        /// `host:port`.
        broker: String,
        /// What rustls said.
        why: String,
    },
    /// It was up and went away.
    #[error("the connection to the MQTT broker {broker} was lost: {why}")]
    Lost {
        /// `host:port`.
        broker: String,
        /// What ended it.
        why: String,
    },
    /// It is there and does not answer.
    #[error("the MQTT broker {broker} stopped answering: {what}")]
    Stuck {
        /// `host:port`.
        broker: String,
        /// Which answer is missing.
        what: String,
    },
    /// Another session took our name.
    #[error(
        "the MQTT broker {broker} ended the session, as another client connected under the id {client_id:?}; two daemons must not share one [mqtt] client_id"
    )]
    TakenOver {
        /// `host:port`.
        broker: String,
        /// The id.
        client_id: String,
    },
    /// What it sends is not MQTT 5.
    #[error("the MQTT broker {broker} sent what is not MQTT 5: {why}")]
    Nonsense {
        /// `host:port`.
        broker: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Where certificate authorities were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthoritySource {
    /// A PEM file.
    File(PathBuf),
    /// The authorities that the system trusts.
    System,
}

impl std::fmt::Display for AuthoritySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::System => f.write_str("the system's store"),
        }
    }
}

/// Why a broker would not take one message or subscription, while the connection stays up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its ACL forbids it.
    #[error("not authorised")]
    NotAuthorised,
    /// Larger than it allows; never sent, as it would end the connection.
    #[error("{bytes} bytes, more than the {limit} that the broker allows")]
    TooLarge {
        /// Of the message.
        bytes: usize,
        /// The broker's `Maximum Packet Size`.
        limit: usize,
    },
    /// It will never be taken as it stands.
    #[error("{0}")]
    Invalid(String),
    /// It may be taken later.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    /// Whether trying again can help, once somebody mends the broker's settings.
    pub fn may_pass_later(&self) -> bool {
        match self {
            Self::NotAuthorised | Self::Failed(_) => true,
            Self::TooLarge { .. } | Self::Invalid(_) => false,
        }
    }
}
