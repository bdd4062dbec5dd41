//! The story: a print goes wrong and is stopped, somebody without the right is refused, a good print is left alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::PRINTER;
use super::audience::Audience;
use super::people::House;
use crate::core::event::{EnrolmentStep, EventKind};
use crate::core::types::PrintState;
use crate::mqtt::requester::Requester;
use crate::mqtt::wire::{Delivery, Qos};
use crate::sim::film::{Film, until_extruding};
use crate::sim::klippy::Print;
use crate::sim::stage::{BASE, PrinterRig};

/// Everybody on the stage.
pub struct Story<'a> {
    /// The printer.
    pub printer: &'a PrinterRig,
    /// What the camera shows.
    pub film: &'a Film,
    /// Where credentials are given.
    pub house: &'a House,
    /// What the observer sees.
    pub audience: Audience,
    /// May view.
    pub observer: Requester,
    /// May do everything.
    pub owner: Requester,
    /// The household's secret, once it has one.
    pub secret: String,
    /// How much faster than life.
    pub speed: f64,
    /// What was to be observed, and whether it was.
    pub checks: Vec<(&'static str, bool)>,
}

/// Nothing in this story takes longer.
const PATIENCE: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(15);

impl Story<'_> {
    /// Tells it all; ends early when something does not happen.
    pub async fn tell(&mut self) -> anyhow::Result<()> {
        self.bad_print().await?;
        self.commands().await?;
        self.revocation().await?;
        self.good_print().await
    }

    fn check(&mut self, what: &'static str, held: bool) {
        self.checks.push((what, held));
    }

    fn start(&self, file: &str, seconds: f64) -> anyhow::Result<()> {
        // `duration` is simulated time.
        let duration = Duration::from_secs_f64(seconds * self.speed);
        self.printer.klippy.start_print(Print { duration, ..Print::new(file) })?;
        Ok(())
    }

    async fn bad_print(&mut self) -> anyhow::Result<()> {
        let seen = &mut self.audience;
        seen.state("self_test_passed", json!(true), PATIENCE).await?;
        self.check("the known failure picture fired before anything else", true);
        self.audience.tell("printer   starts benchy.gcode");
        self.start("benchy.gcode", 300.0)?;
        let seen = &mut self.audience;
        seen.event("the start of the print", PATIENCE, |kind| {
            matches!(kind, EventKind::PrintStarted { .. }).then_some(())
        })
        .await?;
        seen.event("watching", PATIENCE, |kind| matches!(kind, EventKind::Watching).then_some(()))
            .await?;
        self.check("the print's start and that it is watched", true);
        until_extruding(&self.printer.klippy).await;
        tokio::time::sleep(Duration::from_secs_f64(8.0 / self.speed)).await;
        let quiet = !self.audience.events.iter().any(|event| is_alarm(&event.kind));
        self.check("no suspicion while the print went well", quiet);

        self.audience.tell("printer   the part comes loose: strands go everywhere");
        self.film.fail(Duration::from_secs_f64(5.0 / self.speed));
        let seen = &mut self.audience;
        seen.event("suspicion", PATIENCE, |kind| {
            matches!(kind, EventKind::Suspect { .. }).then_some(())
        })
        .await?;
        let incident = seen
            .event("the alert", PATIENCE, |kind| {
                if let EventKind::Alert { incident, .. } = kind {
                    Some(incident.clone())
                } else {
                    None
                }
            })
            .await?;
        self.check("suspicion, then the alert", true);
        let by = self
            .audience
            .event("the pause", PATIENCE, |kind| {
                let EventKind::Paused { incident: Some(of), by, .. } = kind else { return None };
                (*of == incident).then(|| by.clone())
            })
            .await?;
        let really = self.printer.klippy.snapshot().print == PrintState::Paused;
        self.check("the pause, confirmed by the printer", by == "strandwatch" && really);
        let arrived = self.audience.picture(ANSWER).await.is_ok();
        self.check("the annotated frame", arrived);
        Ok(())
    }

    async fn commands(&mut self) -> anyhow::Result<()> {
        self.audience.tell("observer  asks to cancel the print");
        let answer = self.observer.request(PRINTER, "cancel", &request("o-1"), ANSWER).await?;
        self.audience.tell(format_args!("answer    {answer}"));
        let paused = self.printer.klippy.snapshot().print == PrintState::Paused;
        self.check(
            "the observer's cancel was refused, and nothing moved",
            status(&answer) == "refused" && paused,
        );

        self.audience.tell("observer  publishes on the owner's topic instead");
        let topic = format!("{BASE}/client/owner/request/{PRINTER}/cancel");
        let delivery = Delivery { qos: Qos::AtLeastOnce, retain: false, expiry: None };
        let body = request("o-2").to_string().into_bytes();
        let spoof = self.observer.publish(topic, body, delivery).await;
        let refused = spoof.is_err();
        if let Err(refusal) = spoof {
            self.audience.tell(format_args!("broker    {refusal}"));
        }
        self.check("the broker refused the observer in the owner's name", refused);

        let household = self.invitation().await?;
        self.audience.tell("household confirms the failure");
        let answer = household.request(PRINTER, "confirm", &request("h-1"), ANSWER).await?;
        self.audience.tell(format_args!("answer    {answer}"));
        self.check("the household's vote counted", status(&answer) == "ok");

        self.audience.tell("owner     cancels the print");
        let answer = self.owner.request(PRINTER, "cancel", &request("w-1"), ANSWER).await?;
        self.audience.tell(format_args!("answer    {answer}"));
        let by = self
            .audience
            .event("the cancellation", PATIENCE, |kind| {
                if let EventKind::Cancelled { by, .. } = kind { Some(by.clone()) } else { None }
            })
            .await?;
        self.check("the owner's cancel was done", status(&answer) == "ok" && by == "owner");
        self.audience
            .event("the end of the print", PATIENCE, |kind| {
                matches!(kind, EventKind::PrintEnded { .. }).then_some(())
            })
            .await
    }

    /// Somebody without a credential is invited; gives the connection that it has in the end.
    async fn invitation(&mut self) -> anyhow::Result<Requester> {
        self.audience.tell("owner     $ strandwatch client invite --rights household");
        let invitation = self.house.client(&["invite", "--rights", "household"]).await?;
        let code = invitation["code"].as_str().unwrap_or_default();
        self.audience
            .tell(format_args!("newcomer  knows the code {code} and says hello as household"));
        let mut newcomer = self.house.newcomer(code).await?;
        let number = newcomer.present("household").await?;
        let step = |wanted| {
            move |kind: &EventKind| {
                matches!(kind, EventKind::Enrolment { step, .. } if *step == wanted).then_some(())
            }
        };
        self.audience.event("the newcomer", ANSWER, step(EnrolmentStep::Presented)).await?;
        let waiting = self.house.client(&["confirm"]).await?;
        let same = waiting["waiting"][0]["number"] == number.as_str();
        self.check("the newcomer and the daemon show the same number", same);
        self.audience.tell(format_args!("owner     $ strandwatch client confirm {number}"));
        self.house.client(&["confirm", &number]).await?;
        let credential = newcomer.welcome().await?;
        self.audience.event("the admission", ANSWER, step(EnrolmentStep::Admitted)).await?;
        self.secret = credential.secret;
        let (household, _) = self.house.connect("household", &self.secret).await?;
        self.check("an invitation was accepted: the household has a credential of its own", true);
        Ok(household)
    }

    /// The household's credential is taken away while it is connected.
    async fn revocation(&mut self) -> anyhow::Result<()> {
        let (_household, mut messages) = self.house.connect("household", &self.secret).await?;
        self.audience.tell("owner     $ strandwatch client rm household");
        self.house.client(&["rm", "household"]).await?;
        let ended = async { while !matches!(messages.recv().await, Err(RecvError::Closed)) {} };
        let ended = tokio::time::timeout(ANSWER, ended).await.is_ok();
        self.check("the household's connection ended at once when it was removed", ended);
        let again = self.house.connect("household", &self.secret).await;
        if let Err(refusal) = &again {
            self.audience.tell(format_args!("broker    {refusal}"));
        }
        self.check("its credential opens nothing any more", again.is_err());
        Ok(())
    }

    async fn good_print(&mut self) -> anyhow::Result<()> {
        self.film.clean_up();
        let before = self.audience.events.len();
        self.audience.tell("printer   starts calibration-cube.gcode, which goes well");
        self.start("calibration-cube.gcode", 15.0)?;
        let outcome = self
            .audience
            .event("the end of the good print", PATIENCE, |kind| {
                if let EventKind::PrintEnded { outcome, .. } = kind {
                    Some(outcome.clone())
                } else {
                    None
                }
            })
            .await?;
        let seen = self.audience.events.get(before..).unwrap_or_default();
        let watched = seen.iter().any(|event| event.kind == EventKind::Watching);
        let quiet = !seen.iter().any(|event| is_alarm(&event.kind));
        self.check(
            "a good print was watched to its end and raised nothing",
            outcome == "complete" && watched && quiet,
        );
        Ok(())
    }
}

fn is_alarm(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Suspect { .. } | EventKind::Alert { .. } | EventKind::Acting { .. })
}

fn request(id: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({ "id": format!("{id}-{}", now.as_millis()), "issued_at": now.as_secs() })
}

fn status(answer: &Value) -> &str {
    answer.get("status").and_then(Value::as_str).unwrap_or_default()
}
