//! The daemon's own health, and whether the command plane is open. Doubt closes it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::core::audit::Audit;
use crate::core::authz::Trust;
use crate::core::contract::Input;
use crate::core::document::unix_seconds;
use crate::ports::{BrokerAudit, Bus, BusLink, Clock, Publication};

/// An audit that found all well is repeated after so long, and after every connection.
const AGAIN: Duration = Duration::from_secs(3_600);

/// One that did not, after so long, twice so long and so on, up to [`SOONS`] times: somebody may be mending the broker.
const SOON: Duration = Duration::from_secs(5);
const SOONS: u32 = 24;

/// What is known of the broker before connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusFacts {
    /// What shows who sends a request.
    pub trust: Trust,
    /// Whether we log in: without a login nobody else needs one either.
    pub has_login: bool,
    /// How many clients have a grant.
    pub clients: usize,
}

/// Why the command plane is closed; `None` when it is open.
pub fn closed(link: &BusLink, facts: BusFacts, audit: Option<&Audit>) -> Option<String> {
    match (link, audit) {
        (BusLink::Down { why }, _) => Some(why.clone()),
        (BusLink::Up, _) if facts.clients == 0 => {
            Some("no client is configured: add one under [[mqtt.client]]".to_owned())
        }
        (BusLink::Up, _) if !facts.has_login && facts.trust != Trust::Signatures => Some(
            "the broker is used without a login, so nobody's identity is verified: \
             set mqtt.username and the password in the secrets file"
                .to_owned(),
        ),
        (BusLink::Up, None) if facts.trust != Trust::Signatures => {
            Some("the broker is being tested; this takes a few seconds".to_owned())
        }
        (BusLink::Up, audit) => audit.and_then(|audit| audit.why_closed(facts.trust)),
    }
}

/// `<base>/health`.
fn document(closed: Option<&str>, facts: BusFacts, audited: Option<&Audited>) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command_plane": { "open": closed.is_none(), "why": closed, "trust": facts.trust },
        "audit": audited.map(|audited| json!({
            "at": audited.at,
            "holds": audited.audit.why_closed(facts.trust).is_none(),
            "checks": audited.audit.0.iter().map(|finding| json!({
                "check": finding.check,
                "result": finding.outcome.word(),
                "problem": finding.problem(),
            })).collect::<Vec<_>>(),
        })),
    })
}

/// An audit and when it was made, Unix seconds.
struct Audited {
    audit: Audit,
    at: f64,
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

    async fn follow(self) {
        let mut link = self.bus.link();
        let mut audited: Option<Audited> = None;
        let mut failed: u32 = 0;
        let mut told = None;
        let mut due = Instant::now();
        loop {
            let now = link.borrow_and_update().clone();
            if now != BusLink::Up {
                // Whoever answers there next need not be the broker that was tested.
                audited = None;
                failed = 0;
                due = Instant::now();
            }
            if !self.tell(&now, audited.as_ref(), &mut told).await {
                return;
            }
            tokio::select! {
                changed = link.changed() => if changed.is_err() { return },
                audit = self.when_due(due), if now == BusLink::Up => {
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

    async fn when_due(&self, due: Instant) -> Audit {
        sleep_until(due).await;
        self.auditor.audit().await
    }

    /// Publishes how things are, and tells the log and the core whether the plane is open, if that is new; false when
    /// nobody is left to be told.
    async fn tell(
        &self,
        link: &BusLink,
        audited: Option<&Audited>,
        told: &mut Option<Option<String>>,
    ) -> bool {
        let closed = closed(link, self.facts, audited.map(|audited| &audited.audit));
        self.bus.publish(Publication::Health(document(closed.as_deref(), self.facts, audited)));
        if told.as_ref() == Some(&closed) {
            return true;
        }
        let trust = self.facts.trust;
        match &closed {
            None if trust == Trust::AnyLogin => tracing::warn!(
                "command plane open to EVERY LOGIN of the broker, in any client's name (mqtt.trust = \"any-login\")"
            ),
            None => tracing::info!(trust = trust.word(), "command plane open"),
            Some(why) => tracing::warn!("command plane closed: {why}"),
        }
        *told = Some(closed.clone());
        self.inputs.send(Input::CommandPlane { closed }).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::audit::{CHECKS, Finding, Outcome};

    fn holding() -> Audit {
        Audit(
            CHECKS
                .iter()
                .map(|row| Finding { check: row.check, outcome: Outcome::Holds })
                .collect(),
        )
    }

    #[test]
    fn the_command_plane_is_open_only_with_a_broker_a_login_a_client_and_an_audit_that_holds() {
        let up = BusLink::Up;
        let down = BusLink::Down { why: "refused".to_owned() };
        let audit = holding();
        let mut broken = holding();
        broken.0[0].outcome = Outcome::Broken { detail: "anybody gets in".to_owned() };
        for trust in [Trust::Isolation, Trust::AnyLogin] {
            let known = BusFacts { trust, has_login: true, clients: 1 };
            assert_eq!(closed(&up, known, Some(&audit)), None);
            assert!(closed(&down, known, Some(&audit)).is_some());
            let anonymous = BusFacts { has_login: false, ..known };
            assert!(closed(&up, anonymous, Some(&audit)).is_some());
            assert!(closed(&up, BusFacts { clients: 0, ..known }, Some(&audit)).is_some());
            assert!(closed(&up, known, None).unwrap().contains("being tested"));
            let why = closed(&up, known, Some(&broken)).unwrap();
            assert!(why.contains("anybody gets in") && why.contains("allow_anonymous"), "{why}");
        }
    }

    #[test]
    fn where_requests_are_signed_nothing_is_asked_of_the_broker() {
        let signed = BusFacts { trust: Trust::Signatures, has_login: false, clients: 1 };
        assert_eq!(closed(&BusLink::Up, signed, None), None);
        assert_eq!(closed(&BusLink::Up, signed, Some(&Audit::default())), None);
        let nobody = BusFacts { clients: 0, ..signed };
        assert!(closed(&BusLink::Up, nobody, None).is_some());
    }

    #[test]
    fn health_names_what_is_trusted_and_every_check() {
        let facts = BusFacts { trust: Trust::AnyLogin, has_login: true, clients: 1 };
        let mut audit = holding();
        audit.0[7].outcome = Outcome::Broken { detail: "open".to_owned() };
        let document = document(None, facts, Some(&Audited { audit, at: 1.5 }));
        assert_eq!(document["command_plane"]["trust"], "any-login");
        assert_eq!(document["audit"]["holds"], true);
        let last = &document["audit"]["checks"][7];
        assert_eq!((&last["check"], &last["result"]), (&json!("moonraker"), &json!("broken")));
        assert!(last["problem"].as_str().unwrap().contains("enable_moonraker_api"));
        assert_eq!(document["audit"]["checks"][0]["problem"], Value::Null);
    }
}
