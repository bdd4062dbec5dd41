//! A Mosquitto of our own: Debian's program with a configuration, accounts and ports that are ours, so that it never
//! meets the broker that Debian starts by itself.
//!
//! Everything lies in one private folder beside the store:
//!
//! | file | |
//! |---|---|
//! | `mosquitto.conf` | written at each start |
//! | `dynamic-security.json` | the accounts, kept by Mosquitto's dynamic security plugin: hashes, roles, access rules |
//! | `secret`, `canary` | the passwords of the daemon and of the audit's canary at the broker |
//! | `ca.pem`, `ca.key`, `server.pem`, `server.key` | the certificates of the LAN's listener |
//! | `lock` | held by whoever runs the broker or edits its accounts |
//!
//! **One at a time.** While a process holds the lock, nobody else starts the broker or touches the accounts' file; a
//! broker that a killed daemon left behind is ended first. The broker gets SIGTERM from the kernel when the thread that
//! started it is gone (`setpriv --pdeathsig`), so it does not outlive the daemon.
//!
//! **Accounts.** With the broker down they are edited in the file ([`accounts`]), with the broker up through the
//! plugin's topic ([`super::provision`]). At each start the file is brought in line with the grants.

pub mod accounts;
mod certificate;
mod folder;
pub mod process;
mod supervisor;

pub use certificate::{fingerprint, fingerprint_of, prepare as prepare_certificates};
pub(super) use folder::random;
pub use folder::{Folder, Lock, fresh_secret};
pub use process::MosquittoError;
pub use supervisor::{GrantsNow, check_ports, is_installed, supervise};

use super::access::Access;
use crate::core::authz::{CANARY, DAEMON};

/// How our own broker is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its folder.
    pub folder: Folder,
    /// The plain listener's port, on loopback alone.
    pub local_port: u16,
    /// The TLS listener's, on every address of this host; `None` has no such listener.
    pub lan_port: Option<u16>,
    /// The name or address that clients are told, and that stands in the certificate.
    pub host: String,
    /// Who may publish and read what.
    pub access: Access,
}

/// This host's name in its network: with `.local`, as most home networks know hosts by mDNS, unless it has a domain.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name if name.contains('.') => name.to_owned(),
        name => format!("{name}.local"),
    }
}
