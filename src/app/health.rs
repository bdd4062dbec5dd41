//! The daemon's own health, and whether the command plane is open. Doubt closes it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::core::audit::Audit;
use crate::core::authz::{Grants, Trust};
use crate::core::contract::Input;
use crate::core::document::unix_seconds;
use crate::ports::{BrokerAudit, BrokerHealth, Bus, BusLink, Clock, Publication};

/// An audit that found all well is repeated after so long, and after every connection.
const AGAIN: Duration = Duration::from_secs(3_600);

/// One that did not, after so long, twice so long and so on, up to [`SOONS`] times: somebody may be mending the broker.
const SOON: Duration = Duration::from_secs(5);
const SOONS: u32 = 24;

/// What is known of the broker beside the connection to it.
#[derive(Debug, Clone)]
pub struct BusFacts {
    /// What shows who sends a request.
    pub trust: Trust,
    /// Whether we log in: without a login nobody else needs one either.
    pub has_login: bool,
    /// Every client's grant.
    pub grants: watch::Receiver<Grants>,
    /// How the broker is, if it is our own.
    pub broker: Option<watch::Receiver<BrokerHealth>>,
}

/// What decides whether the command plane is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The connection.
    pub link: BusLink,
    /// Our own broker, if it is our own.
    pub broker: Option<BrokerHealth>,
    /// What shows who sends a request.
    pub trust: Trust,
    /// Whether we log in.
    pub has_login: bool,
    /// How many clients have a grant.
    pub clients: usize,
    /// The last audit of this connection's broker.
    pub audited: Option<Audited>,
}

/// An audit and when it was made, Unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// What was found.
    pub audit: Audit,
    /// When.
    pub at: f64,
}

/// Why the command plane is closed; `None` when it is open.
pub fn closed(situation: &Situation) -> Option<String> {
    if let Some(BrokerHealth::Down { why }) = &situation.broker {
        return Some(format!("there is no MQTT broker: {why}"));
    }
    // A signature needs nothing of the broker.
    let rests_on_broker = situation.trust != Trust::Signatures;
    match (&situation.link, &situation.audited) {
        (BusLink::Down { why }, _) => Some(why.clone()),
        (BusLink::Up, _) if !situation.has_login && rests_on_broker => Some(
            "the broker is used without a login, so nobody's identity is verified: \
             set mqtt.username and the password in the secrets file"
                .to_owned(),
        ),
        (BusLink::Up, _) if situation.clients == 0 => {
            Some("there is no client: add one with `strandwatch client add`".to_owned())
        }
        (BusLink::Up, None) if rests_on_broker => {
            Some("the broker is being tested; this takes a few seconds".to_owned())
        }
        (BusLink::Up, audited) => {
            audited.as_ref().and_then(|audited| audited.audit.why_closed(situation.trust))
        }
    }
}

/// What `<base>/health` says of our own broker.
fn broker_document(broker: Option<&BrokerHealth>) -> Value {
    match broker {
        None => json!({ "kind": "external" }),
        Some(BrokerHealth::Starting) => {
            json!({ "kind": "managed", "up": false, "why": "starting" })
        }
        Some(BrokerHealth::Up { restarts }) => {
            json!({ "kind": "managed", "up": true, "restarts": restarts })
        }
        Some(BrokerHealth::Down { why }) => json!({ "kind": "managed", "up": false, "why": why }),
    }
}

/// `<base>/health`.
fn document(closed: Option<&str>, situation: &Situation) -> Value {
    let trust = situation.trust;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command_plane": { "open": closed.is_none(), "why": closed, "trust": trust },
        "broker": broker_document(situation.broker.as_ref()),
        "audit": situation.audited.as_ref().map(|Audited { audit, at }| json!({
            "at": at,
            "holds": audit.why_closed(trust).is_none(),
            "checks": audit.0.iter().map(|finding| json!({
                "check": finding.check,
                "result": finding.outcome.word(),
                "problem": finding.problem(),
            })).collect::<Vec<_>>(),
        })),
    })
}

/// Follows the bus and audits its broker, opens and closes the command plane, publishes `<base>/health`.
pub struct Health {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// What is known of its broker.
    pub facts: BusFacts,
    /// Who tests the broker.
    pub auditor: Arc<dyn BrokerAudit>,
    /// For the time of an audit.
    pub clock: Arc<dyn Clock>,
    /// The core hears of it here.
    pub inputs: mpsc::Sender<Input>,
}

impl Health {
    /// Until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(self.follow()).await;
    }

    async fn follow(mut self) {
        let mut link = self.bus.link();
        let mut audited: Option<Audited> = None;
        let mut failed: u32 = 0;
        let mut told = None;
        let mut due = Instant::now();
        // An audit under way goes on, whatever else changes meanwhile but the connection.
        let mut auditing: Option<BoxFuture<'static, Audit>> = None;
        loop {
            let up = *link.borrow() == BusLink::Up;
            if link.has_changed().unwrap_or(false) || !up {
                // Whoever answers there next need not be the broker that was tested.
                (audited, auditing) = (None, None);
                failed = 0;
                due = Instant::now();
            }
            let situation = Situation {
                link: link.borrow_and_update().clone(),
                broker: self.facts.broker.as_mut().map(|own| own.borrow_and_update().clone()),
                trust: self.facts.trust,
                has_login: self.facts.has_login,
                clients: self.facts.grants.borrow_and_update().0.len(),
                audited: audited.clone(),
            };
            if !self.tell(&situation, &mut told).await {
                return;
            }
            let up = situation.link == BusLink::Up;
            if up && auditing.is_none() {
                let auditor = Arc::clone(&self.auditor);
                auditing = Some(Box::pin(async move {
                    sleep_until(due).await;
                    auditor.audit().await
                }));
            }
            tokio::select! {
                changed = link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    (audited, auditing) = (None, None);
                    failed = 0;
                    due = Instant::now();
                }
                Ok(()) = self.facts.grants.changed() => {}
                () = changed(&mut self.facts.broker) => {}
                audit = ended(&mut auditing) => {
                    auditing = None;
                    let holds = audit.why_closed(self.facts.trust).is_none();
                    failed = if holds { 0 } else { failed + 1 };
                    due = Instant::now() + if holds { AGAIN } else { SOON * failed.min(SOONS) };
                    if self.inputs.send(Input::Audited { audit: audit.clone() }).await.is_err() {
                        return;
                    }
                    let at = unix_seconds(self.clock.now().unix_ms);
                    audited = Some(Audited { audit, at });
                }
            }
        }
    }

    /// Publishes how things are if that is new, and tells the log and the core whether the plane is open, if that is; false
    /// when nobody is left to be told.
    async fn tell(
        &self,
        situation: &Situation,
        told: &mut Option<(Situation, Option<String>)>,
    ) -> bool {
        let closed = closed(situation);
        if told.as_ref().is_none_or(|(before, _)| before != situation) {
            self.bus.publish(Publication::Health(document(closed.as_deref(), situation)));
        }
        let before = told.replace((situation.clone(), closed.clone()));
        if before.is_some_and(|(_, before)| before == closed) {
            return true;
        }
        let trust = situation.trust;
        match &closed {
            None if trust == Trust::AnyLogin => tracing::warn!(
                "command plane open to EVERY LOGIN of the broker, in any client's name (mqtt.trust = \"any-login\")"
            ),
            None => tracing::info!(trust = trust.word(), "command plane open"),
            Some(why) => tracing::warn!("command plane closed: {why}"),
        }
        self.inputs.send(Input::CommandPlane { closed }).await.is_ok()
    }
}

/// The audit under way; never, without one.
async fn ended(auditing: &mut Option<BoxFuture<'static, Audit>>) -> Audit {
    match auditing {
        Some(audit) => audit.await,
        None => std::future::pending().await,
    }
}

/// Waits for a change of what may not be there, or may change no more.
async fn changed(broker: &mut Option<watch::Receiver<BrokerHealth>>) {
    if let Some(broker) = broker
        && broker.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::audit::{CHECKS, Finding, Outcome};

    fn holding() -> Audited {
        let holds = CHECKS.iter().map(|row| row.check);
        let holds = holds.map(|check| Finding { check, outcome: Outcome::Holds });
        Audited { audit: Audit(holds.collect()), at: 1.5 }
    }

    /// Everything as it should be.
    fn well(trust: Trust) -> Situation {
        Situation {
            link: BusLink::Up,
            broker: None,
            trust,
            has_login: true,
            clients: 1,
            audited: Some(holding()),
        }
    }

    #[test]
    fn the_command_plane_is_open_only_with_a_broker_a_login_a_client_and_an_audit_that_holds() {
        for trust in [Trust::Isolation, Trust::AnyLogin] {
            assert_eq!(closed(&well(trust)), None);
            let link = BusLink::Down { why: "refused".to_owned() };
            assert!(closed(&Situation { link, ..well(trust) }).is_some());
            assert!(closed(&Situation { has_login: false, ..well(trust) }).is_some());
            assert!(closed(&Situation { clients: 0, ..well(trust) }).is_some());
            let broker = Some(BrokerHealth::Down { why: "port 1 is taken".to_owned() });
            let why = closed(&Situation { broker, ..well(trust) }).unwrap();
            assert!(why.contains("port 1 is taken"), "{why}");
            let why = closed(&Situation { audited: None, ..well(trust) }).unwrap();
            assert!(why.contains("being tested"), "{why}");
            let mut broken = well(trust);
            broken.audited.as_mut().unwrap().audit.0[0].outcome =
                Outcome::Broken { detail: "anybody gets in".to_owned() };
            let why = closed(&broken).unwrap();
            assert!(why.contains("anybody gets in") && why.contains("allow_anonymous"), "{why}");
        }
    }

    #[test]
    fn where_requests_are_signed_nothing_is_asked_of_the_broker() {
        let signed = Situation { has_login: false, audited: None, ..well(Trust::Signatures) };
        assert_eq!(closed(&signed), None);
        let nothing = Audited { audit: Audit::default(), at: 0.0 };
        assert_eq!(closed(&Situation { audited: Some(nothing), ..signed.clone() }), None);
        assert!(closed(&Situation { clients: 0, ..signed }).is_some());
    }

    #[test]
    fn health_names_what_is_trusted_and_every_check() {
        let mut situation = well(Trust::AnyLogin);
        situation.audited.as_mut().unwrap().audit.0[7].outcome =
            Outcome::Broken { detail: "open".to_owned() };
        let document = document(None, &situation);
        assert_eq!(document["command_plane"]["trust"], "any-login");
        assert_eq!(document["audit"]["holds"], true);
        let last = &document["audit"]["checks"][7];
        assert_eq!((&last["check"], &last["result"]), (&json!("moonraker"), &json!("broken")));
        assert!(last["problem"].as_str().unwrap().contains("enable_moonraker_api"));
        assert_eq!(document["audit"]["checks"][0]["problem"], Value::Null);
    }
}
