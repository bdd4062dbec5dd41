//! One connection to a broker: the only file that knows rumqttc.
//!
//! What rumqttc 0.25.1 (its `v5` half) makes necessary:
//! - After a reconnect it drops unacknowledged QoS 1 messages unless the broker resumed the session, resends others in
//!   the order of packet ids, keeps requests that were queued for the old connection, and never clears a packet-id
//!   collision. So an [`EventLoop`] serves one connection only here: a new one is made for each attempt, and what is
//!   still owed is known by those who sent it (they gave each message a tag and hear when it is settled).
//! - It does not say which PUBACK belongs to which publish. It does take requests first in, first out, and reports each
//!   with its packet id when it goes out; [`Connection`] pairs that with the tags in their order.
//! - A message above the broker's `Maximum Packet Size` ends the connection, for ever again after each reconnect.
//!   [`Sender::publish`] refuses it instead.
//! - A flush to a peer that stopped reading never ends, and no keep-alive is checked meanwhile: [`Connection::next`] has a
//!   deadline of its own.
//! - Its table of packets in flight has 65 536 entries (several MB) unless limited.
//! - A CONNACK without properties, as an MQTT 3 broker sends it, is taken for half a packet, and so ends in its timeout;
//!   and so is a DISCONNECT with a bare reason, which is what Mosquitto sends: why it closed is lost.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, Packet, PubAckReason,
    PublishProperties, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError, TlsError,
};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use secrecy::ExposeSecret;

use super::broker::{Broker, client_config};
use super::fault::{Fault, Refusal};
use super::wire::{Message, Qos};

/// How a session begins and ends, and what it takes.
pub struct Terms {
    /// The session's name at the broker.
    pub client_id: String,
    /// Take up the session that the broker still holds, with the messages that it queued meanwhile.
    pub resume: bool,
    /// How long the broker holds the session after the connection is gone, whole seconds.
    pub held_for: Duration,
    /// What the broker publishes when the connection dies.
    pub will: Option<Message>,
    /// The largest packet that may come, bytes; told to the broker, which drops larger ones.
    pub largest: u32,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The whole topic.
    pub topic: String,
    /// The body.
    pub payload: Vec<u8>,
    /// Published as retained, be it replayed by the broker or forwarded live.
    pub retained: bool,
}

/// What a connection reports.
#[derive(Debug)]
pub enum Happening<T> {
    /// The broker greeted us.
    Connected,
    /// The broker answered [`Sender::subscribe`], one verdict a filter.
    Subscribed(Vec<Result<(), Refusal>>),
    /// A message arrived, and is acknowledged already.
    Arrived(Received),
    /// The broker took or refused the message with this tag; QoS 0 counts as taken once it is sent.
    Settled(T, Result<(), Refusal>),
    /// Our own goodbye is on its way.
    Disconnected,
}

/// How often a ping goes out. Two of them unanswered end the connection, so a dead one is noticed within 14 s.
const KEEP_ALIVE: Duration = Duration::from_secs(7);

/// No event at all for so long, pings included, means that even sending is stuck.
const SILENCE: Duration = Duration::from_secs(15);

/// Time for the connection, TLS and the broker's greeting together, s.
const GREETING_S: u64 = 5;

/// Requests queued for the event loop; senders keep less than that unsettled.
pub(super) const QUEUE: usize = 128;

/// Publishes in flight; below the receive maximum that brokers allow by default (Mosquitto: 20).
const IN_FLIGHT: u16 = 20;

/// Room for a packet's header and properties beside topic and payload, bytes.
const OVERHEAD: usize = 64;

/// Begins a connection; it is made when [`Connection::next`] is called.
///
/// # Errors
/// When the certificate authority cannot be read.
pub fn open<T>(broker: &Broker, terms: Terms) -> Result<(Sender<T>, Connection<T>), Fault> {
    let address = broker.address();
    // rumqttc joins host and port with a colon, which an IPv6 address stands only in brackets.
    let host = if broker.host.contains(':') && broker.tls.is_none() {
        format!("[{}]", broker.host)
    } else {
        broker.host.clone()
    };
    let mut options = MqttOptions::new(terms.client_id.clone(), host, broker.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(GREETING_S)
        .set_clean_start(!terms.resume)
        .set_request_channel_capacity(QUEUE)
        .set_outgoing_inflight_upper_limit(IN_FLIGHT)
        .set_max_packet_size(Some(terms.largest))
        .set_session_expiry_interval(Some(whole_seconds(terms.held_for)));
    if let Some(login) = &broker.login {
        options.set_credentials(login.user.clone(), login.password.expose_secret());
    }
    if let Some(will) = terms.will {
        let retain = will.delivery.retain;
        let qos = qos(will.delivery.qos);
        options.set_last_will(LastWill::new(will.topic, will.payload, qos, retain, None));
    }
    if let Some(tls) = &broker.tls {
        let config = client_config(tls, &address)?;
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    }
    let (client, eventloop) = AsyncClient::new(options, QUEUE);
    let tags = Arc::new(Mutex::new(VecDeque::new()));
    let largest = Arc::new(AtomicU32::new(u32::MAX));
    let sender = Sender { client, tags: Arc::clone(&tags), largest: Arc::clone(&largest) };
    let connection = Connection {
        eventloop,
        tags,
        largest,
        unacknowledged: HashMap::new(),
        connected: false,
        address,
        login: broker.login.as_ref().map(|login| login.user.clone()),
        client_id: terms.client_id,
    };
    Ok((sender, connection))
}

/// The end that sends. Nothing here waits.
pub struct Sender<T> {
    client: AsyncClient,
    tags: Arc<Mutex<VecDeque<T>>>,
    largest: Arc<AtomicU32>,
}

impl<T> Sender<T> {
    /// Sends a message; [`Happening::Settled`] tells with the tag what became of it, unless the connection ends before.
    ///
    /// # Errors
    /// When the message cannot be sent at all; nothing more is told of it then.
    pub fn publish(&self, tag: T, message: Message) -> Result<(), Refusal> {
        let bytes = message.topic.len() + message.payload.len() + OVERHEAD;
        let limit = self.largest.load(Ordering::Relaxed) as usize;
        if bytes > limit {
            return Err(Refusal::TooLarge { bytes, limit });
        }
        let properties = PublishProperties {
            message_expiry_interval: message.delivery.expiry.map(whole_seconds),
            ..PublishProperties::default()
        };
        // Held over both steps: the connection pairs tags with packets by their order.
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.client.try_publish_with_properties(
            message.topic,
            qos(message.delivery.qos),
            message.delivery.retain,
            message.payload,
            properties,
        );
        match sent {
            Ok(()) => {
                tags.push_back(tag);
                Ok(())
            }
            Err(_) => Err(Refusal::Failed("too many messages are waiting".to_owned())),
        }
    }

    /// Subscribes at QoS 1, so that retained messages are replayed and every message tells whether it was published as
    /// retained. (MQTT clears that flag on live messages unless "retain as published" is asked for.)
    ///
    /// # Errors
    /// When a filter is malformed or too much is waiting.
    pub fn subscribe(&self, filters: Vec<String>) -> Result<(), Refusal> {
        let filters = filters.into_iter().map(|path| Filter {
            path,
            qos: QoS::AtLeastOnce,
            nolocal: false,
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::OnEverySubscribe,
        });
        self.client
            .try_subscribe_many(filters)
            .map_err(|_| Refusal::Invalid("the subscription cannot be sent".to_owned()))
    }

    /// Says goodbye, after what was sent before; the broker then drops the last will.
    pub fn disconnect(&self) {
        // A full queue is one that the broker does not empty: the connection is about to be given up then.
        let _ = self.client.try_disconnect();
    }
}

/// The end that drives the connection and hears of it.
pub struct Connection<T> {
    eventloop: EventLoop,
    tags: Arc<Mutex<VecDeque<T>>>,
    largest: Arc<AtomicU32>,
    unacknowledged: HashMap<u16, T>,
    connected: bool,
    address: String,
    login: Option<String>,
    client_id: String,
}

impl<T> Connection<T> {
    /// Drives the connection until something is to be told. Call it again and again, and wait for nothing between.
    ///
    /// # Errors
    /// When the connection could not be made or has ended; open a new one.
    pub async fn next(&mut self) -> Result<Happening<T>, Fault> {
        loop {
            let event = match tokio::time::timeout(SILENCE, self.eventloop.poll()).await {
                Err(_) => return Err(self.stuck("nothing can be sent to it")),
                Ok(Err(error)) => return Err(self.explain(error)),
                Ok(Ok(event)) => event,
            };
            let told = match event {
                Event::Outgoing(outgoing) => self.sent(&outgoing)?,
                Event::Incoming(packet) => self.arrived(packet),
            };
            if let Some(told) = told {
                return Ok(told);
            }
        }
    }

    fn sent(&mut self, outgoing: &Outgoing) -> Result<Option<Happening<T>>, Fault> {
        match *outgoing {
            Outgoing::Publish(id) => {
                let tag = self.tags.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(tag) = tag else { return Ok(None) };
                if id == 0 {
                    return Ok(Some(Happening::Settled(tag, Ok(()))));
                }
                self.unacknowledged.insert(id, tag);
                Ok(None)
            }
            Outgoing::Disconnect => Ok(Some(Happening::Disconnected)),
            // A packet id came round while its last use is unacknowledged: rumqttc does not get out of that.
            Outgoing::AwaitAck(_) => Err(self.stuck("it acknowledges messages out of order")),
            Outgoing::Subscribe(_)
            | Outgoing::Unsubscribe(_)
            | Outgoing::PubAck(_)
            | Outgoing::PubRec(_)
            | Outgoing::PubRel(_)
            | Outgoing::PubComp(_)
            | Outgoing::PingReq
            | Outgoing::PingResp => Ok(None),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "packets that only a broker receives")]
    fn arrived(&mut self, packet: Packet) -> Option<Happening<T>> {
        match packet {
            Packet::ConnAck(greeting) => {
                self.greeted(&greeting);
                Some(Happening::Connected)
            }
            Packet::Publish(publish) => Some(Happening::Arrived(Received {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
                retained: publish.retain,
            })),
            Packet::PubAck(ack) => {
                let tag = self.unacknowledged.remove(&ack.pkid)?;
                Some(Happening::Settled(tag, publish_verdict(ack.reason)))
            }
            Packet::SubAck(ack) => Some(Happening::Subscribed(
                ack.return_codes.into_iter().map(subscribe_verdict).collect(),
            )),
            _ => None,
        }
    }

    fn greeted(&mut self, greeting: &ConnAck) {
        self.connected = true;
        let limit = greeting.properties.as_ref().and_then(|properties| properties.max_packet_size);
        self.largest.store(limit.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn stuck(&self, what: &str) -> Fault {
        Fault::Stuck { broker: self.address.clone(), what: what.to_owned() }
    }

    fn explain(&self, error: ConnectionError) -> Fault {
        let broker = self.address.clone();
        match error {
            ConnectionError::Timeout(_) => Fault::Unanswered { broker },
            ConnectionError::Io(error) => self.explain_io(&error),
            ConnectionError::Tls(TlsError::Io(error)) => {
                Fault::Tls { broker, why: error.to_string() }
            }
            ConnectionError::Tls(error) => Fault::Tls { broker, why: error.to_string() },
            ConnectionError::ConnectionRefused(code) => self.explain_refusal(code),
            ConnectionError::NotConnAck(_) => {
                Fault::Nonsense { broker, why: "another packet before its greeting".to_owned() }
            }
            ConnectionError::RequestsDone => self.stuck("our own side ended"),
            ConnectionError::MqttState(error) => self.explain_state(error),
        }
    }

    fn explain_state(&self, error: StateError) -> Fault {
        use rumqttc::v5::mqttbytes::Error as Malformed;
        let broker = self.address.clone();
        match error {
            StateError::Io(error) | StateError::Deserialization(Malformed::Io(error)) => {
                self.explain_io(&error)
            }
            StateError::ConnectionAborted if !self.connected => Fault::TurnedAway { broker },
            StateError::ConnectionAborted => Fault::Lost {
                broker,
                why: format!(
                    "it was closed there, as when the broker stops or another client connects under the id {:?}",
                    self.client_id
                ),
            },
            StateError::AwaitPingResp | StateError::CollisionTimeout => {
                self.stuck("it does not answer pings")
            }
            StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            } => Fault::TakenOver { broker, client_id: self.client_id.clone() },
            StateError::ServerDisconnect { reason_code, reason_string } => Fault::Lost {
                broker,
                why: format!("{reason_code:?} {}", reason_string.unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            },
            StateError::ConnFail { reason } => self.explain_refusal(reason),
            StateError::Coversion(_)
            | StateError::InvalidState
            | StateError::Unsolicited(_)
            | StateError::WrongPacket
            | StateError::EmptySubscription
            | StateError::Deserialization(_)
            | StateError::InvalidAlias { .. }
            | StateError::OutgoingPacketTooLarge { .. }
            | StateError::IncomingPacketTooLarge { .. } => {
                Fault::Nonsense { broker, why: error.to_string() }
            }
        }
    }

    fn explain_io(&self, error: &io::Error) -> Fault {
        let broker = self.address.clone();
        let ended = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        );
        match (self.connected, ended) {
            (true, _) => Fault::Lost { broker, why: error.to_string() },
            (false, true) => Fault::TurnedAway { broker },
            (false, false) => Fault::Unreachable { broker, why: error.to_string() },
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only login failures have their own remedy")]
    fn explain_refusal(&self, code: ConnectReturnCode) -> Fault {
        let broker = self.address.clone();
        match code {
            ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::Banned
            | ConnectReturnCode::BadAuthenticationMethod => Fault::Login {
                broker,
                as_whom: self
                    .login
                    .as_ref()
                    .map_or_else(|| "without a user".to_owned(), |user| format!("of {user:?}")),
            },
            _ => Fault::Refused { broker, why: format!("{code:?}") },
        }
    }
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn publish_verdict(reason: PubAckReason) -> Result<(), Refusal> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        PubAckReason::NotAuthorized => Err(Refusal::NotAuthorised),
        PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid => {
            Err(Refusal::Invalid(format!("{reason:?}")))
        }
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse
        | PubAckReason::QuotaExceeded => Err(Refusal::Failed(format!("{reason:?}"))),
    }
}

fn subscribe_verdict(code: SubscribeReasonCode) -> Result<(), Refusal> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        SubscribeReasonCode::NotAuthorized => Err(Refusal::NotAuthorised),
        SubscribeReasonCode::Failure
        | SubscribeReasonCode::Unspecified
        | SubscribeReasonCode::ImplementationSpecific
        | SubscribeReasonCode::PkidInUse
        | SubscribeReasonCode::QuotaExceeded => Err(Refusal::Failed(format!("{code:?}"))),
        SubscribeReasonCode::TopicFilterInvalid
        | SubscribeReasonCode::SharedSubscriptionsNotSupported
        | SubscribeReasonCode::SubscriptionIdNotSupported
        | SubscribeReasonCode::WildcardSubscriptionsNotSupported => {
            Err(Refusal::Invalid(format!("{code:?}")))
        }
    }
}
