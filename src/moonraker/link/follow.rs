//! Follows one printer over one connection.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::mpsc;

use super::Link;
use crate::core::types::KlippyState;
use crate::moonraker::fault::MoonrakerFault;
use crate::moonraker::macros;
use crate::moonraker::rpc::{Client, Notification};
use crate::moonraker::status::{self, Merged};

/// Follows the printer over one connection.
pub(super) struct Follower<'a> {
    pub(super) link: &'a Link,
    pub(super) client: Client,
    pub(super) merged: Merged,
    /// When the whole state was read: what was received earlier is older than it.
    snapshot: u64,
    /// Says things to our macros.
    tell: mpsc::Sender<&'static str>,
    /// How often they called.
    calls: u64,
}

impl<'a> Follower<'a> {
    pub(super) fn new(link: &'a Link, client: Client, tell: mpsc::Sender<&'static str>) -> Self {
        Self { link, client, merged: Merged::default(), snapshot: 0, tell, calls: 0 }
    }

    pub(super) async fn take(&mut self, notification: Notification) -> Result<(), MoonrakerFault> {
        match notification.method {
            "notify_webcams_changed" => self.link.read_webcams(&self.client).await,
            macros::METHOD => {
                self.called(&notification.params);
                Ok(())
            }
            _ if notification.received < self.snapshot => Ok(()),
            "notify_status_update" => {
                if let Some(update) = notification.params.get(0) {
                    self.merged.merge(update);
                }
                Ok(())
            }
            "notify_klippy_ready" => self.sync().await,
            "notify_klippy_shutdown" => {
                self.klippy_is(KlippyState::Shutdown).await;
                Ok(())
            }
            "notify_klippy_disconnected" => {
                self.merged.klippy(KlippyState::Disconnected, None);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Passes a macro's request on, and lets the macro know that it was heard.
    fn called(&mut self, params: &Value) {
        let Some(requests) = &self.link.setup.requests else { return };
        self.calls += 1;
        let printer = &self.link.setup.printer;
        match macros::request(params, printer, SystemTime::now(), self.calls) {
            Some(request) => match requests.try_send(request) {
                Ok(()) => self.say_to_macros(macros::HEARD),
                Err(error) => tracing::warn!(%printer, "a macro's request is dropped: {error}"),
            },
            None => tracing::warn!(%printer, "a macro called without saying what it wants"),
        }
    }

    fn say_to_macros(&self, script: &'static str) {
        if self.tell.try_send(script).is_err() {
            tracing::debug!("the printer's macros have much to hear already");
        }
    }

    /// Looks whether Klippy's state has changed, as nothing tells of some changes.
    pub(super) async fn poll(&mut self) -> Result<(), MoonrakerFault> {
        let state = self.klippy_state().await?;
        if state != self.merged.status().klippy { self.sync().await } else { Ok(()) }
    }

    async fn klippy_state(&self) -> Result<KlippyState, MoonrakerFault> {
        let info = self.call("server.info", Value::Null).await?;
        let word = info.get("klippy_state").and_then(Value::as_str).unwrap_or_default();
        Ok(status::klippy_state(word).unwrap_or_default())
    }

    /// Reads the whole state and subscribes to its changes. Klippy may go away meanwhile: then it is polled.
    pub(super) async fn sync(&mut self) -> Result<(), MoonrakerFault> {
        let state = self.klippy_state().await?;
        match state {
            KlippyState::Disconnected => self.merged.klippy(state, None),
            KlippyState::Startup => self.klippy_is(state).await,
            KlippyState::Ready | KlippyState::Shutdown | KlippyState::Error => {
                match self.subscribe(state).await {
                    Err(MoonrakerFault::Refused { .. }) => {
                        self.klippy_is(KlippyState::Startup).await
                    }
                    result => return result,
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self, state: KlippyState) -> Result<(), MoonrakerFault> {
        let listed = self.call("printer.objects.list", Value::Null).await?;
        let wanted = status::subscription(&listed);
        let within = self.link.setup.timing.query;
        let reply = self.client.call("printer.objects.subscribe", wanted, within).await?;
        self.snapshot = reply.received;
        self.merged = Merged::default();
        self.merged.klippy(state, None);
        if let Some(status) = reply.result.get("status") {
            self.merged.merge(status);
        }
        let has_macros = macros::are_among(&listed);
        self.link.has_macros.store(has_macros, Ordering::Relaxed);
        if has_macros && state == KlippyState::Ready && self.link.setup.requests.is_some() {
            self.say_to_macros(macros::HERE);
        }
        Ok(())
    }

    /// Takes Klippy's state with the message that it gives for it, if it can be had.
    async fn klippy_is(&mut self, state: KlippyState) {
        let info = self.call("printer.info", Value::Null).await.unwrap_or_default();
        let message = info.get("state_message").and_then(Value::as_str).map(str::to_owned);
        self.merged.klippy(state, message);
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Value, MoonrakerFault> {
        let reply = self.client.call(method, params, self.link.setup.timing.query).await?;
        Ok(reply.result)
    }
}
