//! What every `client` command works with: the configuration, the store, and the accounts of our own broker.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use secrecy::SecretString;

use crate::app::clients::{self, Client, PREFIX};
use crate::app::wiring;
use crate::cli::{Exit, Failure, OrExit, run};
use crate::config::{self, Checked};
use crate::core::authz::{Grant, Right, is_reserved};
use crate::core::types::Name;
use crate::mqtt::access::Access;
use crate::mqtt::managed::{Settings, fresh_secret};
use crate::mqtt::provision::{Accountant, ProvisionError};

use crate::ports::Store;
use crate::store::{OUTBOX_LIMIT, SqliteStore};

pub(super) struct Desk {
    pub config: Checked,
    pub mqtt: config::Mqtt,
    pub access: Access,
    /// Our own broker, if it is our own.
    pub managed: Option<Settings>,
    pub store: Arc<SqliteStore>,
}

impl Desk {
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let config = run::load(path)?;
        let mqtt = config
            .mqtt
            .clone()
            .context("there is no broker, so nobody can be a client: mqtt.broker is \"none\"")
            .or_exit(Exit::Usage)?;
        let access = wiring::access(&config, &mqtt).or_exit(Exit::Usage)?;
        let managed = wiring::managed_settings(&config, &mqtt).or_exit(Exit::Usage)?;
        check_user(&config.store.path)?;
        let store =
            SqliteStore::open(&config.store.path, OUTBOX_LIMIT).or_exit(Exit::Unreachable)?;
        Ok(Self { config, mqtt, access, managed, store })
    }

    /// The clients that the store knows.
    pub async fn stored(&self) -> Result<BTreeMap<Name, Client>, Failure> {
        let documents = self.store.list(PREFIX.to_owned()).await.or_exit(Exit::Unreachable)?;
        Ok(clients::read(documents))
    }

    /// The grant of a client that is known.
    pub async fn known(&self, name: &Name) -> Result<Grant, Failure> {
        let grants = clients::combined(&self.config.grants, &self.stored().await?);
        let grant = grants.0.get(name).cloned();
        grant
            .with_context(|| {
                format!("there is no client {name}; `strandwatch client list` shows all")
            })
            .or_exit(Exit::Usage)
    }

    /// Fails when a new client cannot have this name.
    pub async fn is_free(&self, name: &Name) -> Result<(), Failure> {
        let own = self.mqtt.login.as_ref().map(|login| login.username.as_str());
        let taken = if is_reserved(name) || own == Some(name.as_str()) {
            Some(format!(
                "{name} is a name that strandwatch has for itself: give the client another"
            ))
        } else if self.config.grants.0.contains_key(name) {
            Some(format!(
                "client {name} stands in the configuration, with its rights: `strandwatch client rotate {name}` gives it a login"
            ))
        } else if self.stored().await?.contains_key(name) {
            Some(format!(
                "there is a client {name} already: `strandwatch client rotate {name}` gives it a new secret, `strandwatch client rm {name}` removes it"
            ))
        } else {
            None
        };
        taken.map_or(Ok(()), |why| Err(anyhow!(why)).or_exit(Exit::Usage))
    }

    /// The grant that these words mean.
    pub fn grant(&self, rights: &[String], printers: &[Name]) -> Result<Grant, Failure> {
        let mut meant = std::collections::BTreeSet::new();
        for word in rights {
            let words = Right::from_word(word.trim()).with_context(|| {
                let all: Vec<&str> = Right::ALL.iter().map(|right| right.name()).collect();
                format!(
                    "there is no right {word:?}; use {}, or observer, household, owner",
                    all.join(", ")
                )
            });
            meant.extend(words.or_exit(Exit::Usage)?);
        }
        for printer in printers {
            let known = self.config.printers.iter().map(|printer| printer.name.as_str());
            if !known.clone().any(|known| known == printer.as_str()) {
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(anyhow!(
                    "there is no printer {printer}; the configuration has {known}"
                ))
                .or_exit(Exit::Usage);
            }
        }
        let printers = (!printers.is_empty()).then(|| printers.iter().cloned().collect());
        Ok(Grant { rights: meant, printers })
    }

    pub fn fresh_secret(&self) -> Result<SecretString, Failure> {
        fresh_secret().or_exit(Exit::Internal)
    }

    /// Gives a client its account at our own broker; at another, that is its owner's to do.
    pub async fn give_login(
        &self,
        name: &Name,
        grant: &Grant,
        secret: &SecretString,
    ) -> Result<(), Failure> {
        let rules = self.access.of_client(name, grant);
        let Some(mut accounts) = self.accounts().await? else { return Ok(()) };
        accounts.put(name.as_str(), &rules, Some(secret)).await.or_exit(Exit::Unreachable)
    }

    /// Takes a client's account at our own broker away, and its connection with it.
    pub async fn take_login(&self, name: &Name) -> Result<(), Failure> {
        let Some(mut accounts) = self.accounts().await? else { return Ok(()) };
        accounts
            .remove(name.as_str())
            .await
            .with_context(|| format!("client {name} has no rights any more, but its login could not be removed; it is when the broker starts the next time"))
            .or_exit(Exit::Unreachable)
    }

    async fn accounts(&self) -> Result<Option<Accountant>, Failure> {
        match &self.managed {
            None => Ok(None),
            Some(settings) => match Accountant::open(settings).await {
                Ok(accounts) => Ok(Some(accounts)),
                Err(error @ ProvisionError::Unreachable(_)) => {
                    Err(error).or_exit(Exit::Unreachable)
                }
                Err(error) => Err(error).or_exit(Exit::Internal),
            },
        }
    }
}

/// Files that another user makes in the daemon's folder would lock the daemon out.
fn check_user(store: &Path) -> Result<(), Failure> {
    let folder = store.parent().unwrap_or(Path::new("/"));
    let Ok(metadata) = std::fs::metadata(folder) else { return Ok(()) };
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() == us {
        return Ok(());
    }
    let owner = metadata.uid();
    Err(anyhow!(
        "{} belongs to user {owner}, and this is user {us}: run it as that user, as with `sudo -u '#{owner}' strandwatch client …`",
        folder.display()
    ))
    .or_exit(Exit::Usage)
}
