//! From the checked configuration to what Home Assistant is told.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Checked};
use crate::core::authz::Grants;
use crate::core::command::COMMANDS;
use crate::core::types::Name;
use crate::hass;
use crate::mqtt::topics::{Base, Exchange, Level, Topic};
use crate::ports::Bus;
use crate::store::SqliteStore;

/// Tells Home Assistant what there is, and again when its client's rights change, until `cancel`.
pub fn tell(
    config: &Checked,
    base: Base,
    mut grants: watch::Receiver<Grants>,
    bus: &Arc<dyn Bus>,
    store: &Arc<SqliteStore>,
    cancel: &CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let (config, cancel) = (config.clone(), cancel.clone());
    let now = devices(&config, &grants.borrow_and_update(), &base);
    let told = watch::Sender::new(now);
    let telling = hass::run(told.subscribe(), bus.clone(), store.clone(), cancel.clone());
    async move {
        let follow = async {
            while grants.changed().await.is_ok() {
                let now = devices(&config, &grants.borrow_and_update(), &base);
                told.send_if_modified(|known| {
                    let changed = *known != now;
                    *known = now;
                    changed
                });
            }
        };
        // Either may be over first: without a change of rights there is still everything to tell.
        let _ = cancel.run_until_cancelled(async { tokio::join!(telling, follow) }).await;
    }
}

/// What Home Assistant is to be told, if anything: with the buttons and settings that its client has the rights for.
pub fn devices(config: &Checked, grants: &Grants, base: &Base) -> Vec<hass::Device> {
    let Some(home) = &config.home_assistant else { return Vec::new() };
    let grant = grants.0.get(&home.client);
    let request = |printer: &Name, command: &str| {
        let (printer, command) = (Level::parse(printer.as_str())?, Level::parse(command)?);
        let exchange = Exchange { client: home.client.clone(), printer, command };
        Some(base.topic(&Topic::Request(exchange)))
    };
    let printer = |printer: &config::Printer| {
        let name = &printer.name;
        let allowed =
            COMMANDS.iter().filter(|row| grant.is_some_and(|grant| grant.covers(row.right, name)));
        hass::Printer {
            name: name.clone(),
            cameras: printer.cameras.iter().map(|camera| camera.name.clone()).collect(),
            availability: base.topic(&Topic::Availability(name.clone())),
            state: base.topic(&Topic::State(name.clone())),
            incident: base.topic(&Topic::Incident(name.clone())),
            event: base.topic(&Topic::Event(name.clone())),
            failure_image: base.topic(&Topic::FailureImage(name.clone())),
            preview_image: base.topic(&Topic::PreviewImage(name.clone())),
            requests: allowed
                .filter_map(|row| Some((row.name, request(name, row.name)?)))
                .collect(),
        }
    };
    hass::devices(&hass::Setup {
        prefix: home.discovery_prefix.clone(),
        base: base.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: base.topic(&Topic::Status),
        health: base.topic(&Topic::Health),
        printers: config.printers.iter().map(printer).collect(),
    })
}
