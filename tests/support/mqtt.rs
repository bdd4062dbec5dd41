//! A real Mosquitto with the contract's accounts, the bus on it, clients of it, and a relay that can be cut.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strandwatch::core::event::{EVENT_SCHEMA, Event, EventKind};
use strandwatch::core::types::Name;
use strandwatch::mqtt::client::Received;
use strandwatch::mqtt::requester::Requester;
use strandwatch::mqtt::{Base, Broker, Identity, Login, MqttBus, Setup, connect};
use strandwatch::ports::{Bus, BusLink, Requests, Store};
use strandwatch::sim::mosquitto::{Account, Mosquitto, Settings};
use strandwatch::store::{OUTBOX_LIMIT, SqliteStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const LONG: Duration = Duration::from_secs(60);

/// Awaits `future`, and fails the test with `what` at the deadline.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .unwrap_or_else(|_| panic!("not within {LONG:?}: {what}"))
}

/// Where Home Assistant says that it has started.
pub const BIRTH: &str = "homeassistant/status";

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn base() -> Base {
    Base::parse("strandwatch").unwrap()
}

/// An event of printer `voron`; `seq` is its place in the order.
pub fn event(seq: u64) -> Event {
    Event {
        schema: EVENT_SCHEMA,
        id: format!("e{seq}"),
        seq,
        at: 1_700_000_000.0 + seq as f64,
        printer: "voron".to_owned(),
        job: Some("benchy#1".to_owned()),
        kind: EventKind::PrintStarted { filename: Some(format!("part {seq}.gcode")) },
    }
}

fn account(name: &str) -> Account {
    Account { name: name.to_owned(), password: format!("{name}'s secret").into() }
}

/// The broker and its folder.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
    pub broker: Option<Mosquitto>,
    pub port: u16,
}

impl Rig {
    /// A broker that keeps nothing over a restart.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Folder and accounts alone, for other brokers.
    pub fn without_broker() -> Self {
        let settings = Settings {
            base: "strandwatch".to_owned(),
            daemon: account("strandwatch"),
            clients: ["owner", "household", "observer", "homeassistant", "canary"]
                .map(account)
                .to_vec(),
            persistence: false,
            // As many as come: what the broker acknowledged has then left it for its subscribers.
            extra: vec!["max_inflight_messages 0".to_owned()],
        };
        Self { folder: tempfile::tempdir().unwrap(), settings, broker: None, port: 0 }
    }

    /// A broker with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut rig = Self::without_broker();
        change(&mut rig.settings);
        let folder = rig.folder.path().join("broker");
        let broker = Mosquitto::start(&folder, &rig.settings).await.unwrap();
        rig.port = broker.port();
        rig.broker = Some(broker);
        rig
    }

    pub async fn kill(&mut self) {
        self.broker.take().unwrap().kill().await;
    }

    pub async fn stop(&mut self) {
        self.broker.take().unwrap().stop().await;
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) {
        let folder = self.folder.path().join("broker");
        self.broker = Some(Mosquitto::start_at(&folder, &self.settings, self.port).await.unwrap());
    }

    /// A file of the broker, `acl` or `mosquitto.conf`.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("broker").join(file)).unwrap()
    }

    /// Rewrites a file of the broker and has it read again: the daemon stays connected.
    pub async fn rewrite(&self, file: &str, text: &str) {
        use rustix::process::{Pid, Signal, kill_process};
        let reloads = || self.read("mosquitto.log").matches("Reloading config").count();
        let before = reloads();
        std::fs::write(self.folder.path().join("broker").join(file), text).unwrap();
        let pid = Pid::from_raw(self.broker.as_ref().unwrap().pid().unwrap() as i32).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        soon("the broker reads its files again", async {
            while reloads() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// The login of one of the accounts.
    pub fn login_of(&self, who: &str) -> Login {
        let account = self.settings.clients.iter().find(|account| account.name == who).unwrap();
        Login { user: account.name.clone(), password: account.password.clone() }
    }

    pub fn store_file(&self) -> std::path::PathBuf {
        self.folder.path().join("store.sqlite3")
    }

    /// The daemon's setup, to be reached through `port`.
    pub fn setup_at(&self, port: u16) -> Setup {
        Setup {
            broker: self.login(&self.settings.daemon, port),
            client_id: "strandwatch-test".to_owned(),
            base: base(),
            printers: vec![name("voron"), name("prusa")],
            birth: Some(BIRTH.to_owned()),
            identity: Identity::default(),
        }
    }

    pub fn setup(&self) -> Setup {
        self.setup_at(self.port)
    }

    fn login(&self, account: &Account, port: u16) -> Broker {
        Broker {
            host: "127.0.0.1".to_owned(),
            port,
            tls: None,
            login: Some(Login { user: account.name.clone(), password: account.password.clone() }),
        }
    }

    /// The daemon's bus, up.
    pub async fn daemon(&self) -> Daemon {
        let daemon = Daemon::begin(self.setup(), &self.store_file());
        daemon.up().await;
        daemon
    }

    /// A client with its own credential, watching `filters` below the base.
    pub async fn client(&self, who: &str, filters: &[&str]) -> (Requester, Watcher) {
        let filters: Vec<String> =
            filters.iter().map(|filter| format!("strandwatch/{filter}")).collect();
        self.client_on(who, &filters.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// The same with whole filters.
    pub async fn client_on(&self, who: &str, filters: &[&str]) -> (Requester, Watcher) {
        let accounts = self.settings.clients.iter().chain([&self.settings.daemon]);
        let account = accounts.clone().find(|account| account.name == who).unwrap();
        let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
        let broker = self.login(account, self.port);
        let (requester, messages) =
            Requester::connect(&broker, base(), name(who), &filters).await.unwrap();
        (requester, Watcher(messages))
    }
}

/// What a client hears.
pub struct Watcher(broadcast::Receiver<Received>);

impl Watcher {
    /// The next message, or `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(received) => Some(received),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(missed)) => panic!("missed {missed} messages"),
        }
    }

    /// The next message that is wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        soon(what, async {
            loop {
                let received = self.next().await.unwrap_or_else(|| panic!("lost before: {what}"));
                if wanted(&received) {
                    return received;
                }
            }
        })
        .await
    }

    /// Waits until `topic` reads `payload`.
    pub async fn until_reads(&mut self, topic: &str, payload: &str) -> Received {
        let topic = format!("strandwatch/{topic}");
        self.until(&format!("{topic} reads {payload}"), |received| {
            received.topic == topic && received.payload == payload.as_bytes()
        })
        .await
    }

    /// Events' places in the order, until one of them is `last` or the connection ends.
    pub async fn seqs_until(&mut self, last: Option<u64>) -> Vec<u64> {
        let mut seqs = Vec::new();
        soon(&format!("event {last:?}"), async {
            while let Some(received) = self.next().await {
                if received.topic.ends_with("/event") {
                    let event: Event = serde_json::from_slice(&received.payload).unwrap();
                    assert!(!received.retained, "events are not retained");
                    seqs.push(event.seq);
                    if Some(event.seq) == last {
                        break;
                    }
                }
            }
        })
        .await;
        seqs
    }
}

/// In the order in which each was seen for the first time.
pub fn first_seen(seqs: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut seen = std::collections::HashSet::new();
    seqs.into_iter().filter(|seq| seen.insert(*seq)).collect()
}

/// The daemon's side of the bus.
pub struct Daemon {
    pub bus: Arc<MqttBus>,
    pub requests: Requests,
    pub store: Arc<SqliteStore>,
    pub tracker: TaskTracker,
    pub cancel: CancellationToken,
}

impl Daemon {
    pub fn begin(setup: Setup, store: &Path) -> Self {
        let store = SqliteStore::open(store, OUTBOX_LIMIT).unwrap();
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (bus, requests) =
            connect(setup, Arc::clone(&store) as Arc<dyn Store>, &cancel, &tracker);
        Self { bus, requests, store, tracker, cancel }
    }

    pub async fn up(&self) {
        self.link(|link| *link == BusLink::Up).await;
    }

    /// Waits until the link is down, and gives the reason.
    pub async fn down(&self, because: &str) -> String {
        let wanted =
            |link: &BusLink| matches!(link, BusLink::Down { why } if why.contains(because));
        match self.link(wanted).await {
            BusLink::Down { why } => why,
            BusLink::Up => unreachable!(),
        }
    }

    async fn link(&self, wanted: impl FnMut(&BusLink) -> bool) -> BusLink {
        let mut link: watch::Receiver<BusLink> = self.bus.link();
        let reached = tokio::time::timeout(LONG, link.wait_for(wanted))
            .await
            .map(|known| known.unwrap().clone());
        reached.unwrap_or_else(|_| panic!("the link stays {:?}", self.bus.link().borrow()))
    }

    /// Stores an event and announces it, as the application does.
    pub async fn raise(&self, seq: u64) {
        self.store.append_event(event(seq)).await.unwrap();
        self.bus.outbox_grew();
    }

    /// Waits until every event is acknowledged.
    pub async fn outbox_empties(&self) {
        soon("the outbox empties", async {
            while !self.store.undelivered(1).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    pub async fn close(self) {
        self.bus.close().await;
        self.tracker.close();
        soon("the bus's task ends", self.tracker.wait()).await;
        self.store.close().await;
    }
}

/// A request body with a fresh id.
pub fn body(id: &str) -> Value {
    json!({ "id": id, "issued_at": 1_700_000_000 })
}

/// A TCP relay to a broker that can be cut and joined again.
pub struct Relay {
    pub port: u16,
    joined: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Relay {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let joined = watch::Sender::new(true);
        let (mut tasks, state) = (JoinSet::new(), joined.subscribe());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *state.borrow() {
                    connections.spawn(carry(near, port, state.clone()));
                }
            }
        });
        Self { port: own, joined, _task: tasks }
    }

    /// Ends every connection and takes no new ones.
    pub fn cut(&self) {
        self.joined.send_replace(false);
    }

    pub fn join(&self) {
        self.joined.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, port: u16, mut joined: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = joined.wait_for(|joined| !joined) => {}
    }
}
