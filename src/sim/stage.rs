//! A whole system on one machine: printers behind real Moonrakers, a real broker, the daemon as its own process. The
//! demo and the tests play on it; nothing installed is touched.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::{Child, Command};

use super::klippy::{self, SimulatedKlippy};
use super::moonraker::{self, MoonrakerChildError, RealMoonraker, WebcamSection};
use super::mosquitto::{Account, Mosquitto, Settings};
use super::ports::free_port;
use crate::core::types::{BadName, Name};
use crate::mqtt::client::Received;
use crate::mqtt::fault::Fault;
use crate::mqtt::managed::MosquittoError;
use crate::mqtt::requester::Requester;
use crate::mqtt::topics::BadBase;
use crate::mqtt::{Base, Broker, Login};

/// The base topic on the stage.
pub const BASE: &str = "strandwatch";

/// Why the stage could not be set.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A file or process.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        error: std::io::Error,
    },
    /// Moonraker.
    #[error(transparent)]
    Moonraker(#[from] MoonrakerChildError),
    /// The broker.
    #[error(transparent)]
    Mosquitto(#[from] MosquittoError),
    /// A client's connection.
    #[error(transparent)]
    Bus(#[from] Fault),
    /// A name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A base topic.
    #[error(transparent)]
    Base(#[from] BadBase),
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StageError {
    let what = what.into();
    move |error| StageError::Io { what, error }
}

/// A printer: a simulated Klippy behind a real Moonraker of its own.
pub struct PrinterRig {
    /// Its name in the daemon's config.
    pub name: String,
    /// The simulation.
    pub klippy: SimulatedKlippy,
    /// The real thing.
    pub moonraker: RealMoonraker,
}

impl PrinterRig {
    /// Starts both in `folder`, Moonraker by the Python of its virtual environment, with one webcam.
    pub async fn start(
        folder: &Path,
        name: &str,
        python: &Path,
        stream_url: &str,
        speed: f64,
    ) -> Result<Self, StageError> {
        let data = folder.join(name);
        let options = moonraker::Options {
            webcams: vec![WebcamSection {
                name: "bed".to_owned(),
                stream_url: stream_url.to_owned(),
                snapshot_url: String::new(),
            }],
            ..moonraker::Options::new(python, &data, free_port().map_err(io("a free port"))?)
        };
        let socket = options.klippy_socket();
        for needed in [socket.parent().unwrap_or(&data), &options.gcodes()] {
            std::fs::create_dir_all(needed).map_err(io(format!("{}", needed.display())))?;
        }
        let behaviour = klippy::Options {
            speed,
            heating: Duration::from_secs(4),
            ..klippy::Options::new(options.gcodes())
        };
        let klippy = SimulatedKlippy::serve(&socket, behaviour)
            .map_err(io(format!("{}", socket.display())))?;
        let moonraker = RealMoonraker::start(options).await?;
        Ok(Self { name: name.to_owned(), klippy, moonraker })
    }
}

/// A broker with an account for the daemon and one for each client, kept apart by its ACL.
pub struct BrokerRig {
    /// The real thing.
    pub mosquitto: Mosquitto,
    daemon: Account,
    /// Whom the audit logs in as.
    canary: Account,
    clients: Vec<Account>,
}

fn account(name: &str) -> Account {
    let secret: [u8; 16] = rand::random();
    let password = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    Account { name: name.to_owned(), password: SecretString::from(password) }
}

impl BrokerRig {
    /// Starts it in `folder` with a generated password for everyone.
    pub async fn start(folder: &Path, clients: &[&str]) -> Result<Self, StageError> {
        let (daemon, canary) = (account("strandwatch"), account("canary"));
        let clients: Vec<Account> = clients.iter().map(|name| account(name)).collect();
        let settings = Settings {
            base: BASE.to_owned(),
            daemon: daemon.clone(),
            clients: clients.iter().chain([&canary]).cloned().collect(),
            persistence: true,
            extra: Vec::new(),
        };
        let mosquitto = Mosquitto::start(folder, &settings).await?;
        Ok(Self { mosquitto, daemon, canary, clients })
    }

    /// How the daemon connects.
    pub fn daemon_login(&self) -> Broker {
        self.login(&self.daemon)
    }

    fn login(&self, account: &Account) -> Broker {
        Broker {
            host: "127.0.0.1".to_owned(),
            port: self.mosquitto.port(),
            tls: None,
            login: Some(Login { user: account.name.clone(), password: account.password.clone() }),
        }
    }

    /// Connects a client by its own credential; everything it may read arrives.
    pub async fn connect(
        &self,
        name: &str,
    ) -> Result<(Requester, tokio::sync::broadcast::Receiver<Received>), StageError> {
        let account = self.clients.iter().find(|account| account.name == name);
        let broker = account.map(|account| self.login(account)).ok_or_else(|| {
            let error = std::io::Error::other("it has no account");
            StageError::Io { what: format!("client {name}"), error }
        })?;
        let base = Base::parse(BASE)?;
        let mut filters = base.printer_filters(None);
        filters.extend(base.daemon_filters());
        Ok(Requester::connect(&broker, base, Name::parse(name)?, &filters).await?)
    }
}

/// Writes `strandwatch.toml` and `secrets.toml` (0600) into `folder` for these printers and this broker; `more` is added
/// to the end of the main file. Returns the main file's path.
pub fn write_config(
    folder: &Path,
    printers: &[&PrinterRig],
    broker: &BrokerRig,
    sections: &str,
    rights: &[(&str, &str, Option<&str>)],
) -> Result<PathBuf, StageError> {
    let mut text = format!("secrets = {:?}\n\n", folder.join("secrets.toml"));
    text += sections;
    text += &format!(
        "\n[store]\npath = {:?}\nevidence = {:?}\n",
        folder.join("strandwatch.db"),
        folder.join("evidence"),
    );
    text += &format!(
        "\n[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nusername = {:?}\ncanary = {:?}\nbase = {BASE:?}\n",
        broker.mosquitto.port(),
        broker.daemon.name,
        broker.canary.name,
    );
    for (client, rights, printer) in rights {
        text += &format!("\n[[mqtt.client]]\nname = {client:?}\nrights = [{rights:?}]\n");
        if let Some(printer) = printer {
            text += &format!("printers = [{printer:?}]\n");
        }
    }
    for printer in printers {
        text += &format!(
            "\n[[printer]]\nname = {:?}\nmoonraker = {:?}\n",
            printer.name,
            printer.moonraker.options().url(),
        );
    }
    let secrets = format!(
        "[mqtt]\npassword = {:?}\ncanary_password = {:?}\n",
        broker.daemon.password.expose_secret(),
        broker.canary.password.expose_secret(),
    );
    write_private(&folder.join("secrets.toml"), &secrets)?;
    let path = folder.join("strandwatch.toml");
    std::fs::write(&path, text).map_err(io(format!("{}", path.display())))?;
    Ok(path)
}

/// Writes `strandwatch.toml` into `folder` for these printers and a broker of the daemon's own. Returns its path and the
/// broker's port for the network.
pub fn write_own_config(
    folder: &Path,
    printers: &[&PrinterRig],
    sections: &str,
) -> Result<(PathBuf, u16), StageError> {
    let port = || free_port().map_err(io("a free port"));
    let (local_port, lan_port) = (port()?, port()?);
    let store = folder.join("strandwatch.db");
    let mut text = format!(
        "secrets = {:?}\n\n{sections}\n[store]\npath = {store:?}\nevidence = {:?}\n\n[mqtt]\nbase = {BASE:?}\n\
         local_port = {local_port}\nlan_port = {lan_port}\npublic_host = \"localhost\"\n",
        folder.join("secrets.toml"),
        folder.join("evidence"),
    );
    for printer in printers {
        let url = printer.moonraker.options().url();
        text += &format!("\n[[printer]]\nname = {:?}\nmoonraker = {url:?}\n", printer.name);
    }
    write_private(&folder.join("secrets.toml"), "")?;
    let path = folder.join("strandwatch.toml");
    std::fs::write(&path, text).map_err(io(format!("{}", path.display())))?;
    Ok((path, lan_port))
}

fn write_private(path: &Path, text: &str) -> Result<(), StageError> {
    let what = format!("{}", path.display());
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(io(what))
}

/// The daemon as its own process, its log in a file.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `strandwatch run` on a config.
    pub fn start(program: &Path, config: &Path, log: &Path) -> Result<Self, StageError> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(io(format!("{}", log.display())))?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(io(format!("{} run", program.display())))?;
        Ok(Self { child })
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end; `None` when it did not end in time and was killed.
    pub async fn stop(mut self, within: Duration) -> Option<std::process::ExitStatus> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = self.child.kill().await;
                None
            }
        }
    }

    /// Kills it with SIGKILL, as a power cut would.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }
}
