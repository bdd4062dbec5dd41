//! Accounts at our own broker, whether it runs or not: through the dynamic security plugin's topic when it does, in the
//! plugin's file when nobody runs it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};

use super::access::Rule;
use super::client::Received;
use super::fault::Fault;
use super::managed::accounts::{Accounts, CONTROL, acls, role_name};
use super::managed::{Lock, MosquittoError, Settings, prepare_certificates};
use super::requester::{RequestError, Requester};
use super::wire::{Delivery, Qos};
use crate::core::authz::DAEMON;
use crate::core::types::{BadName, Name};

/// How long a daemon that was started just now may take until its broker answers.
const STARTING: Duration = Duration::from_secs(4);

/// How long the plugin may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The broker's files.
    #[error(transparent)]
    Files(#[from] MosquittoError),
    /// The daemon holds the broker, and it does not answer.
    #[error(
        "a running strandwatch has charge of the broker, and the broker does not answer ({0}); `strandwatch doctor` says why"
    )]
    Unreachable(Fault),
    /// Only a running daemon can do it.
    #[error("strandwatch must be running for this, and its broker does not answer: {0}")]
    NoDaemon(Fault),
    /// The daemon refused.
    #[error("{0}")]
    Declined(String),
    /// The broker or the daemon does not take or answer commands.
    #[error("no answer from the broker: {0}")]
    Unanswered(String),
    /// The plugin refused a command.
    #[error("the broker refuses {command} for {account}: {why}")]
    Refused {
        /// Which command.
        command: String,
        /// For whom.
        account: String,
        /// Why.
        why: String,
    },
    /// A name.
    #[error(transparent)]
    Name(#[from] BadName),
}

/// Where accounts are changed.
pub enum Accountant {
    /// Nobody runs the broker, and nobody can while this is held.
    File(Lock, Accounts),
    /// The broker runs.
    Plugin(Box<Control>),
}

impl Accountant {
    /// Takes charge of the accounts' file, or connects to the running broker.
    ///
    /// # Errors
    /// When neither can be had.
    pub async fn open(settings: &Settings) -> Result<Self, ProvisionError> {
        if let Some(lock) = settings.folder.lock()? {
            if settings.lan_port.is_some() {
                prepare_certificates(&settings.folder, &settings.host)?;
            }
            let accounts = Accounts::open(&settings.folder, &lock)?;
            return Ok(Self::File(lock, accounts));
        }
        let deadline = Instant::now() + STARTING;
        loop {
            match Control::connect(settings).await {
                Err(ProvisionError::Unreachable(_)) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(100)).await;
                }
                other => return Ok(Self::Plugin(Box::new(other?))),
            }
        }
    }

    /// Makes an account, or gives it other rules; with `secret`, a new password too, which ends its sessions.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn put(
        &mut self,
        account: &str,
        rules: &[Rule],
        secret: Option<&SecretString>,
    ) -> Result<(), ProvisionError> {
        match self {
            Self::File(_, accounts) => {
                accounts.put(account, rules, secret)?;
                Ok(accounts.save()?)
            }
            Self::Plugin(control) => control.put(account, rules, secret).await,
        }
    }

    /// Removes an account and ends its sessions; no error when there was none.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn remove(&mut self, account: &str) -> Result<(), ProvisionError> {
        match self {
            Self::File(_, accounts) => {
                accounts.remove(account);
                Ok(accounts.save()?)
            }
            Self::Plugin(control) => control.remove(account).await,
        }
    }
}

/// A connection to the plugin of the running broker, with the daemon's own credential.
pub struct Control {
    requester: Requester,
    answers: Receiver<Received>,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// When the broker does not answer or does not take the credential.
    pub async fn connect(settings: &Settings) -> Result<Self, ProvisionError> {
        let login = settings.folder.daemon_login(settings.local_port)?;
        let answers = [format!("{CONTROL}/response")];
        let connecting = Requester::connect(
            &login,
            settings.access.base.clone(),
            Name::parse(DAEMON)?,
            &answers,
        );
        let (requester, answers) = connecting.await.map_err(ProvisionError::Unreachable)?;
        Ok(Self { requester, answers })
    }

    /// As [`Accountant::put`].
    ///
    /// # Errors
    /// When the plugin refuses or does not answer.
    pub async fn put(
        &mut self,
        account: &str,
        rules: &[Rule],
        secret: Option<&SecretString>,
    ) -> Result<(), ProvisionError> {
        let role = role_name(account);
        let as_role =
            |command| json!({ "command": command, "rolename": role, "acls": acls(rules) });
        self.make_or_change(account, as_role("createRole"), as_role("modifyRole")).await?;
        let Some(secret) = secret else { return Ok(()) };
        let secret = secret.expose_secret();
        let create = json!({
            "command": "createClient", "username": account, "password": secret,
            "roles": [{ "rolename": role }],
        });
        let change =
            json!({ "command": "setClientPassword", "username": account, "password": secret });
        self.make_or_change(account, create, change).await
    }

    /// As [`Accountant::remove`].
    ///
    /// # Errors
    /// When the plugin refuses or does not answer.
    pub async fn remove(&mut self, account: &str) -> Result<(), ProvisionError> {
        let role = role_name(account);
        let commands = [
            // Disabling is what ends the sessions.
            json!({ "command": "disableClient", "username": account }),
            json!({ "command": "deleteClient", "username": account }),
            json!({ "command": "deleteRole", "rolename": role }),
        ];
        for command in commands {
            match self.command(account, command).await {
                Err(ProvisionError::Refused { why, .. }) if why.contains("not found") => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn make_or_change(
        &mut self,
        account: &str,
        make: Value,
        change: Value,
    ) -> Result<(), ProvisionError> {
        match self.command(account, make).await {
            Err(ProvisionError::Refused { why, .. }) if why.contains("already exists") => {
                self.command(account, change).await
            }
            other => other,
        }
    }

    /// Sends one command and awaits its answer: everybody who may use the plugin hears all answers, so each command
    /// carries a number of its own.
    async fn command(&mut self, account: &str, mut command: Value) -> Result<(), ProvisionError> {
        let number = format!("{:032x}", rand::random::<u128>());
        command["correlationData"] = number.as_str().into();
        let name = command["command"].as_str().unwrap_or_default().to_owned();
        let body = json!({ "commands": [command] }).to_string().into_bytes();
        let delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
        let published = self.requester.publish(CONTROL.to_owned(), body, delivery).await;
        published.map_err(|error: RequestError| ProvisionError::Unanswered(error.to_string()))?;
        let answer = timeout(PATIENCE, self.answer(&number)).await;
        let answer = answer
            .map_err(|_| ProvisionError::Unanswered(format!("nothing within {PATIENCE:?}")))??;
        match answer.get("error").and_then(Value::as_str) {
            None => Ok(()),
            Some(why) => Err(ProvisionError::Refused {
                command: name,
                account: account.to_owned(),
                why: why.to_owned(),
            }),
        }
    }

    async fn answer(&mut self, number: &str) -> Result<Value, ProvisionError> {
        loop {
            let received = match self.answers.recv().await {
                Ok(received) => received,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => {
                    let why = "the connection is gone".to_owned();
                    return Err(ProvisionError::Unanswered(why));
                }
            };
            if let Some(answer) = answer_in(&received.payload, number) {
                return Ok(answer);
            }
        }
    }
}

/// The answer to the command of this number, among all that the plugin says.
fn answer_in(payload: &[u8], number: &str) -> Option<Value> {
    let body: Value = serde_json::from_slice(payload).ok()?;
    let answers = body.get("responses")?.as_array()?;
    answers.iter().find(|one| one["correlationData"] == number).cloned()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    const ANSWERS: [&str; 3] = [
        r#"{"responses":[{"command":"createClient","correlationData":"7"}]}"#,
        r#"{"responses":[{"command":"createRole","error":"Role already exists","correlationData":"7"}]}"#,
        r#"{"responses":[[],7,{"correlationData":"6"},{"correlationData":"7"}]}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_answers_of_the_plugin_are_none_or_the_one_asked_for(
            sample in select(&ANSWERS[..]),
            edits in vec((any::<Index>(), any::<u8>()), 0..5),
        ) {
            let mut bytes = sample.as_bytes().to_vec();
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let found = answer_in(&bytes, "7");
            prop_assert!(!edits.is_empty() || found.is_some());
            prop_assert!(found.is_none_or(|answer| answer["correlationData"] == "7"));
        }
    }
}
