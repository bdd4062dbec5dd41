//! Whether the broker keeps clients apart, tried with real connections: as nobody, as a canary with the rules of any client,
//! and as the daemon, to see what arrives.
//!
//! What counts is what arrives, not what the broker says of it: many take a forbidden message and drop it, or grant a
//! subscription and deliver nothing. So after everything that must not pass, on the same connection, something is sent that
//! must; when that has arrived, what came before it has had its chance. Where it does not arrive, nothing is shown.
//!
//! The messages disturb nobody: they are never retained, and go to the command level [`PROBE`], which the daemon passes
//! over, or to a printer and a client that there are not.

mod line;

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use self::line::{Line, Trouble, random};
use super::broker::{Broker, Login};
use super::fault::Fault;
use super::topics::{Base, Topic};
use super::wire::PROBE;
use crate::core::audit::{Audit, Check, Finding, Outcome};
use crate::core::types::Name;
use crate::ports::BrokerAudit;

/// A client that there is not.
const NOBODY: &str = "strandwatch-audit-nobody";

/// How many real clients are tried to be spoken for.
const VICTIMS: usize = 32;

/// What is to be audited.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The broker, with the daemon's own login.
    pub broker: Broker,
    /// What stands before every topic.
    pub base: Base,
    /// Somebody with the rules of a client and no rights here; its user name is its name in topics.
    pub canary: Option<Login>,
    /// Clients that it tries to speak for.
    pub clients: Vec<Name>,
    /// Names under which a Moonraker may be on this broker; those that show themselves are tried as well.
    pub instances: Vec<String>,
}

/// [`BrokerAudit`] with connections of its own.
pub struct Auditor {
    plan: Plan,
}

impl Auditor {
    /// An auditor of this broker.
    pub fn new(plan: Plan) -> Self {
        Self { plan }
    }
}

impl BrokerAudit for Auditor {
    fn audit(&self) -> BoxFuture<'_, Audit> {
        Box::pin(self.run())
    }
}

fn broken(detail: impl Into<String>) -> Outcome {
    Outcome::Broken { detail: detail.into() }
}

fn unproven(detail: impl Into<String>) -> Outcome {
    Outcome::Unproven { detail: detail.into() }
}

impl Auditor {
    async fn run(&self) -> Audit {
        let mut findings = vec![self.transport()];
        let mut add = |check, outcome| findings.push(Finding { check, outcome });
        // What a client may do, in the order of [`Canary::try_all`].
        const OF_CANARY: [Check; 5] =
            [Check::Requests, Check::State, Check::Responses, Check::Everything, Check::Moonraker];
        match self.listen().await {
            Err(trouble) => {
                let why = trouble.to_string();
                for check in [Check::Strangers, Check::Retained].into_iter().chain(OF_CANARY) {
                    add(check, unproven(why.clone()));
                }
            }
            Ok(mut listener) => {
                add(Check::Strangers, self.strangers().await);
                let outcomes = match self.try_as_canary(&mut listener).await {
                    Ok(outcomes) => outcomes,
                    Err(why) => OF_CANARY.map(|_| unproven(why.clone())),
                };
                for (check, outcome) in OF_CANARY.into_iter().zip(outcomes) {
                    add(check, outcome);
                }
                // By now whatever is retained has arrived: it comes before what was sent later.
                add(Check::Retained, self.retained(&listener));
            }
        }
        findings.sort_by_key(|finding| finding.check);
        Audit(findings)
    }

    fn transport(&self) -> Finding {
        let Broker { host, tls, .. } = &self.plan.broker;
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let outcome = if tls.is_some() || local {
            Outcome::Holds
        } else {
            broken(format!("passwords go to {} as plain text", self.plan.broker.address()))
        };
        Finding { check: Check::Transport, outcome }
    }

    /// The daemon's own ears.
    async fn listen(&self) -> Result<Line, Trouble> {
        let mut line = Line::connect(&self.plan.broker, "listener").await?;
        let base = &self.plan.base;
        let filters = [base.request_filter(), format!("{base}/{PROBE}/+")];
        for (filter, verdict) in filters.iter().zip(line.subscribe(&filters).await?) {
            verdict.map_err(|refusal| {
                Trouble::Rules(format!("Strandwatch's own user may not read {filter} ({refusal})"))
            })?;
        }
        Ok(line)
    }

    /// Without a login, and with a made-up one.
    async fn strangers(&self) -> Outcome {
        let made_up =
            Login { user: random("stranger-"), password: random("no-such-password-").into() };
        for (login, whom) in [(None, "without a login"), (Some(made_up), "with a made-up login")] {
            let broker = Broker { login, ..self.plan.broker.clone() };
            match Line::connect(&broker, "stranger").await {
                Ok(_) => {
                    return broken(format!("{} lets in whoever comes {whom}", broker.address()));
                }
                // Closing is a refusal too: as the daemon, we have just been let in.
                Err(Trouble::Fault(
                    Fault::Login { .. } | Fault::Refused { .. } | Fault::TurnedAway { .. },
                )) => {}
                Err(trouble) => return unproven(trouble.to_string()),
            }
        }
        Outcome::Holds
    }

    async fn try_as_canary(&self, listener: &mut Line) -> Result<[Outcome; 5], String> {
        let Some(login) = &self.plan.canary else {
            return Err(
                "No canary is configured: give the broker one more user with the rules of a client, and name it as canary under [mqtt]"
                    .to_owned(),
            );
        };
        let name = Name::parse(&login.user).map_err(|bad| format!("The canary: {bad}"))?;
        let broker = Broker { login: Some(login.clone()), ..self.plan.broker.clone() };
        let connected = Line::connect(&broker, "canary").await;
        let line = connected.map_err(|trouble| format!("The canary cannot log in: {trouble}"))?;
        let mut canary = Canary { line, name, base: &self.plan.base };
        canary.try_all(&self.plan, listener).await.map_err(|trouble| trouble.to_string())
    }

    fn retained(&self, listener: &Line) -> Outcome {
        let mut topics = listener.seen.iter().filter(|seen| seen.retained).map(|seen| &seen.topic);
        match (topics.next(), topics.count()) {
            (None, _) => Outcome::Holds,
            (Some(topic), 0) => broken(format!("a request is retained on {topic}")),
            (Some(topic), more) => {
                broken(format!("requests are retained on {topic} and {more} other topics"))
            }
        }
    }
}

/// Somebody with the rules of a client.
struct Canary<'a> {
    line: Line,
    name: Name,
    base: &'a Base,
}

impl Canary<'_> {
    fn request(&self, client: &str) -> String {
        format!("{}/client/{client}/request/{PROBE}/{PROBE}", self.base)
    }

    fn response(&self, client: &str) -> String {
        format!("{}/client/{client}/response/{PROBE}/{PROBE}", self.base)
    }

    async fn try_all(&mut self, plan: &Plan, listener: &mut Line) -> Result<[Outcome; 5], Trouble> {
        let (requests, state) = self.forge(plan, listener).await?;
        let responses = self.overhear(listener).await?;
        let everything = self.read_everything(listener).await?;
        let moonraker = self.reach_moonraker(plan).await?;
        Ok([requests, state, responses, everything, moonraker])
    }

    /// Publishes what it must not, then a request of its own, and sees what arrives.
    async fn forge(
        &mut self,
        plan: &Plan,
        listener: &mut Line,
    ) -> Result<(Outcome, Outcome), Trouble> {
        let mark = random("");
        let victims = plan.clients.iter().map(Name::as_str).take(VICTIMS).chain([NOBODY]);
        let others: Vec<String> = victims.map(|victim| self.request(victim)).collect();
        let daemons = ["state", "event"].map(|leaf| format!("{}/{PROBE}/{leaf}", self.base));
        for topic in others.iter().chain(&daemons) {
            // The broker may refuse it; what counts is whether it arrives.
            let _ = self.line.publish(topic, &mark).await?;
        }
        let own = self.request(self.name.as_str());
        let _ = self.line.publish(&own, &mark).await?;
        if !listener.hears(&own, &mark).await? {
            return Err(Trouble::Rules(format!(
                "The canary's own request on {own} did not arrive: give {} the rules of a client",
                self.name
            )));
        }
        let arrived = |topics: &[String]| {
            let of_ours = listener.seen.iter().filter(|seen| seen.is(&mark));
            let mut passed = of_ours.filter(|seen| topics.contains(&seen.topic));
            match passed.next() {
                None => Outcome::Holds,
                Some(seen) => broken(format!("{} could publish on {}", self.name, seen.topic)),
            }
        };
        Ok((arrived(&others), arrived(&daemons)))
    }

    /// Subscribes to the answers to others; the daemon then answers another and the canary.
    async fn overhear(&mut self, listener: &mut Line) -> Result<Outcome, Trouble> {
        let own = self.base.response_filter(&self.name);
        let wide = format!("{}/client/+/response/#", self.base);
        let others = format!("{}/client/{NOBODY}/response/#", self.base);
        let verdicts = self.line.subscribe(&[own.clone(), wide, others]).await?;
        if let Some(Err(refusal)) = verdicts.first() {
            return Err(Trouble::Rules(format!(
                "The canary may not read its own answers on {own} ({refusal}): give {} the rules of a client",
                self.name
            )));
        }
        let mark = random("");
        let secret = self.response(NOBODY);
        let _ = listener.publish(&secret, &mark).await?;
        self.until_answered(listener, &mark).await?;
        let leaked = self.line.seen.iter().any(|seen| seen.is(&mark) && seen.topic == secret);
        Ok(if leaked {
            broken(format!("{} could read {secret}", self.name))
        } else {
            Outcome::Holds
        })
    }

    /// Subscribes to everything, and sees what it gets beside what is public.
    async fn read_everything(&mut self, listener: &mut Line) -> Result<Outcome, Trouble> {
        let _ = self.line.subscribe(&["#".to_owned()]).await?;
        let mark = random("");
        let _ = listener.publish(&self.request(NOBODY), &mark).await?;
        self.until_answered(listener, &mark).await?;
        let secret = self.line.seen.iter().find(|seen| !self.may_read(&seen.topic));
        Ok(match secret {
            Some(seen) => broken(format!("{} could read {}", self.name, seen.topic)),
            None => Outcome::Holds,
        })
    }

    /// What is public, its own, or none of ours.
    fn may_read(&self, topic: &str) -> bool {
        let ours = topic.strip_prefix(self.base.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if !ours {
            return true;
        }
        match self.base.parse_topic(topic) {
            Ok(Topic::Response(exchange)) => exchange.client == self.name,
            Ok(Topic::Request(_) | Topic::Foreign(_)) | Err(_) => false,
            Ok(
                Topic::Status
                | Topic::Health
                | Topic::Availability(_)
                | Topic::State(_)
                | Topic::Incident(_)
                | Topic::Event(_)
                | Topic::FailureImage(_)
                | Topic::PreviewImage(_),
            ) => true,
        }
    }

    /// Something that must arrive, after what must not.
    async fn until_answered(&mut self, listener: &mut Line, mark: &str) -> Result<(), Trouble> {
        let own = self.response(self.name.as_str());
        let _ = listener.publish(&own, mark).await?;
        if self.line.hears(&own, mark).await? {
            return Ok(());
        }
        Err(Trouble::Rules(format!(
            "The canary's own answer on {own} did not arrive: give {} the rules of a client, and Strandwatch's own user the right to write below {}/",
            self.name, self.base
        )))
    }

    /// Asks each Moonraker that may be here for its version.
    async fn reach_moonraker(&mut self, plan: &Plan) -> Result<Outcome, Trouble> {
        let shown = self
            .line
            .seen
            .iter()
            .filter_map(|seen| seen.topic.strip_suffix("/moonraker/status").map(str::to_owned));
        let instances: BTreeSet<String> = plan.instances.iter().cloned().chain(shown).collect();
        for instance in instances {
            let topic = format!("{instance}/moonraker/api/request");
            let question = r#"{"jsonrpc":"2.0","method":"server.info","id":1}"#;
            if self.line.publish(&topic, question).await?.is_ok() {
                return Ok(broken(format!(
                    "{} could publish on {topic}: whoever may do that can run any G-code, past Strandwatch",
                    self.name
                )));
            }
        }
        Ok(Outcome::Holds)
    }
}
