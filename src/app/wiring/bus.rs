//! The bus: the broker of our own or of the user's, and the connection to it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::WiringError;
use crate::app::daemon::BusParts;
use crate::app::health::BusFacts;
use crate::config::{self, Checked};
use crate::core::authz::Grants;
use crate::mqtt::access::{Access, Home};
use crate::mqtt::{self, managed};
use crate::ports::BrokerHealth;
use crate::store::SqliteStore;

/// Connects to the broker, and runs it first if it is to be our own.
pub(super) fn connect(
    config: &Checked,
    settings: &config::Mqtt,
    grants: watch::Receiver<Grants>,
    store: &Arc<SqliteStore>,
    cancel: &CancellationToken,
    tracker: &TaskTracker,
) -> Result<BusParts, WiringError> {
    let setup = bus_setup(config, settings)?;
    let has_login = setup.broker.login.is_some();
    let broker = managed_settings(config, settings)?.map(|settings| {
        let (health, told) = watch::channel(BrokerHealth::Starting);
        let supervise = managed::supervise(settings, grants.clone(), health, cancel.clone());
        tracker.spawn(supervise);
        told
    });
    let (bus, requests) = mqtt::connect(setup, store.clone(), cancel, tracker);
    let auditor = Arc::new(auditor(config, settings, &grants.borrow())?);
    let facts = BusFacts { trust: settings.trust, has_login, grants, broker };
    Ok(BusParts { bus, requests, facts, auditor })
}

/// Who tests the broker.
pub fn auditor(
    config: &Checked,
    settings: &config::Mqtt,
    grants: &Grants,
) -> Result<mqtt::audit::Auditor, WiringError> {
    let mqtt::Setup { broker, base, .. } = bus_setup(config, settings)?;
    let canary = match managed_settings(config, settings)? {
        Some(own) => Some(own.folder.canary_login()?),
        None => settings.canary.as_ref().map(broker_login),
    };
    // Moonraker's own name on a broker is its host's, unless it is told otherwise.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let clients = grants.0.keys().cloned().collect();
    let instances = vec![host];
    Ok(mqtt::audit::Auditor::new(mqtt::audit::Plan { broker, base, canary, clients, instances }))
}

fn broker_login(login: &config::Login) -> mqtt::Login {
    mqtt::Login {
        user: login.username.clone(),
        password: login.password.clone().unwrap_or_default(),
    }
}

/// How to reach the broker.
pub fn bus_setup(config: &Checked, settings: &config::Mqtt) -> Result<mqtt::Setup, WiringError> {
    let broker = match managed_settings(config, settings)? {
        Some(own) => own.folder.daemon_login(own.local_port)?,
        None => mqtt::Broker {
            host: settings.host.clone(),
            port: settings.port,
            tls: settings.tls.as_ref().map(|tls| mqtt::Tls { ca_file: tls.ca_file.clone() }),
            login: settings.login.as_ref().map(broker_login),
        },
    };
    // Clients of our own broker cannot know the daemon's session by name, and so cannot push it off.
    let client_id = match settings.managed {
        Some(_) => format!("{}-{:016x}", settings.client_id, rand::random::<u64>()),
        None => settings.client_id.clone(),
    };
    let printers = config.printers.iter().map(|printer| printer.name.clone()).collect();
    let birth = config.home_assistant.as_ref().map(|home| home.birth_topic.clone());
    let keys = mqtt::Keys::default();
    keys.set(settings.keys.clone());
    let identity = mqtt::Identity { trust: settings.trust, keys };
    Ok(mqtt::Setup { broker, client_id, base: base(settings)?, printers, identity, birth })
}

fn base(settings: &config::Mqtt) -> Result<mqtt::Base, WiringError> {
    mqtt::Base::parse(&settings.base)
        .map_err(|error| WiringError::Broker(format!("mqtt.base: {error}")))
}

/// How our own broker is to be, if it is to be our own.
pub fn managed_settings(
    config: &Checked,
    settings: &config::Mqtt,
) -> Result<Option<managed::Settings>, WiringError> {
    let Some(own) = &settings.managed else { return Ok(None) };
    Ok(Some(managed::Settings {
        folder: managed::Folder::new(own.folder.clone()),
        local_port: settings.port,
        lan_port: own.lan_port,
        host: own.public_host.clone().unwrap_or_else(managed::host_name),
        access: access(config, settings)?,
    }))
}

/// Who may publish and read what.
pub fn access(config: &Checked, settings: &config::Mqtt) -> Result<Access, WiringError> {
    let home = config.home_assistant.as_ref().map(|home| Home {
        client: home.client.clone(),
        discovery_prefix: home.discovery_prefix.clone(),
        birth_topic: home.birth_topic.clone(),
    });
    Ok(Access { base: base(settings)?, home })
}
