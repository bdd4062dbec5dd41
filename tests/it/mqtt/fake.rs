//! Brokers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strandwatch::ports::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::mqtt::{Daemon, LONG, Rig, soon};

/// What a fake broker does with a connection.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Takes it and says nothing.
    Silent,
    /// Reads the greeting and hangs up.
    HangsUp,
    /// Answers the greeting with what is no packet.
    Noise,
    /// Answers the greeting as a web server would, which reads like the beginning of a packet.
    WebServer,
    /// Answers as an MQTT 3.1.1 broker that does not know version 5.
    Outdated,
    /// Is a broker, but never answers a subscription.
    NeverSubscribes,
    /// Is a broker, but never acknowledges a message.
    NeverAcknowledges,
    /// Acknowledges messages that were never sent.
    Overeager,
    /// Refuses the first subscription of a connection and takes the next.
    RefusesFirst,
}

struct Fake {
    port: u16,
    /// Connections so far.
    connections: Arc<AtomicUsize>,
    /// Messages on an event topic so far.
    events: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Fake {
    async fn with(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, events) = (Arc::default(), Arc::default());
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&events));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                AtomicUsize::fetch_add(&counted, 1, Ordering::SeqCst);
                open.spawn(serve(stream, manner, Arc::clone(&seen)));
            }
        });
        Self { port, connections, events, _task: task }
    }
}

/// One packet: its first byte and its body.
async fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

async fn serve(mut stream: TcpStream, manner: Manner, events: Arc<AtomicUsize>) {
    let mut subscriptions = 0;
    while let Some((kind, body)) = packet(&mut stream).await {
        subscriptions += u32::from(kind >> 4 == 8);
        let answer: Vec<u8> = match (kind >> 4, manner) {
            (1, Manner::Silent) => Vec::new(),
            (1, Manner::HangsUp) => return,
            (1, Manner::Noise) => vec![0xf0, 2, b'x', b'x'],
            (1, Manner::WebServer) => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            (1, Manner::Outdated) => vec![0x20, 2, 0, 1],
            (1, _) => vec![0x20, 3, 0, 0, 0],
            (8, Manner::NeverSubscribes) => Vec::new(),
            (8, Manner::Overeager) => vec![0x40, 2, 0, 9],
            (8, Manner::RefusesFirst) if subscriptions == 1 => {
                vec![0x90, 4, body[0], body[1], 0, 0x87]
            }
            (8, _) => vec![0x90, 4, body[0], body[1], 0, 1],
            (3, _) => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                if body[2..2 + length].ends_with(b"/event") {
                    events.fetch_add(1, Ordering::SeqCst);
                }
                if manner == Manner::RefusesFirst {
                    vec![0x40, 2, body[2 + length], body[3 + length]]
                } else {
                    Vec::new()
                }
            }
            (12, _) => vec![0xd0, 0],
            _ => Vec::new(),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A bus at a broker of that manner, and the reason it gives for being down.
async fn told(manner: Manner, because: &str) -> (Fake, Rig, Daemon) {
    let rig = Rig::without_broker();
    let fake = Fake::with(manner).await;
    let daemon = Daemon::begin(rig.setup_at(fake.port), &rig.store_file());
    let why = daemon.down(because).await;
    assert!(why.contains(&format!("127.0.0.1:{}", fake.port)), "{why}");
    (fake, rig, daemon)
}

async fn comes_back(fake: &Fake) {
    let before = fake.connections.load(Ordering::SeqCst);
    soon("another connection", async {
        while fake.connections.load(Ordering::SeqCst) == before {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_given_up_and_tried_again() {
    let (fake, _rig, daemon) = told(Manner::Silent, "did not answer in time").await;
    comes_back(&fake).await;
    daemon.close().await;
}

#[tokio::test]
async fn a_broker_that_hangs_up_is_tried_again() {
    let (fake, _rig, daemon) = told(Manner::HangsUp, "closed the connection").await;
    comes_back(&fake).await;
    daemon.close().await;
}

#[tokio::test]
async fn a_broker_that_talks_nonsense_is_tried_again() {
    let (fake, _rig, daemon) = told(Manner::Noise, "sent what is not MQTT 5").await;
    comes_back(&fake).await;
    daemon.close().await;
}

#[tokio::test]
async fn a_web_server_is_no_broker() {
    let (_fake, _rig, _daemon) = told(Manner::WebServer, "see that it speaks MQTT 5").await;
}

#[tokio::test]
async fn a_subscription_that_was_refused_is_tried_again_on_the_same_connection() {
    let (fake, _rig, daemon) = told(Manner::RefusesFirst, "refuses the subscription").await;
    daemon.up().await;
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broker_of_an_older_mqtt_is_told_as_such() {
    let (_fake, _rig, _daemon) = told(Manner::Outdated, "MQTT 5").await;
}

#[tokio::test]
async fn a_broker_that_never_answers_the_subscription_is_given_up() {
    let (_fake, _rig, _daemon) =
        told(Manner::NeverSubscribes, "acknowledge the subscription").await;
}

#[tokio::test]
async fn a_broker_that_acknowledges_what_was_never_sent_is_given_up() {
    let (fake, _rig, _daemon) = told(Manner::Overeager, "Received unsolicited ack").await;
    comes_back(&fake).await;
}

#[tokio::test]
async fn a_broker_that_never_acknowledges_keeps_no_event_from_being_sent_again() {
    let rig = Rig::without_broker();
    let fake = Fake::with(Manner::NeverAcknowledges).await;
    let daemon = Daemon::begin(rig.setup_at(fake.port), &rig.store_file());
    daemon.up().await;
    daemon.raise(1).await;
    daemon.down("does not acknowledge messages").await;
    soon("the event is sent again", async {
        while fake.events.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let waiting = daemon.store.undelivered(10).await.unwrap();
    assert_eq!(waiting.len(), 1, "it is still owed");
    let began = std::time::Instant::now();
    daemon.close().await;
    assert!(
        began.elapsed() < LONG / 6,
        "the goodbye does not wait for ever: {:?}",
        began.elapsed()
    );
}
