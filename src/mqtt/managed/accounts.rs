//! The accounts as the dynamic security plugin keeps them: a JSON file that is ours to edit while no broker runs.
//!
//! Each account has a role of its own, which holds its access rules. Names that no client can have (they begin with `_`)
//! are for accounts that live a short time.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::folder::{Folder, random, write_private};
use super::process::MosquittoError;
use super::{DAEMON, Lock};
use crate::core::authz::{Grant, Grants, Right};
use crate::core::types::Name;
use crate::mqtt::access::{Access, Rule, Way};
use crate::mqtt::broker::Login;

/// The plugin's own topics; who may publish there may do everything.
pub const CONTROL: &str = "$CONTROL/dynamic-security/v1";

/// As many rounds as the plugin itself uses; the secrets have 128 random bits, which no number of rounds improves.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(101).expect("not zero");

/// Mosquitto may take so long to write the file, on a card that is busy.
const WRITING: Duration = Duration::from_secs(2);

/// The accounts' file, in memory. What else the plugin can keep (groups, what anonymous users may do) is not used here.
#[derive(Debug)]
pub struct Accounts {
    file: PathBuf,
    lists: Lists,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lists {
    clients: Vec<Value>,
    roles: Vec<Value>,
}

/// The name of an account's role.
pub fn role_name(account: &str) -> String {
    if account == DAEMON { DAEMON.to_owned() } else { format!("client-{account}") }
}

/// Access rules in the plugin's words.
pub fn acls(rules: &[Rule]) -> Value {
    let kinds = |way| match way {
        Way::Publish => &["publishClientSend"][..],
        Way::Read => &["publishClientReceive", "subscribePattern", "unsubscribePattern"],
    };
    rules
        .iter()
        .flat_map(|rule| kinds(rule.way).iter().map(move |kind| (kind, &rule.filter)))
        .map(|(kind, filter)| json!({ "acltype": kind, "topic": filter, "priority": 0, "allow": true }))
        .collect()
}

/// A password as the plugin and `mosquitto_passwd` keep it: PBKDF2 with SHA-512.
#[derive(Debug)]
pub struct Hash {
    salt: String,
    hash: String,
}

impl Hash {
    /// Hashes with a fresh salt.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn of(secret: &SecretString) -> Result<Self, MosquittoError> {
        let mut salt = [0_u8; 12];
        random(&mut salt)?;
        let mut hash = [0_u8; 64];
        let secret = secret.expose_secret().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, ITERATIONS, &salt, secret, &mut hash);
        Ok(Self { salt: STANDARD.encode(salt), hash: STANDARD.encode(hash) })
    }

    /// A user's line of the file that Mosquitto's `password_file` names.
    pub fn password_file_line(&self, user: &str) -> String {
        format!("{user}:$7${ITERATIONS}${}${}", self.salt, self.hash)
    }
}

impl Accounts {
    /// Reads the file while a broker may run: to look at it. There being none is no account. Mosquitto writes in place, so
    /// what is found may be half of it: a whole one is waited for.
    ///
    /// # Errors
    /// When it is there and cannot be read, or does not become one that can be understood.
    pub async fn look(folder: &Folder) -> Result<Self, MosquittoError> {
        let deadline = Instant::now() + WRITING;
        loop {
            match Self::read(folder) {
                Err(MosquittoError::Damaged { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(10)).await;
                }
                other => return other,
            }
        }
    }

    fn read(folder: &Folder) -> Result<Self, MosquittoError> {
        let file = folder.accounts();
        match std::fs::read(&file) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(lists) => Ok(Self { file, lists }),
                Err(error) => Err(MosquittoError::Damaged { file, why: error.to_string() }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { file, lists: Lists::default() })
            }
            Err(error) => Err(MosquittoError::File { file, error }),
        }
    }

    /// Reads the file to edit it, while no broker runs. One that cannot be understood is set aside and begun anew: every
    /// client then needs a new secret.
    ///
    /// # Errors
    /// When it cannot be read or set aside.
    pub fn open(folder: &Folder, _held: &Lock) -> Result<Self, MosquittoError> {
        match Self::read(folder) {
            Err(MosquittoError::Damaged { file, why }) => {
                let aside = file.with_extension("json.damaged");
                std::fs::rename(&file, &aside)
                    .map_err(|error| MosquittoError::File { file: file.clone(), error })?;
                tracing::error!(aside = %aside.display(), why, "the broker's accounts are damaged and were set aside: give each client a new secret with `strandwatch client rotate`");
                Ok(Self { file, lists: Lists::default() })
            }
            other => other,
        }
    }

    /// Whether an account has a password.
    pub fn has(&self, account: &str) -> bool {
        self.lists.clients.iter().any(|client| client["username"] == account)
    }

    /// Makes an account, or gives it other rules; with `secret`, a new password too. Without it an account that was
    /// never made stays unmade, and only its role is.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn put(
        &mut self,
        account: &str,
        rules: &[Rule],
        secret: Option<&SecretString>,
    ) -> Result<(), MosquittoError> {
        let role = role_name(account);
        let Lists { clients, roles } = &mut self.lists;
        roles.retain(|known| known["rolename"] != role.as_str());
        roles.push(json!({ "rolename": role, "acls": acls(rules) }));
        if let Some(secret) = secret {
            let Hash { salt, hash } = Hash::of(secret)?;
            clients.retain(|known| known["username"] != account);
            clients.push(json!({
                "username": account, "roles": [{ "rolename": role }],
                "password": hash, "salt": salt, "iterations": ITERATIONS,
            }));
        }
        Ok(())
    }

    /// Removes an account and its role.
    pub fn remove(&mut self, account: &str) {
        let role = role_name(account);
        self.lists.clients.retain(|known| known["username"] != account);
        self.lists.roles.retain(|known| known["rolename"] != role.as_str());
    }

    /// Brings everything in line: the daemon and the canary with their secrets, each client of `grants` with its rules and
    /// the password it has, and nobody else.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn settle(
        &mut self,
        access: &Access,
        secret: &SecretString,
        canary: &Login,
        grants: &Grants,
    ) -> Result<(), MosquittoError> {
        let known = |name: Option<&str>| {
            name.and_then(|name| Name::parse(name).ok())
                .is_some_and(|name| grants.0.contains_key(&name))
        };
        self.lists.clients.retain(|client| known(client["username"].as_str()));
        self.lists.roles.clear();
        let mut own = access.of_daemon();
        let control = format!("{CONTROL}/#");
        own.extend([Way::Publish, Way::Read].map(|way| Rule { way, filter: control.clone() }));
        self.put(DAEMON, &own, Some(secret))?;
        for (name, grant) in &grants.0 {
            self.put(name.as_str(), &access.of_client(name, grant), None)?;
        }
        // Last, so that nobody else can have its name.
        if let Ok(name) = Name::parse(&canary.user) {
            let rights = Grant { rights: [Right::View].into(), printers: None };
            self.put(&canary.user, &access.of_client(&name, &rights), Some(&canary.password))?;
        }
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), MosquittoError> {
        let document = json!({
            // Deny by default, in every direction: the plugin's own defaults allow the last two.
            "defaultACLAccess": {
                "publishClientSend": false, "subscribe": false,
                "publishClientReceive": false, "unsubscribe": false,
            },
            "clients": self.lists.clients, "groups": [], "roles": self.lists.roles,
        });
        write_private(&self.file, format!("{document:#}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_looks_while_the_broker_writes_sees_the_whole_file() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().to_owned());
        let whole = json!({ "clients": [{ "username": "owner" }], "roles": [] }).to_string();
        std::fs::write(folder.accounts(), &whole).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (file, stopped) = (folder.accounts(), Arc::clone(&stop));
        let broker = std::thread::spawn(move || {
            // As Mosquitto does it: emptied, then filled.
            while !stopped.load(Ordering::Relaxed) {
                std::fs::write(&file, &whole).unwrap();
            }
        });
        let mut seen = Vec::new();
        for _ in 0..500 {
            seen.push(Accounts::look(&folder).await.map(|accounts| accounts.has("owner")));
        }
        stop.store(true, Ordering::Relaxed);
        broker.join().unwrap();
        for found in seen {
            assert!(found.unwrap());
        }
    }

    #[tokio::test]
    async fn a_file_that_stays_half_is_called_damaged() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().to_owned());
        std::fs::write(folder.accounts(), "{\"clients\": [").unwrap();
        assert!(matches!(Accounts::look(&folder).await, Err(MosquittoError::Damaged { .. })));
    }
}
