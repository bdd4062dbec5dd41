//! Enrolment by a one-time code: how somebody who has no credential gets one, without being trusted for where it is.
//!
//! An invitation opens an account at our own broker that can do nothing but speak on its own enrolment topic. Its code,
//! 100 random bits as 20 characters, is shown to the owner only. The newcomer presents it, both ends agree on a key, and
//! both show a number of four digits that depends on all that was said; the owner compares the two and confirms. Then
//! the credential goes over, sealed with that key. `config/README.md` has the messages.
//!
//! - Whoever knows no code cannot log in; whoever knows half of it burns the invitation with the first wrong proof.
//! - Whoever sits between the two (the newcomer that typed the code had no fingerprint to check) cannot make the numbers
//!   agree: the newcomer is bound to its key before it learns the daemon's, and the number is keyed with the code.
//! - Whoever only listens cannot open the credential.

mod code;
mod desk;
mod invitation;
mod keys;
mod owner;
mod screen;

use serde::{Deserialize, Serialize};

pub use code::{BadCode, Code};
pub use desk::{LONGEST_MINUTES, MOST_OPEN, run};
pub use invitation::{Invitation, Outcome};
pub use keys::{Agreed, Hello, Pair, key_bytes, open};
pub use owner::{Ask, Asked, ask};
pub use screen::{ADMIT, TURN_AWAY};

/// How long a newcomer may take to say that it has its credential.
pub const FAREWELL: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a newcomer whose invitation burnt keeps its connection, to hear why.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(1);

/// What is said on an enrolment topic, one JSON object a message; keys and hashes are hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// Newcomer: I know the code, this is my name, and this binds me to my key.
    Hello(Hello),
    /// Both: my X25519 key. The daemon's comes first.
    Key {
        /// The key.
        key: String,
    },
    /// Daemon: the owner has confirmed.
    Welcome {
        /// The credential, sealed.
        sealed: String,
    },
    /// Newcomer: I have it.
    Done,
    /// Daemon: no, and the invitation is gone.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What is handed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credential {
    /// The client's name and user name.
    pub client: String,
    /// Its secret.
    pub secret: String,
    /// The base topic.
    pub base: String,
    /// What it may do.
    pub rights: Vec<String>,
    /// On which printers; `None` is every one.
    pub printers: Option<Vec<String>>,
}
