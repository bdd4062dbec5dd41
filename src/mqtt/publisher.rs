//! The half of a session that publishes: what is pending, events from the outbox, and the last words.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::client::Sender;
use super::fault::{Fault, Refusal};
use super::pending::{Tag, message};
use super::session::Verdict;
use super::topics::Topic;
use super::wire::{Message, OFFLINE, ONLINE};
use super::{Setup, Shared};
use crate::core::event::Event;
use crate::core::types::Name;
use crate::ports::{BusLink, Store};

/// How long the broker may take to acknowledge a message or a subscription.
const ACKNOWLEDGE: Duration = Duration::from_secs(15);

/// When that which the broker refused, or a store that failed, is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(20);

/// How long the end waits for what is pending, before the last words.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Documents and responses in flight.
const WINDOW: usize = 12;

/// Events in flight, which go in batches.
const BATCH: usize = 8;

/// What the broker can refuse: `None` is the subscription to requests.
type Subject = Option<Topic>;

/// A courtesy: the link is up without it.
fn is_foreign(subject: &Subject) -> bool {
    matches!(subject, Some(Topic::Foreign(_)))
}

pub(super) struct Publisher<'a> {
    shared: &'a Shared,
    setup: &'a Setup,
    store: &'a dyn Store,
    sender: Sender<Tag>,
    /// Documents and responses in flight.
    in_flight: usize,
    /// Events in flight.
    events_in_flight: usize,
    /// When the broker last gave a verdict, or was first owed one.
    heard: Instant,
    /// The outbox may hold something.
    events_due: bool,
    /// One was refused, or the store failed: they wait for `again`.
    events_rest: bool,
    /// What is refused, and why.
    refusals: BTreeMap<Subject, Refusal>,
    /// When to try again what was refused or failed.
    again: Option<Instant>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        setup: &'a Setup,
        store: &'a dyn Store,
        sender: Sender<Tag>,
    ) -> Self {
        Self {
            shared,
            setup,
            store,
            sender,
            in_flight: 0,
            events_in_flight: 0,
            heard: Instant::now(),
            events_due: true,
            events_rest: false,
            refusals: BTreeMap::new(),
            again: None,
        }
    }

    /// Publishes until the connection must be given up, or for ever: the polling half sees the end.
    pub(super) async fn run(mut self, mut verdicts: mpsc::Receiver<Verdict>) -> Fault {
        let Ok(Some(subscription)) = timeout(ACKNOWLEDGE, verdicts.recv()).await else {
            return self.setup.stuck("it does not acknowledge the subscription");
        };
        self.begin();
        self.settle(subscription).await;
        let mut closing: Option<Instant> = None;
        let mut words = 0;
        loop {
            self.send_pending();
            if closing.is_none_or(|since| since.elapsed() < LAST_CALL) {
                self.send_events().await;
            }
            if let Some(since) = closing
                && self.may_part(since)
            {
                words += 1;
                if !self.part(words) {
                    self.sender.disconnect();
                    return std::future::pending().await;
                }
                continue;
            }
            let last_call =
                closing.map(|since| since + LAST_CALL).filter(|time| *time > Instant::now());
            tokio::select! {
                Some(verdict) = verdicts.recv() => self.settle(verdict).await,
                () = self.shared.work.notified() => {}
                () = self.shared.outbox.notified() => self.events_due = !self.events_rest,
                () = sleep_until(self.heard + ACKNOWLEDGE), if self.owed() > 0 => {
                    return self.setup.stuck("it does not acknowledge messages");
                }
                () = wait_until(self.again) => self.try_again(),
                () = self.shared.closing.cancelled(), if closing.is_none() => {
                    closing = Some(Instant::now());
                }
                () = wait_until(last_call) => {}
            }
        }
    }

    /// The broker may have lost all that it retained.
    fn begin(&self) {
        let mut pending = self.shared.pending();
        pending.begin();
        pending.add(Topic::Status, ONLINE.to_vec());
    }

    /// Whether the last words may be said, or the next of them.
    fn may_part(&self, since: Instant) -> bool {
        let settled = self.owed() == 0 && self.shared.pending().is_idle();
        (settled && !self.events_due) || (since.elapsed() >= LAST_CALL && self.in_flight == 0)
    }

    /// Adds the last word of this number; false when all is said.
    fn part(&self, word: u32) -> bool {
        let printers = self.setup.printers.iter().cloned().map(Topic::Availability);
        match word {
            1 => printers.for_each(|topic| self.shared.add(topic, OFFLINE.to_vec())),
            2 => self.shared.add(Topic::Status, OFFLINE.to_vec()),
            _ => return false,
        }
        true
    }

    fn owed(&self) -> usize {
        self.in_flight + self.events_in_flight
    }

    fn send(&mut self, tag: Tag, message: Message) -> Result<(), Refusal> {
        if self.owed() == 0 {
            self.heard = Instant::now();
        }
        self.sender.publish(tag, message)
    }

    fn send_pending(&mut self) {
        while self.in_flight < WINDOW {
            let next = self.shared.pending().next(&self.setup.base, Instant::now());
            let Some((tag, message)) = next else { return };
            match self.send(tag.clone(), message) {
                Ok(()) => self.in_flight += 1,
                Err(refusal) => {
                    self.shared.pending().settle(&tag, false);
                    self.judge(Some(tag.topic().clone()), Err(refusal));
                }
            }
        }
    }

    /// Sends the next batch of events, once the last is settled.
    async fn send_events(&mut self) {
        while self.events_due && self.events_in_flight == 0 {
            let events = match self.store.undelivered(BATCH).await {
                Ok(events) => events,
                Err(fault) => {
                    tracing::error!(%fault, "events cannot be read from the store and so are not published");
                    return self.later();
                }
            };
            self.events_due = !events.is_empty();
            for (key, event) in events {
                self.send_event(key, &event).await;
            }
        }
    }

    async fn send_event(&mut self, key: i64, event: &Event) {
        let body = serde_json::to_vec(event).map_err(|error| error.to_string());
        let topic =
            Name::parse(&event.printer).map(Topic::Event).map_err(|error| error.to_string());
        let (topic, body) = match (topic, body) {
            (Ok(topic), Ok(body)) => (topic, body),
            (Err(why), _) | (_, Err(why)) => {
                tracing::error!(?event, why, "an event that cannot be published is dropped");
                return self.delivered(key).await;
            }
        };
        let message = message(&self.setup.base, &topic, body);
        match self.send(Tag::Event(key, topic.clone()), message) {
            Ok(()) => self.events_in_flight += 1,
            Err(refusal) => self.event_refused(key, topic, refusal).await,
        }
    }

    async fn settle(&mut self, verdict: Verdict) {
        self.heard = Instant::now();
        match verdict {
            Verdict::Subscription(verdicts) => {
                let birth = self.setup.birth.clone().map(Topic::Foreign);
                for (subject, verdict) in [None].into_iter().chain(birth.map(Some)).zip(verdicts) {
                    self.judge(subject, verdict);
                }
            }
            Verdict::Message(Tag::Event(key, topic), verdict) => {
                self.events_in_flight = self.events_in_flight.saturating_sub(1);
                match verdict {
                    Ok(()) => {
                        self.delivered(key).await;
                        self.judge(Some(topic), Ok(()));
                    }
                    Err(refusal) => self.event_refused(key, topic, refusal).await,
                }
            }
            // Where the broker's ACL forbids it, the request stays, is refused each time, and nothing else suffers.
            Verdict::Message(Tag::Clearing(topic), verdict) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                if let Err(refusal) = verdict {
                    tracing::debug!(?topic, %refusal, "a retained request could not be cleared");
                }
            }
            Verdict::Message(tag, verdict) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.shared.pending().settle(&tag, verdict.is_ok());
                self.shared.taken.notify_waiters();
                self.judge(Some(tag.topic().clone()), verdict);
            }
        }
    }

    async fn delivered(&mut self, key: i64) {
        if let Err(fault) = self.store.delivered(key).await {
            tracing::error!(%fault, "an event is done with, but cannot be marked so: it will be published again");
            self.later();
        }
    }

    async fn event_refused(&mut self, key: i64, topic: Topic, refusal: Refusal) {
        if !refusal.may_pass_later() {
            // Kept, it would hold up every event after it, for ever.
            tracing::error!(?topic, key, "an event that the broker can never take is dropped");
            self.delivered(key).await;
        } else {
            self.later();
        }
        self.judge(Some(topic), Err(refusal));
    }

    /// Lets the events rest for a while.
    fn later(&mut self) {
        self.events_due = false;
        self.events_rest = true;
        self.again.get_or_insert_with(|| Instant::now() + TRY_AGAIN);
    }

    /// Notes what the broker said, and tells the link.
    fn judge(&mut self, subject: Subject, verdict: Result<(), Refusal>) {
        match verdict {
            Ok(()) => {
                self.refusals.remove(&subject);
            }
            Err(refusal) if refusal.may_pass_later() => {
                if is_foreign(&subject) && !self.refusals.contains_key(&subject) {
                    tracing::warn!("{}", describe(self.setup, subject.as_ref(), &refusal));
                }
                self.refusals.insert(subject, refusal);
                self.again.get_or_insert_with(|| Instant::now() + TRY_AGAIN);
            }
            Err(refusal) => {
                tracing::error!(topic = ?subject, %refusal, "the broker can never take this message");
            }
        }
        // The subscription sorts first: without it no command arrives at all.
        let serious = self.refusals.iter().find(|(subject, _)| !is_foreign(subject));
        self.shared.set_link(match serious {
            None => BusLink::Up,
            Some((subject, refusal)) => {
                BusLink::Down { why: describe(self.setup, subject.as_ref(), refusal) }
            }
        });
    }

    fn try_again(&mut self) {
        self.again = None;
        self.events_rest = false;
        self.events_due = true;
        // A response is not sent twice; whether the next one passes will be seen.
        self.refusals.retain(|subject, _| !matches!(subject, Some(Topic::Response(_))));
        for topic in self.refusals.keys().flatten() {
            self.shared.pending().redo(topic);
        }
        if self.refusals.contains_key(&None) {
            // What cannot be sent now is tried again with the next connection.
            let _ = self.sender.subscribe(self.setup.filters());
        }
    }
}

fn describe(setup: &Setup, topic: Option<&Topic>, refusal: &Refusal) -> String {
    let broker = setup.broker.address();
    let base = &setup.base;
    let user = setup.broker.login.as_ref().map_or("this client", |login| login.user.as_str());
    match topic {
        None => format!(
            "connected to the MQTT broker {broker}, but it refuses the subscription to {} ({refusal}), so no command can arrive; let {user} read it in the broker's ACL (Mosquitto: `topic read {base}/client/+/request/#`)",
            base.request_filter()
        ),
        Some(Topic::Foreign(topic)) => format!(
            "the MQTT broker {broker} refuses {topic} ({refusal}), so Home Assistant does not learn of the printers; let {user} read and write it in the broker's ACL (Mosquitto: `topic readwrite {topic}`), or set home_assistant.enabled = false"
        ),
        Some(topic) => format!(
            "connected to the MQTT broker {broker}, but it refuses messages on {} ({refusal}); let {user} write it in the broker's ACL (Mosquitto: `topic readwrite {base}/#`)",
            base.topic(topic)
        ),
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
