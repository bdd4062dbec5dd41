//! The bus and who tests its broker, from the configuration.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::WiringError;
use crate::app::daemon::BusParts;
use crate::app::health::BusFacts;
use crate::config::{self, Checked};
use crate::mqtt;
use crate::store::SqliteStore;

/// Connects the bus.
pub(super) fn connect_bus(
    config: &Checked,
    settings: &config::Mqtt,
    store: &Arc<SqliteStore>,
    cancel: &CancellationToken,
    tracker: &TaskTracker,
) -> Result<BusParts, WiringError> {
    let setup = bus_setup(config, settings)?;
    let (bus, requests) = mqtt::connect(setup, store.clone(), cancel, tracker);
    let facts = BusFacts {
        trust: settings.trust,
        has_login: settings.login.is_some(),
        clients: config.grants.0.len(),
    };
    let auditor = Arc::new(auditor(config, settings)?);
    Ok(BusParts { bus, requests, facts, auditor })
}

/// Who tests the broker.
pub fn auditor(
    config: &Checked,
    settings: &config::Mqtt,
) -> Result<mqtt::audit::Auditor, WiringError> {
    let mqtt::Setup { broker, base, .. } = bus_setup(config, settings)?;
    // Moonraker's own name on a broker is its host's, unless it is told otherwise.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(mqtt::audit::Auditor::new(mqtt::audit::Plan {
        broker,
        base,
        canary: settings.canary.as_ref().map(broker_login),
        clients: config.grants.0.keys().cloned().collect(),
        instances: vec![host],
    }))
}

fn broker_login(login: &config::Login) -> mqtt::Login {
    mqtt::Login {
        user: login.username.clone(),
        password: login.password.clone().unwrap_or_default(),
    }
}

/// How to reach the broker.
pub fn bus_setup(config: &Checked, settings: &config::Mqtt) -> Result<mqtt::Setup, WiringError> {
    let broker = mqtt::Broker {
        host: settings.host.clone(),
        port: settings.port,
        tls: settings.tls.as_ref().map(|tls| mqtt::Tls { ca_file: tls.ca_file.clone() }),
        login: settings.login.as_ref().map(broker_login),
    };
    let base = mqtt::Base::parse(&settings.base)
        .map_err(|error| WiringError::Broker(format!("mqtt.base: {error}")))?;
    let printers = config.printers.iter().map(|printer| printer.name.clone()).collect();
    let birth = config.home_assistant.as_ref().map(|home| home.birth_topic.clone());
    let keys = mqtt::Keys::default();
    keys.set(settings.keys.clone());
    let identity = mqtt::Identity { trust: settings.trust, keys };
    Ok(mqtt::Setup {
        broker,
        client_id: settings.client_id.clone(),
        base,
        printers,
        identity,
        birth,
    })
}
