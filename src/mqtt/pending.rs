//! What is owed to the broker beside events: documents by topic, the latest wins, and responses in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use super::topics::{Base, Exchange, Topic};
use super::wire::{Delivery, Message, Qos, RESPONSE_EXPIRY, delivery};

/// Responses that wait for the broker; beyond that the oldest is dropped.
const RESPONSES: usize = 64;

/// Retained requests that wait to be cleared; the rest is seen after the next connection.
const CLEARINGS: usize = 64;

/// What a message in flight is, to be told when it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// An empty message that takes a retained request off the broker.
    Clearing(Topic),
    /// The document of a topic.
    Document(Topic),
    /// A response, by its number here.
    Response(u64, Topic),
    /// An event, by the store's key.
    Event(i64, Topic),
}

impl Tag {
    pub(super) fn topic(&self) -> &Topic {
        match self {
            Self::Clearing(topic)
            | Self::Document(topic)
            | Self::Response(_, topic)
            | Self::Event(_, topic) => topic,
        }
    }
}

#[derive(Default)]
pub(super) struct Pending {
    documents: BTreeMap<Topic, Document>,
    responses: VecDeque<Response>,
    numbered: u64,
    /// Requests that somebody retained.
    retained: BTreeSet<Topic>,
}

struct Document {
    payload: Vec<u8>,
    /// Newer than what was sent last.
    dirty: bool,
    /// One of a topic at a time, so that an older one can never arrive after a newer one.
    in_flight: bool,
    /// The broker has taken this payload.
    taken: bool,
}

struct Response {
    number: u64,
    topic: Topic,
    payload: Vec<u8>,
    since: Instant,
    sent: bool,
}

impl Pending {
    /// Takes a document or a response.
    pub(super) fn add(&mut self, topic: Topic, payload: Vec<u8>) {
        if matches!(topic, Topic::Response(_)) {
            self.respond(topic, payload);
            return;
        }
        match self.documents.get_mut(&topic) {
            Some(document) => {
                document.payload = payload;
                document.dirty = true;
                document.taken = false;
            }
            None => {
                let document = Document { payload, dirty: true, in_flight: false, taken: false };
                self.documents.insert(topic, document);
            }
        }
    }

    /// Takes a retained request off the broker. It is of no use to anybody: none is ever carried out.
    pub(super) fn clear_request(&mut self, exchange: Exchange) {
        if self.retained.len() < CLEARINGS {
            self.retained.insert(Topic::Request(exchange));
        }
    }

    fn respond(&mut self, topic: Topic, payload: Vec<u8>) {
        if self.responses.len() >= RESPONSES
            && let Some(dropped) = self.responses.pop_front()
        {
            tracing::warn!(topic = ?dropped.topic, "too many responses wait for the broker: the oldest was dropped");
        }
        self.numbered += 1;
        let (number, since) = (self.numbered, Instant::now());
        self.responses.push_back(Response { number, topic, payload, since, sent: false });
    }

    /// A new connection: all documents are owed again, as the broker may have lost what it retained, and so are the
    /// responses that it never acknowledged. Pictures that are not retained are of no use later.
    pub(super) fn begin(&mut self) {
        self.documents.retain(|topic, _| delivery(topic).retain);
        for document in self.documents.values_mut() {
            document.dirty = true;
            document.in_flight = false;
        }
        for response in &mut self.responses {
            response.sent = false;
        }
    }

    /// The next message to send: responses first, as people wait for them.
    pub(super) fn next(&mut self, base: &Base, now: Instant) -> Option<(Tag, Message)> {
        self.responses.retain(|response| {
            response.sent || now.duration_since(response.since) < RESPONSE_EXPIRY
        });
        if let Some(response) = self.responses.iter_mut().find(|response| !response.sent) {
            response.sent = true;
            let tag = Tag::Response(response.number, response.topic.clone());
            return Some((tag, message(base, &response.topic, response.payload.clone())));
        }
        if let Some(topic) = self.retained.pop_first() {
            let empty = message(base, &topic, Vec::new());
            let delivery = Delivery { retain: true, ..empty.delivery };
            return Some((Tag::Clearing(topic), Message { delivery, ..empty }));
        }
        let (topic, document) = self
            .documents
            .iter_mut()
            .find(|(_, document)| document.dirty && !document.in_flight)?;
        document.dirty = false;
        document.in_flight = true;
        let tag = Tag::Document(topic.clone());
        Some((tag, message(base, topic, document.payload.clone())))
    }

    /// The broker took it (`ok`), or never will.
    pub(super) fn settle(&mut self, tag: &Tag, ok: bool) {
        match tag {
            Tag::Document(topic) => {
                let Some(document) = self.documents.get_mut(topic) else { return };
                document.in_flight = false;
                if document.dirty {
                    return;
                }
                document.taken = ok;
                // Home Assistant complains of what is cleared twice.
                let cleared = matches!(topic, Topic::Foreign(_)) && document.payload.is_empty();
                if delivery(topic).qos == Qos::AtMostOnce || ok && cleared {
                    self.documents.remove(topic);
                }
            }
            Tag::Response(number, _) => {
                self.responses.retain(|response| response.number != *number);
            }
            Tag::Event(..) | Tag::Clearing(_) => {}
        }
    }

    /// Whether the broker has taken the newest document of the topic.
    pub(super) fn is_taken(&self, topic: &Topic) -> bool {
        self.documents.get(topic).is_none_or(|document| document.taken)
    }

    /// The topic's document is owed again.
    pub(super) fn redo(&mut self, topic: &Topic) {
        if let Some(document) = self.documents.get_mut(topic) {
            document.dirty = true;
        }
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.responses.is_empty()
            && self.retained.is_empty()
            && self.documents.values().all(|document| !document.dirty && !document.in_flight)
    }
}

/// A message on `topic`, as the contract's table has it.
pub(super) fn message(base: &Base, topic: &Topic, payload: Vec<u8>) -> Message {
    Message { topic: base.topic(topic), payload, delivery: delivery(topic) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::Name;
    use crate::mqtt::topics::Level;

    fn base() -> Base {
        Base::parse("strandwatch").unwrap()
    }

    fn response(command: &str) -> Topic {
        Topic::Response(Exchange {
            client: Name::parse("owner").unwrap(),
            printer: Level::parse("voron").unwrap(),
            command: Level::parse(command).unwrap(),
        })
    }

    fn drain(pending: &mut Pending) -> Vec<(Tag, Vec<u8>)> {
        std::iter::from_fn(|| pending.next(&base(), Instant::now()))
            .map(|(tag, message)| (tag, message.payload))
            .collect()
    }

    #[test]
    fn a_document_in_flight_is_followed_by_the_latest_only() {
        let mut pending = Pending::default();
        pending.add(Topic::Health, b"1".to_vec());
        let (tag, first) = pending.next(&base(), Instant::now()).unwrap();
        assert_eq!(first.payload, b"1");
        pending.add(Topic::Health, b"2".to_vec());
        pending.add(Topic::Health, b"3".to_vec());
        assert!(pending.next(&base(), Instant::now()).is_none(), "one of a topic at a time");
        pending.settle(&tag, true);
        assert_eq!(drain(&mut pending), [(tag.clone(), b"3".to_vec())]);
        pending.settle(&tag, true);
        assert!(pending.is_idle());
    }

    #[test]
    fn a_new_connection_owes_all_retained_documents_and_unacknowledged_responses_again() {
        let printer = Name::parse("voron").unwrap();
        let mut pending = Pending::default();
        pending.add(Topic::Health, b"h".to_vec());
        pending.add(Topic::PreviewImage(printer), b"jpeg".to_vec());
        pending.add(response("pause"), b"answered".to_vec());
        pending.add(response("resume"), b"not yet".to_vec());
        let sent = drain(&mut pending);
        assert_eq!(sent.len(), 4);
        pending.settle(&sent[0].0, true);
        pending.begin();
        let again: Vec<Vec<u8>> = drain(&mut pending).into_iter().map(|(_, body)| body).collect();
        assert_eq!(again, [b"not yet".to_vec(), b"h".to_vec()]);
    }

    #[test]
    fn what_was_cleared_outside_the_base_is_not_cleared_again() {
        let mut pending = Pending::default();
        let topic = Topic::Foreign("homeassistant/device/old/config".to_owned());
        pending.add(topic.clone(), Vec::new());
        let (tag, _) = pending.next(&base(), Instant::now()).unwrap();
        pending.settle(&tag, false);
        assert!(!pending.is_taken(&topic), "refused");
        pending.begin();
        let (tag, _) = pending.next(&base(), Instant::now()).unwrap();
        pending.settle(&tag, true);
        assert!(pending.is_taken(&topic));
        pending.begin();
        assert!(pending.is_idle());
    }

    #[test]
    fn responses_that_nobody_waits_for_any_more_are_dropped() {
        let mut pending = Pending::default();
        pending.add(response("pause"), b"late".to_vec());
        assert!(pending.next(&base(), Instant::now() + RESPONSE_EXPIRY).is_none());
        for n in 0..=RESPONSES {
            pending.add(response("pause"), n.to_string().into_bytes());
        }
        let sent = drain(&mut pending);
        assert_eq!(sent.len(), RESPONSES);
        assert_eq!(sent[0].1, b"1", "the oldest went");
    }
}
