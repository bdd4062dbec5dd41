//! Moonraker: one [`Link`] a printer, over its websocket or its unix socket.
//!
//! ```text
//! transport   bytes in frames: websocket messages, or JSON ended by 0x03
//! wire        JSON-RPC 2.0 envelopes
//! rpc         requests matched to replies, keep-alive, notifications in order
//! status      partial updates merged into a PrinterStatus
//! webcams     server.webcams.list
//! macros      calls that the printer's macros make of us
//! screen      messages as G-code for the console and its dialogs
//! link        connect, log in, subscribe, follow; reconnect with back-off
//! ```
//!
//! What is worth knowing of Moonraker (0.11, API 1.5), found in its source and against it running:
//! - **Login.** The websocket always opens; a client that is neither trusted by address nor has sent a key is merely
//!   unauthorised, gets no notifications, and every call ends in error -32602 `Unauthorized`. Sending the key in
//!   `server.connection.identify` is enough; a *wrong* key also revokes the trust an address had. `force_logins` counts
//!   only once a user account exists; the API key still works then, unless `enable_api_key: False`. The unix socket
//!   needs no login, so no key is sent there.
//! - **Agents.** One agent a name. A refused `identify` leaves that connection marked identified, so it cannot be tried
//!   again there: another connection is needed. [`Link`] then comes as type `other`, which may do all that it needs.
//! - **Klippy's state.** `notify_klippy_ready`, `_shutdown` and `_disconnected` are sent, but nothing tells of `startup`
//!   or `error`: those are polled by `server.info`. `printer.*` methods do not exist (-32601) until a Klippy has
//!   connected. A Klippy disconnect drops every subscription; they must be made again after each ready.
//! - **Subscriptions** take lists of fields, and one connection has one subscription: a new one replaces it. Its reply is
//!   the whole state; what was queued before the reply is older. `motion_report` moves 4 times a second while printing.
//! - **Actions** answer when their macro has ended, without a time limit, and Moonraker passes on Klippy's error text.
//!   While Klippy executes a long command (heating with `M109`), a pause waits for its turn.
//! - **Remote methods.** A macro's `action_call_remote_method` reaches the agent that registered the method as a
//!   notification; a request of that name (`server.extensions.request`) comes from some client of Moonraker instead and is
//!   not served. Klipper swallows the error of a method that nobody registered, and Moonraker drops the call of one whose
//!   agent has gone: nothing shows in the console, so our macros watch for an acknowledgement themselves.
//! - Every client gets `notify_proc_stat_update` once a second, wanted or not.
//! - `print_stats.info.current_layer` is null, or 0, until the slicer's G-code says otherwise.

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::core::types::Name;
use crate::ports::IncomingRequest;

mod action;
mod endpoint;
mod fault;
mod link;
mod macros;
mod rpc;
mod screen;
mod status;
mod transport;
mod webcams;
mod wire;

pub use endpoint::{BadEndpoint, Endpoint};
pub use link::Link;

/// Which printer is where, and how to log in.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The printer's name in this daemon; every message carries it.
    pub printer: Name,
    /// Where its Moonraker listens.
    pub endpoint: Endpoint,
    /// Moonraker's API key, needed unless Moonraker trusts this host's address; not used on a unix socket.
    pub api_key: Option<SecretString>,
    /// How long to wait for what.
    pub timing: Timing,
    /// Where requests of the printer's own macros go; without it they are not served.
    pub requests: Option<mpsc::Sender<IncomingRequest>>,
}

/// How long a link waits for what. The default is for real printers; tests shorten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// To connect and upgrade.
    pub connect: Duration,
    /// After so long without a word from the peer it is asked for one.
    pub keep_alive: Duration,
    /// After so long without a word the connection is given up. At most 15 s by the design.
    pub silence: Duration,
    /// For the answer to a query.
    pub query: Duration,
    /// For the answer to an action: macros may take long.
    pub action: Duration,
    /// For a message to be shown: while Klippy heats or levels it runs nothing else.
    pub screen: Duration,
    /// Between looks at a Klippy that is not ready.
    pub poll: Duration,
    /// Before the first attempt to reconnect; doubles with each, jittered down by up to half.
    pub first_retry: Duration,
    /// The longest wait between attempts.
    pub last_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            keep_alive: Duration::from_secs(5),
            silence: Duration::from_secs(12),
            query: Duration::from_secs(25),
            action: Duration::from_secs(60),
            screen: Duration::from_secs(600),
            poll: Duration::from_secs(2),
            first_retry: Duration::from_millis(500),
            last_retry: Duration::from_secs(20),
        }
    }
}
