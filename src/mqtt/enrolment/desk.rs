//! The daemon's desk for newcomers: opens invitations, hears them, ends them. At our own broker only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::code::account;
use super::{Ask, Asked, Code, Invitation, Message, Outcome, screen};
use crate::core::authz::{DAEMON, Grant};
use crate::core::event::{EnrolmentStep, EventKind};
use crate::core::screen::ScreenMessage;
use crate::core::types::Name;
use crate::mqtt::client::Received;
use crate::mqtt::managed::{Settings, fresh_secret};
use crate::mqtt::provision::{Control, ProvisionError};
use crate::mqtt::requester::Requester;
use crate::mqtt::wire::{Delivery, Qos};
use crate::ports::Reception;

/// Invitations that may be open at a time.
pub const MOST_OPEN: usize = 3;

/// The longest invitation, minutes.
pub const LONGEST_MINUTES: u32 = 60;

/// How long to wait before connecting again.
const RECONNECT: Duration = Duration::from_millis(250);

/// How long a message may wait for a newcomer that is away.
const EXPIRY: Duration = Duration::from_secs(60);

/// Works until `cancel`. `console` brings what the owner chose at a printer.
pub async fn run(
    settings: Settings,
    reception: Arc<dyn Reception>,
    mut console: mpsc::Receiver<Ask>,
    cancel: CancellationToken,
) {
    while !cancel.is_cancelled() {
        match connect(&settings).await {
            Ok((requester, messages)) => {
                let (settings, reception) = (&settings, reception.as_ref());
                let mut desk = Desk { settings, requester, reception, open: BTreeMap::new() };
                let why = tokio::select! {
                    () = desk.serve(messages, &mut console) => "the broker went away",
                    () = cancel.cancelled() => "strandwatch is stopping",
                };
                for label in desk.open.keys().cloned().collect::<Vec<_>>() {
                    desk.burn(&label, why).await;
                    desk.close(&label).await;
                }
            }
            Err(error) => tracing::debug!("no desk for newcomers yet: {error}"),
        }
        tokio::select! {
            () = sleep(RECONNECT) => {}
            () = cancel.cancelled() => return,
        }
    }
}

async fn connect(settings: &Settings) -> Result<(Requester, Receiver<Received>), ProvisionError> {
    let base = &settings.access.base;
    let login = settings.folder.daemon_login(settings.local_port)?;
    let filters = [base.enrolment_request("+"), base.owner_request()];
    let connecting = Requester::connect(&login, base.clone(), Name::parse(DAEMON)?, &filters);
    connecting.await.map_err(ProvisionError::Unreachable)
}

struct Desk<'a> {
    settings: &'a Settings,
    requester: Requester,
    reception: &'a dyn Reception,
    open: BTreeMap<String, Invitation>,
}

impl Desk<'_> {
    /// Serves until the connection ends.
    async fn serve(&mut self, mut messages: Receiver<Received>, console: &mut mpsc::Receiver<Ask>) {
        loop {
            let deadline = self.open.values().map(|invitation| invitation.until).min();
            tokio::select! {
                received = messages.recv() => match received {
                    Ok(received) if !received.retained => self.receive(received).await,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                Some(ask) = console.recv() => {
                    if let Err(text) = self.answer(ask).await {
                        let line = ScreenMessage::Line { text, urgent: true };
                        self.reception.show(None, line);
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.expire().await;
                }
            }
        }
    }

    async fn receive(&mut self, received: Received) {
        let base = &self.settings.access.base;
        if received.topic == base.owner_request() {
            let Ok(Asked { id, ask }) = serde_json::from_slice(&received.payload) else { return };
            let answer = match self.answer(ask).await {
                Ok(ok) => json!({ "id": id, "ok": ok }),
                Err(error) => json!({ "id": id, "error": error }),
            };
            self.publish(self.settings.access.base.owner_response(), &answer).await;
            return;
        }
        let Some(label) = base.enrolling(&received.topic).map(str::to_owned) else { return };
        let Some(invitation) = self.open.get_mut(&label) else { return };
        let reception = self.reception;
        match invitation.hear(&received.payload, |name| reception.is_free(name)) {
            Outcome::Reply(message) => self.say(&label, &message).await,
            Outcome::Shown { name, number } => {
                let grant = invitation.grant.clone();
                self.announce(&label, EnrolmentStep::Presented, Some(&name), None);
                let prompt = screen::newcomer(&name, &number, &grant);
                self.reception.show(grant.printers.as_ref(), prompt);
            }
            Outcome::Done => self.close(&label).await,
            Outcome::Burn(why) => self.burn(&label, &why).await,
            Outcome::Ignore => {}
        }
    }

    /// Does what the owner asks.
    async fn answer(&mut self, ask: Ask) -> Result<Value, String> {
        match ask {
            Ask::Invite { grant, minutes } => self.invite(grant, minutes).await,
            Ask::Waiting => {
                let waiting = self.open.iter().filter_map(|(label, invitation)| {
                    let (name, number) = invitation.waiting()?;
                    let rights = &invitation.grant.rights;
                    Some(json!({ "invitation": label, "client": name, "number": number, "rights": rights }))
                });
                Ok(waiting.collect())
            }
            Ask::Confirm { number } => {
                let label = self.find(|_, invitation| {
                    invitation.waiting().is_some_and(|(_, shown)| shown == number)
                });
                let nobody = || {
                    format!(
                        "nobody waits with the number {number}; `strandwatch client confirm` shows who waits"
                    )
                };
                self.admit(&label.ok_or_else(nobody)?).await
            }
            Ask::Refuse { which } => {
                let label = self.find(|label, invitation| {
                    let shows = invitation.waiting().is_some_and(|(_, shown)| shown == which);
                    (label == which || shows) && !invitation.is_over()
                });
                let label = label.ok_or_else(|| format!("there is no invitation {which}"))?;
                self.burn(&label, "the owner refused").await;
                Ok(json!({ "invitation": label, "refused": true }))
            }
        }
    }

    fn find(&self, wanted: impl Fn(&str, &Invitation) -> bool) -> Option<String> {
        let found = self.open.iter().find(|(label, invitation)| wanted(label, invitation));
        found.map(|(label, _)| label.clone())
    }

    async fn invite(&mut self, grant: Grant, minutes: u32) -> Result<Value, String> {
        let open = self.open.iter().filter(|(_, invitation)| !invitation.is_over());
        let open: Vec<&str> = open.map(|(label, _)| label.as_str()).collect();
        if open.len() >= MOST_OPEN {
            return Err(format!(
                "{MOST_OPEN} invitations are open already ({}); wait for one to end, or refuse one",
                open.join(", ")
            ));
        }
        if !(1..=LONGEST_MINUTES).contains(&minutes) {
            return Err(format!("an invitation is open for 1 to {LONGEST_MINUTES} minutes"));
        }
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let code = Code::fresh().map_err(|error| words(&error))?;
        let label = code.label();
        if self.open.contains_key(&label) {
            return Err("try again: two invitations would have the same label".to_owned());
        }
        let base = &self.settings.access.base;
        let mut control = Control::connect(self.settings).await.map_err(|error| words(&error))?;
        let (rules, password) = (code.rules(base), code.password());
        let made = control.put(&code.account(), &rules, Some(&password)).await;
        made.map_err(|error| words(&error))?;
        let until = Instant::now() + Duration::from_secs(60 * u64::from(minutes));
        let prompt = screen::invitation(&code, &grant, minutes);
        for message in prompt {
            self.reception.show(grant.printers.as_ref(), message);
        }
        let told = json!({ "invitation": label, "code": code.to_string(), "minutes": minutes });
        self.open.insert(label.clone(), Invitation::new(code, grant, base.as_str(), until));
        self.announce(&label, EnrolmentStep::Invited, None, None);
        Ok(told)
    }

    /// The owner has confirmed: makes the client and hands its credential over.
    async fn admit(&mut self, label: &str) -> Result<Value, String> {
        let Some(invitation) = self.open.get_mut(label) else {
            return Err("the invitation is gone".to_owned());
        };
        let Some((name, _)) = invitation.waiting() else {
            return Err("nobody waits any more".to_owned());
        };
        let (name, grant) = (name.clone(), invitation.grant.clone());
        let made = match self.reception.is_free(&name) {
            Ok(()) => make(self.settings, self.reception, &name, &grant).await,
            Err(why) => Err(why),
        };
        let secret = match made {
            Ok(secret) => secret,
            Err(why) => {
                self.burn(label, &why).await;
                return Err(why);
            }
        };
        if let Some(message) = invitation.welcome(&secret) {
            self.say(label, &message).await;
        }
        self.announce(label, EnrolmentStep::Admitted, Some(&name), None);
        self.reception.show(grant.printers.as_ref(), ScreenMessage::ClosePrompt);
        Ok(
            json!({ "invitation": label, "client": name, "rights": grant.rights, "printers": grant.printers }),
        )
    }

    async fn expire(&mut self) {
        let now = Instant::now();
        let due = |(label, invitation): (&String, &Invitation)| {
            (invitation.until <= now).then(|| (label.clone(), invitation.is_over()))
        };
        for (label, over) in self.open.iter().filter_map(due).collect::<Vec<_>>() {
            if over {
                self.close(&label).await;
            } else {
                self.burn(&label, "nobody was let in in time").await;
            }
        }
    }

    async fn burn(&mut self, label: &str, why: &str) {
        if self.open.get(label).is_none_or(Invitation::is_over) {
            return;
        }
        let refused = Message::Refused { reason: why.to_owned() };
        self.say(label, &refused).await;
        let waiting = self.open.get(label).and_then(Invitation::waiting);
        let name = waiting.map(|(name, _)| name.clone());
        self.announce(label, EnrolmentStep::Burned, name.as_ref(), Some(why));
        let printers = self.open.get(label).and_then(|of| of.grant.printers.clone());
        self.reception.show(printers.as_ref(), ScreenMessage::ClosePrompt);
        if let Some(invitation) = self.open.get_mut(label) {
            invitation.end();
        }
    }

    /// Forgets an invitation and takes its account away. One that could not be taken away goes when the broker starts.
    async fn close(&mut self, label: &str) {
        self.open.remove(label);
        let removed =
            async { Control::connect(self.settings).await?.remove(&account(label)).await };
        if let Err(error) = removed.await {
            tracing::warn!(label, "the account of an invitation could not be removed: {error}");
        }
    }

    fn announce(&self, label: &str, step: EnrolmentStep, client: Option<&Name>, why: Option<&str>) {
        let printers = self.open.get(label).and_then(|of| of.grant.printers.as_ref());
        let event = EventKind::Enrolment {
            invitation: label.to_owned(),
            step,
            client: client.map(ToString::to_string),
            why: why.map(str::to_owned),
        };
        self.reception.announce(printers, event);
    }

    async fn say(&self, label: &str, message: &Message) {
        let topic = self.settings.access.base.enrolment_response(label);
        self.publish(topic, &json!(message)).await;
    }

    async fn publish(&self, topic: String, body: &Value) {
        let delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: Some(EXPIRY) };
        let sent = self.requester.publish(topic, body.to_string().into_bytes(), delivery).await;
        if let Err(error) = sent {
            tracing::debug!("a newcomer was not answered: {error}");
        }
    }
}

/// Makes a client: its rights first, then its account.
async fn make(
    settings: &Settings,
    reception: &dyn Reception,
    name: &Name,
    grant: &Grant,
) -> Result<SecretString, String> {
    let secret = fresh_secret().map_err(|error| error.to_string())?;
    reception.admit(name, grant).await.map_err(|fault| fault.to_string())?;
    let rules = settings.access.of_client(name, grant);
    let account =
        async { Control::connect(settings).await?.put(name.as_str(), &rules, Some(&secret)).await };
    if let Err(error) = account.await {
        reception.forget(name).await.map_err(|fault| fault.to_string())?;
        return Err(error.to_string());
    }
    Ok(secret)
}
