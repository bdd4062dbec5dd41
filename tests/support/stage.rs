//! A whole system for a test: printers with rendered cameras, a broker, the daemon as its own process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use strandwatch::core::event::{Event, EventKind};
use strandwatch::mqtt::client::Received;
use strandwatch::mqtt::requester::Requester;
use strandwatch::sim::film::Film;
use strandwatch::sim::klippy::Print;
use strandwatch::sim::stage::{BASE, BrokerRig, Daemon, PrinterRig, write_config};
use strandwatch::sim::webcam::{self, Pictures};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine, short enough to fail.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Short times, so that a test is short: the decision itself is the same.
const SECTIONS: &str = "[watch]\nclear_interval = \"500ms\"\nsuspect_interval = \"300ms\"\n\
    correlation_time = \"1s\"\n\n[act]\nveto = \"1s\"\n";

/// A printer, what its camera shows, and the camera's switch.
pub struct Printer {
    pub rig: PrinterRig,
    pub film: Arc<Film>,
    port: u16,
    webcam: CancellationToken,
    trouble: Arc<Mutex<Trouble>>,
}

/// What a camera does to its pictures.
#[derive(Debug, Clone, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It repeats one, bit for bit; the first is taken when somebody looks.
    Frozen(Option<RgbImage>),
    /// The lens is covered or the light is off: only noise is left.
    Dark,
}

/// The rendered scene through a camera that may be in trouble.
struct Troubled(webcam::Scene, Arc<Mutex<Trouble>>);

impl Pictures for Troubled {
    fn picture(&self, frame: u64) -> std::io::Result<RgbImage> {
        match &mut *self.1.lock().unwrap() {
            Trouble::None => self.0.picture(frame),
            Trouble::Frozen(Some(picture)) => Ok(picture.clone()),
            Trouble::Frozen(first) => Ok(first.insert(self.0.picture(frame)?).clone()),
            Trouble::Dark => Ok(RgbImage::from_fn(640, 480, |x, y| {
                let noise = (u64::from(x * 7 + y * 13) * (frame + 1) / 3 % 4) as u8;
                Rgb([noise; 3])
            })),
        }
    }
}

impl Printer {
    pub async fn start(folder: &TempDir, name: &str, seed: u64) -> Self {
        let film = Arc::new(Film::new(seed));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let trouble = Arc::default();
        let webcam = serve(listener, &film, &trouble);
        let url = format!("http://127.0.0.1:{port}/stream");
        let python = super::rig().join("moonraker/bin/python");
        let rig = PrinterRig::start(folder.path(), name, &python, &url, 1.0).await.unwrap();
        Self { rig, film, port, webcam, trouble }
    }

    /// Starts a long print.
    pub fn prints(&self, file: &str) {
        let duration = Duration::from_secs(600);
        self.rig.klippy.start_print(Print { duration, ..Print::new(file) }).unwrap();
    }

    /// Switches the camera off: its streams end and its port is closed.
    pub fn camera_off(&self) {
        self.webcam.cancel();
    }

    /// Switches it on again, at the same address.
    pub async fn camera_on(&mut self) {
        let address = ("127.0.0.1", self.port);
        let listener = super::mqtt::soon("the camera's port is free", async {
            loop {
                if let Ok(listener) = TcpListener::bind(address).await {
                    return listener;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        self.webcam = serve(listener.await, &self.film, &self.trouble);
    }

    /// From now on the camera does this to its pictures.
    pub fn camera_has(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }
}

fn serve(listener: TcpListener, film: &Film, trouble: &Arc<Mutex<Trouble>>) -> CancellationToken {
    let switch = CancellationToken::new();
    let pictures = Troubled(webcam::Scene(film.state()), trouble.clone());
    tokio::spawn(webcam::serve(listener, pictures, 6.0, switch.clone()));
    switch
}

/// The whole system.
pub struct Stage {
    pub printers: Vec<Printer>,
    pub broker: BrokerRig,
    pub config: PathBuf,
    pub folder: TempDir,
}

impl Stage {
    /// Printers by these names; clients by name, right or preset, and the only printer they may use.
    pub async fn set(printers: &[&str], clients: &[(&str, &str, Option<&str>)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut rigs = Vec::new();
        for (seed, name) in printers.iter().enumerate() {
            rigs.push(Printer::start(&folder, name, 7 + seed as u64).await);
        }
        // The stranger has an account at the broker, and no grant here.
        let accounts: Vec<&str> =
            clients.iter().map(|(name, _, _)| *name).chain(["watcher", "stranger"]).collect();
        let broker = BrokerRig::start(&folder.path().join("broker"), &accounts).await.unwrap();
        let grants: Vec<_> =
            clients.iter().copied().chain([("watcher", "observer", None)]).collect();
        let only_rigs: Vec<&PrinterRig> = rigs.iter().map(|printer| &printer.rig).collect();
        let config = write_config(folder.path(), &only_rigs, &broker, SECTIONS, &grants).unwrap();
        Self { printers: rigs, broker, config, folder }
    }

    /// Starts the daemon and waits until it says that it is online and takes commands.
    pub async fn daemon(&self, watcher: &mut Watcher) -> Daemon {
        let log = self.folder.path().join("strandwatch.log");
        let daemon = Daemon::start(&program(), &self.config, &log).unwrap();
        watcher
            .until("the daemon is online", |seen| {
                (seen.topic == format!("{BASE}/status") && seen.payload == b"online").then_some(())
            })
            .await;
        watcher
            .until("the command plane is open", |seen| {
                let health: Value = serde_json::from_slice(&seen.payload).ok()?;
                (seen.topic == format!("{BASE}/health") && health["command_plane"]["open"] == true)
                    .then_some(())
            })
            .await;
        daemon
    }

    pub async fn watcher(&self) -> Watcher {
        let (requester, messages) = self.broker.connect("watcher").await.unwrap();
        Watcher { _requester: requester, messages, events: Vec::new(), patience: PATIENCE }
    }

    pub async fn client(&self, name: &str) -> Requester {
        self.broker.connect(name).await.unwrap().0
    }

    /// What the daemon logged, for a failing test.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("strandwatch.log")).unwrap_or_default()
    }
}

/// The binary under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_strandwatch"))
}

/// Everything an observer sees.
pub struct Watcher {
    _requester: Requester,
    messages: Receiver<Received>,
    pub events: Vec<Event>,
    /// How long it waits for anything.
    pub patience: Duration,
}

impl Watcher {
    /// Waits for a message that `wanted` picks.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Received) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let seen = self.messages.recv().await.expect("the watcher's connection");
                if seen.topic.ends_with("/event")
                    && let Ok(event) = serde_json::from_slice::<Event>(&seen.payload)
                {
                    self.events.push(event);
                }
                if let Some(found) = wanted(&seen) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(self.patience, search).await {
            Ok(found) => found,
            Err(_) => panic!("not within {:?}: {what}; seen: {:#?}", self.patience, self.events),
        }
    }

    /// Waits for an event of a printer.
    pub async fn event(&mut self, printer: &str, name: &str) -> EventKind {
        self.until(&format!("{name} of {printer}"), |seen| {
            let event: Event = serde_json::from_slice(&seen.payload).ok()?;
            (seen.topic == format!("{BASE}/{printer}/event") && event.kind.name() == name)
                .then_some(event.kind)
        })
        .await
    }

    /// Waits for a state document of a printer that `wanted` picks.
    pub async fn state(
        &mut self,
        printer: &str,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        self.until(what, |seen| {
            if seen.topic != format!("{BASE}/{printer}/state") {
                return None;
            }
            let state: Value = serde_json::from_slice(&seen.payload).ok()?;
            wanted(&state).then_some(state)
        })
        .await
    }

    /// Names of the events of a printer so far.
    pub fn names_of(&self, printer: &str) -> Vec<&'static str> {
        let of = self.events.iter().filter(|event| event.printer == printer);
        of.map(|event| event.kind.name()).collect()
    }
}

/// Seconds since the epoch.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A fresh request.
pub fn fresh(id: &str) -> Value {
    json!({ "id": id, "issued_at": unix_now() })
}

/// Asks and waits for the answer.
pub async fn ask(client: &Requester, printer: &str, command: &str, body: &Value) -> Value {
    client.request(printer, command, body, PATIENCE).await.unwrap()
}
