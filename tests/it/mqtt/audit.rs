//! The audit against a real Mosquitto, with every mistake that people make; and what follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use strandwatch::app::clock::SystemClock;
use strandwatch::app::health::{BusFacts, Health};
use strandwatch::core::audit::{Audit, Outcome};
use strandwatch::core::authz::{Grant, Grants, Right, Trust};
use strandwatch::core::contract::Input;
use strandwatch::mqtt::Base;
use strandwatch::mqtt::audit::{Auditor, Plan};
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::ports::BrokerAudit;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::support::mqtt::{Daemon, Rig, base, name, soon};

fn plan(rig: &Rig) -> Plan {
    Plan {
        broker: rig.setup().broker,
        base: base(),
        canary: Some(rig.login_of("canary")),
        clients: vec![name("owner"), name("household")],
        instances: vec!["workshop".to_owned()],
    }
}

async fn audit(plan: Plan) -> BTreeMap<&'static str, Outcome> {
    let Audit(findings) = soon("the audit", Auditor::new(plan).audit()).await;
    let found: BTreeMap<_, _> =
        findings.into_iter().map(|finding| (finding.check.row().name, finding.outcome)).collect();
    assert_eq!(found.len(), 8, "each check once");
    found
}

/// Names of the checks that are broken.
fn broken(found: &BTreeMap<&'static str, Outcome>) -> Vec<&'static str> {
    let broken = found.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Broken { .. }));
    broken.map(|(name, _)| *name).collect()
}

/// The same configuration without any password or rule.
fn open(conf: &str) -> String {
    let secured = ["password_file", "acl_file", "allow_anonymous"];
    let kept = conf.lines().filter(|line| !secured.iter().any(|key| line.starts_with(key)));
    kept.chain(["allow_anonymous true", ""]).collect::<Vec<_>>().join("\n")
}

fn anonymous(conf: &str) -> String {
    conf.replace("allow_anonymous false", "allow_anonymous true")
}

const WILDCARD: &str = "user canary\ntopic readwrite strandwatch/#\n";

#[tokio::test]
async fn on_a_broker_with_the_contracts_rules_everything_holds() {
    let rig = Rig::start().await;
    let found = audit(plan(&rig)).await;
    assert!(found.values().all(|outcome| *outcome == Outcome::Holds), "{found:#?}");
}

#[tokio::test]
async fn each_mistake_in_the_brokers_rules_is_found() {
    let rig = Rig::start().await;
    let acl = rig.read("acl");
    for (rules, expected) in [
        ("user canary\ntopic write strandwatch/client/#", &["requests"][..]),
        ("user canary\ntopic write strandwatch/client/owner/request/#", &["requests"]),
        ("pattern write strandwatch/client/+/request/#", &["requests"]),
        ("user canary\ntopic write strandwatch/+/state", &["state"]),
        ("user canary\ntopic write strandwatch/+/event", &["state"]),
        (
            "user canary\ntopic readwrite strandwatch/#",
            &["everything", "requests", "responses", "state"],
        ),
        ("user canary\ntopic read strandwatch/client/+/response/#", &["everything", "responses"]),
        ("user canary\ntopic read strandwatch/client/+/request/#", &["everything"]),
        ("user canary\ntopic read #", &["everything", "responses"]),
        ("user canary\ntopic write #", &["moonraker", "requests", "state"]),
        ("user canary\ntopic write workshop/moonraker/api/request", &["moonraker"]),
    ] {
        rig.rewrite("acl", &format!("{acl}\n{rules}\n")).await;
        let found = audit(plan(&rig)).await;
        assert_eq!(broken(&found), expected, "{rules}: {found:#?}");
    }
}

#[tokio::test]
async fn a_broker_that_lets_anybody_in_is_found() {
    let rig = Rig::start().await;
    let conf = rig.read("mosquitto.conf");
    rig.rewrite("mosquitto.conf", &anonymous(&conf)).await;
    let found = audit(plan(&rig)).await;
    assert_eq!(broken(&found), ["strangers"], "{found:#?}");
    rig.rewrite("mosquitto.conf", &open(&conf)).await;
    let found = audit(plan(&rig)).await;
    let all = ["everything", "moonraker", "requests", "responses", "state", "strangers"];
    assert_eq!(broken(&found), all, "{found:#?}");
}

#[tokio::test]
async fn without_a_canary_or_a_broker_nothing_is_shown() {
    let rig = Rig::start().await;
    let of_canary = ["requests", "state", "responses", "everything", "moonraker"];
    let wrong =
        strandwatch::mqtt::Login { password: "wrong".to_owned().into(), ..rig.login_of("canary") };
    for (canary, why) in [(None, "No canary is configured"), (Some(wrong), "cannot log in")] {
        let found = audit(Plan { canary, ..plan(&rig) }).await;
        for check in of_canary {
            let Outcome::Unproven { detail } = &found[check] else { panic!("{found:#?}") };
            assert!(detail.contains(why), "{detail}");
        }
        assert_eq!(
            found["strangers"],
            Outcome::Holds,
            "what needs no canary is tried all the same"
        );
    }
    let mut nowhere = plan(&rig);
    nowhere.broker.port = crate::support::free_port();
    let found = audit(nowhere).await;
    let unproven = found.values().filter(|o| matches!(o, Outcome::Unproven { .. })).count();
    assert_eq!(unproven, 7, "all but the way there: {found:#?}");
}

#[tokio::test]
async fn a_canary_that_is_no_client_shows_nothing() {
    let rig = Rig::start().await;
    rig.rewrite("acl", &rig.read("acl").replace("pattern write", "# pattern write")).await;
    let found = audit(plan(&rig)).await;
    let Outcome::Unproven { detail } = &found["requests"] else { panic!("{found:#?}") };
    assert!(detail.contains("give canary the rules of a client"), "{detail}");
}

#[tokio::test]
async fn plain_text_over_a_network_and_retained_requests_are_found() {
    let rig = Rig::start().await;
    let (owner, _) = rig.client("owner", &[]).await;
    let retained = Delivery { qos: Qos::AtLeastOnce, retain: true, expiry: None };
    let topic = "strandwatch/client/owner/request/voron/pause".to_owned();
    owner.publish(topic, b"{}".to_vec(), retained).await.unwrap();
    let found = audit(plan(&rig)).await;
    assert_eq!(broken(&found), ["retained"]);
    let mut elsewhere = plan(&rig);
    // A name of this host that does not say so.
    elsewhere.broker.host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let found = audit(elsewhere).await;
    assert!(broken(&found).contains(&"transport"), "{found:#?}");
}

/// The daemon's health on a rig, and what the core hears of it.
struct Watched {
    daemon: Daemon,
    inputs: mpsc::Receiver<Input>,
    _cancel: tokio_util::sync::DropGuard,
}

impl Watched {
    async fn begin(rig: &Rig, trust: Trust) -> Self {
        let daemon = rig.daemon().await;
        let (sender, inputs) = mpsc::channel(64);
        let grant = Grant { rights: [Right::View].into(), printers: None };
        let (_, grants) = watch::channel(Grants([(name("owner"), grant)].into()));
        let facts = BusFacts { trust, has_login: true, grants, broker: None };
        let auditor = Arc::new(Auditor::new(plan(rig)));
        let (bus, clock) = (daemon.bus.clone(), Arc::new(SystemClock::new()));
        let cancel = CancellationToken::new();
        let health = Health { bus, facts, auditor, clock, inputs: sender };
        tokio::spawn(health.run(cancel.clone()));
        Self { daemon, inputs, _cancel: cancel.drop_guard() }
    }

    /// Waits until the plane is closed for this reason, or open (`None`).
    async fn plane(&mut self, wanted: Option<&str>) {
        soon(&format!("the plane is closed by {wanted:?}"), async {
            loop {
                if let Input::CommandPlane { closed } = self.inputs.recv().await.unwrap() {
                    match (wanted, &closed) {
                        (None, None) => return,
                        (Some(why), Some(said)) if said.contains(why) => return,
                        (_, _) => {}
                    }
                }
            }
        })
        .await;
    }
}

/// The retained document.
async fn health_of(rig: &Rig) -> Value {
    let (_observer, mut watcher) = rig.client("observer", &["health"]).await;
    let seen = watcher.until("health", |seen| seen.topic == "strandwatch/health").await;
    serde_json::from_slice(&seen.payload).unwrap()
}

#[tokio::test]
async fn an_open_broker_keeps_the_plane_closed_until_it_has_passwords_and_rules() {
    let rig = Rig::start().await;
    let conf = rig.read("mosquitto.conf");
    rig.rewrite("mosquitto.conf", &open(&conf)).await;
    let mut watched = Watched::begin(&rig, Trust::Isolation).await;
    watched.plane(Some("without a login; write `allow_anonymous false`")).await;
    let document = health_of(&rig).await;
    assert_eq!(document["command_plane"]["open"], false, "{document}");
    rig.rewrite("mosquitto.conf", &conf).await;
    watched.plane(None).await;
    let document = health_of(&rig).await;
    assert_eq!(document["command_plane"]["open"], true, "{document}");
    assert_eq!(document["audit"]["holds"], true, "{document}");
}

#[tokio::test]
async fn an_anonymous_broker_keeps_the_plane_closed_even_where_any_login_will_do() {
    let rig = Rig::start().await;
    let conf = rig.read("mosquitto.conf");
    rig.rewrite("mosquitto.conf", &anonymous(&conf)).await;
    let mut watched = Watched::begin(&rig, Trust::AnyLogin).await;
    watched.plane(Some("without a login; write `allow_anonymous false`")).await;
    rig.rewrite("mosquitto.conf", &conf).await;
    watched.plane(None).await;
    let document = health_of(&rig).await;
    assert_eq!(document["command_plane"]["trust"], "any-login", "{document}");
}

#[tokio::test]
async fn a_wildcard_rule_keeps_the_plane_closed_until_it_is_gone_but_for_those_who_chose_otherwise()
{
    let rig = Rig::start().await;
    let acl = rig.read("acl");
    rig.rewrite("acl", &format!("{acl}\n{WILDCARD}")).await;
    for trust in [Trust::AnyLogin, Trust::Signatures] {
        let mut chosen = Watched::begin(&rig, trust).await;
        chosen.plane(None).await;
        chosen.daemon.close().await;
    }
    let mut watched = Watched::begin(&rig, Trust::Isolation).await;
    watched.plane(Some("canary could publish on strandwatch/client/owner/request")).await;
    rig.rewrite("acl", &acl).await;
    watched.plane(None).await;
}

#[tokio::test]
async fn a_broker_that_comes_back_is_tested_again_before_anything_is_taken() {
    let mut rig = Rig::start().await;
    let mut watched = Watched::begin(&rig, Trust::Isolation).await;
    watched.plane(None).await;
    let acl = rig.read("acl");
    rig.stop().await;
    watched.plane(Some("127.0.0.1")).await;
    rig.start_again().await;
    rig.rewrite("acl", &format!("{acl}\n{WILDCARD}")).await;
    watched.plane(Some("being tested")).await;
}

#[tokio::test]
async fn two_daemons_on_one_broker_do_not_disturb_each_other() {
    let rig = Rig::start().await;
    let acl = rig.read("acl");
    rig.rewrite("acl", &format!("{acl}\n{}", acl.replace("strandwatch/", "workshop/"))).await;
    let mut one = rig.daemon().await;
    let mut setup = rig.setup();
    setup.base = Base::parse("workshop").unwrap();
    setup.client_id = "workshop".to_owned();
    let other_store = rig.folder.path().join("other.sqlite3");
    let mut other = Daemon::begin(setup, &other_store);
    other.up().await;
    let auditors = [base(), Base::parse("workshop").unwrap()]
        .map(|base| Auditor::new(Plan { base, ..plan(&rig) }));
    let [first, second] = &auditors;
    for _ in 0..3 {
        let (first, second) = tokio::join!(first.audit(), second.audit());
        for audit in [first, second] {
            assert_eq!(audit.why_closed(Trust::Isolation), None, "{audit:#?}");
        }
    }
    let (owner, _) = rig.client("owner", &[]).await;
    let to_other = "workshop/client/owner/request/voron/pause".to_owned();
    let plain = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
    owner.publish(to_other, b"{}".to_vec(), plain).await.unwrap();
    let request = soon("the other's request", other.requests.recv()).await.unwrap();
    assert_eq!(request.command, "pause", "nothing of the audits came before it");
    assert!(one.requests.try_recv().is_err(), "the one hears nothing of it");
    one.up().await;
}
