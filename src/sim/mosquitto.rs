//! A real Mosquitto as its owner would set it up, with one account a client and the contract's access rules in files, for
//! the tests and measurements of brokers that are not our own.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::ports::free_port;
use crate::core::authz::{Grant, Right};
use crate::core::types::Name;
use crate::mqtt::Base;
use crate::mqtt::access::{Access, Home, acl_file};
use crate::mqtt::managed::MosquittoError;
use crate::mqtt::managed::process::{Process, find, run_error};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);

/// A user of the broker.
#[derive(Debug, Clone)]
pub struct Account {
    /// A client's name, and its user name at the broker.
    pub name: String,
    /// Its password.
    pub password: SecretString,
}

/// How the broker is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's base topic.
    pub base: String,
    /// The daemon's account.
    pub daemon: Account,
    /// The clients'.
    pub clients: Vec<Account>,
    /// Whether sessions and retained messages survive a clean stop.
    pub persistence: bool,
    /// Further lines of `mosquitto.conf`, for the listener.
    pub extra: Vec<String>,
}

/// The running broker. It is killed when dropped.
pub struct Mosquitto {
    process: Process,
    folder: PathBuf,
    port: u16,
}

impl Mosquitto {
    /// Writes its files into `folder` and starts it on a free loopback port.
    ///
    /// # Errors
    /// When Mosquitto is not installed, a file cannot be written, or it does not listen within 15 s.
    pub async fn start(folder: &Path, settings: &Settings) -> Result<Self, MosquittoError> {
        let port =
            free_port().map_err(|error| MosquittoError::File { file: folder.to_owned(), error })?;
        Self::start_at(folder, settings, port).await
    }

    /// Starts it on a port of the caller's choice, such as the one it had before.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_at(
        folder: &Path,
        settings: &Settings,
        port: u16,
    ) -> Result<Self, MosquittoError> {
        write_files(folder, settings, port)?;
        let log = folder.join("mosquitto.log");
        let said = open_private(&log)?;
        let process = Process::start(&folder.join("mosquitto.conf"), Stdio::from(said))?;
        let mut broker = Self { process, folder: folder.to_owned(), port };
        broker.wait_until_listening().await?;
        Ok(broker)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it cleanly, so that it writes what it persists.
    pub async fn stop(self) {
        self.process.stop().await;
    }

    /// Kills it with SIGKILL, as a power cut would.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    async fn wait_until_listening(&mut self) -> Result<(), MosquittoError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + START;
        loop {
            let running = self.process.is_running();
            if running
                && self.log().contains(" running")
                && TcpStream::connect(address).await.is_ok()
            {
                return Ok(());
            }
            if !running || Instant::now() > deadline {
                return Err(MosquittoError::NotListening { port: self.port, said: self.log() });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default()
    }
}

fn write_files(folder: &Path, settings: &Settings, port: u16) -> Result<(), MosquittoError> {
    let private = |file: PathBuf, text: &str| -> Result<(), MosquittoError> {
        open_private(&file)?
            .write_all(text.as_bytes())
            .map_err(|error| MosquittoError::File { file, error })
    };
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)))
        .map_err(|error| MosquittoError::File { file: folder.to_owned(), error })?;
    private(folder.join("mosquitto.conf"), &config(folder, settings, port))?;
    private(folder.join("acl"), &access_rules(settings)?)?;
    let mut passwords = String::new();
    for account in settings.clients.iter().chain([&settings.daemon]) {
        passwords += &format!("{}:{}\n", account.name, account.password.expose_secret());
    }
    let file = folder.join("passwords");
    private(file.clone(), &passwords)?;
    hash_passwords(&file)
}

fn config(folder: &Path, settings: &Settings, port: u16) -> String {
    let folder = folder.display();
    let mut text = format!(
        "listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence {}
persistence_location {folder}/
log_dest stderr
log_type all
# Started by root it would become the user mosquitto, who may not read this private folder.
user root
",
        settings.persistence
    );
    for line in &settings.extra {
        text += line;
        text.push('\n');
    }
    text
}

/// The contract's access rules in Mosquitto's words: everybody may view.
fn access_rules(settings: &Settings) -> Result<String, MosquittoError> {
    let bad = |error: &dyn std::fmt::Display| MosquittoError::Run {
        program: "mosquitto".to_owned(),
        why: error.to_string(),
    };
    let base = Base::parse(&settings.base).map_err(|error| bad(&error))?;
    let home = Home {
        client: Name::parse("homeassistant").map_err(|error| bad(&error))?,
        discovery_prefix: "homeassistant".to_owned(),
        birth_topic: "homeassistant/status".to_owned(),
    };
    let table = Access { base, home: Some(home) };
    let mut rules = acl_file(&settings.daemon.name, &table.of_daemon());
    let grant = Grant { rights: [Right::View].into(), printers: None };
    for client in &settings.clients {
        let name = Name::parse(&client.name).map_err(|error| bad(&error))?;
        rules.push('\n');
        rules += &acl_file(&client.name, &table.of_client(&name, &grant));
    }
    Ok(rules)
}

/// Replaces the passwords in the file by their hashes: `mosquitto_passwd -U` keeps them out of every command line.
fn hash_passwords(file: &Path) -> Result<(), MosquittoError> {
    let output = Command::new(find("mosquitto_passwd", "mosquitto")?)
        .arg("-U")
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| run_error("mosquitto_passwd", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(MosquittoError::Run { program: "mosquitto_passwd".to_owned(), why })
}

fn open_private(file: &Path) -> Result<fs::File, MosquittoError> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| MosquittoError::File { file: file.to_owned(), error })
}
