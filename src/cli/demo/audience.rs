//! What a client with the right to view sees over MQTT, told line by line as it arrives.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::output::say;
use crate::core::event::{Event, EventKind};
use crate::mqtt::client::Received;

/// The observer's view.
pub struct Audience {
    messages: Receiver<Received>,
    picture: PathBuf,
    start: Instant,
    /// Every event so far.
    pub events: Vec<Event>,
    /// The printer's state, as last published.
    state: Value,
}

impl Audience {
    /// Listens; the annotated frame of an alert is written to `picture`.
    pub fn new(messages: Receiver<Received>, picture: PathBuf) -> Self {
        Self { messages, picture, start: Instant::now(), events: Vec::new(), state: Value::Null }
    }

    /// Where the annotated frame is.
    pub fn picture_path(&self) -> &Path {
        &self.picture
    }

    /// A line of the story, with the time.
    pub fn tell(&self, line: impl std::fmt::Display) {
        say(format_args!("{:6.1} s  {line}", self.start.elapsed().as_secs_f64()));
    }

    /// Waits for an event that `wanted` picks; the error names it.
    pub async fn event<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&EventKind) -> Option<T>,
    ) -> anyhow::Result<T> {
        let search = async {
            loop {
                if let Some(event) = self.next().await?
                    && let Some(found) = wanted(&event.kind)
                {
                    return anyhow::Ok(found);
                }
            }
        };
        tokio::time::timeout(within, search)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("not within {within:?}")))
            .with_context(|| format!("waiting for {what}"))
    }

    /// Waits until the printer's state holds `value` under `key`. The state is kept by the broker, so that nothing is
    /// missed however late the observer came.
    pub async fn state(&mut self, key: &str, value: Value, within: Duration) -> anyhow::Result<()> {
        let search = async {
            while self.state[key] != value {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        let waiting = || format!("waiting for {key} = {value} in the printer's state");
        tokio::time::timeout(within, search).await.with_context(waiting)?
    }

    /// Waits until the annotated frame of an alert has been written.
    pub async fn picture(&mut self, within: Duration) -> anyhow::Result<()> {
        let search = async {
            while !self.picture.exists() {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(within, search).await.context("waiting for the annotated frame")?
    }

    /// Takes in one message; an event is told and returned.
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        let message = match self.messages.recv().await {
            Ok(message) => message,
            Err(RecvError::Lagged(_)) => return Ok(None),
            Err(RecvError::Closed) => anyhow::bail!("the observer's connection is gone"),
        };
        if message.topic.ends_with("/image/failure") && !message.payload.is_empty() {
            std::fs::write(&self.picture, &message.payload)?;
            self.tell(format_args!(
                "          the annotated frame arrived: {}",
                self.picture.display()
            ));
        }
        if message.topic.ends_with("/state") {
            self.state = serde_json::from_slice(&message.payload).context("the state's body")?;
        }
        if !message.topic.ends_with("/event") {
            return Ok(None);
        }
        let event: Event = serde_json::from_slice(&message.payload).context("an event's body")?;
        self.tell(format_args!("event     {}", words(&event.kind)));
        self.events.push(event.clone());
        Ok(Some(event))
    }
}

fn words(kind: &EventKind) -> String {
    let name = kind.name();
    match kind {
        EventKind::Suspect { score, evidence, .. } => {
            format!("{name}: score {score:.2}, evidence {:.0} %", evidence * 100.0)
        }
        EventKind::Alert { score, evidence, boxes, .. } => format!(
            "{name}: score {score:.2}, evidence {:.0} %, {} region(s)",
            evidence * 100.0,
            boxes.len()
        ),
        EventKind::Acting { action, attempt, .. } => format!("{name}: {action}, attempt {attempt}"),
        EventKind::Paused { by, idle_timeout_s, .. } => match idle_timeout_s {
            Some(seconds) => {
                format!("{name} by {by}; heaters stay on for {:.0} min", seconds / 60.0)
            }
            None => format!("{name} by {by}"),
        },
        EventKind::Cancelled { by, .. } => format!("{name} by {by}"),
        EventKind::CommandRefused { client, command, reason } => {
            format!("{name}: {command} by {client}: {reason}")
        }
        EventKind::PrintStarted { filename } => {
            format!("{name}: {}", filename.as_deref().unwrap_or("unnamed"))
        }
        EventKind::PrintEnded { outcome, .. } => format!("{name}: {outcome}"),
        EventKind::SelfTest { detail, .. } => format!("{name}: {detail}"),
        EventKind::Degraded { why, .. } | EventKind::Blind { why, .. } => format!("{name}: {why}"),
        EventKind::Cleared { why, .. } => format!("{name}: {why}"),
        EventKind::Enrolment { step, client, why, .. } => {
            let step = serde_json::json!(step);
            let step = step.as_str().unwrap_or_default();
            match (client, why) {
                (Some(client), None) => format!("{name}: {step}: {client}"),
                (_, Some(why)) => format!("{name}: {step}: {why}"),
                (None, None) => format!("{name}: {step}"),
            }
        }
        EventKind::ActFailed { reason, .. } => format!("{name}: {reason}"),
        EventKind::BrokerAudit { problems } => format!("{name}: {}", problems.join("; ")),
        EventKind::Watching | EventKind::Dismissed { .. } | EventKind::Confirmed { .. } => {
            name.to_owned()
        }
    }
}
