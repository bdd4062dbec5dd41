//! A real Mosquitto as a child process, with one account a client and the contract's access rules, for `demo` and the
//! tests.
//!
//! The rules are those that a real broker needs: the daemon alone publishes below the base, each client publishes below
//! its own `request/` only, and reads its own responses and what is public. Nobody is anonymous.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);

/// How long it may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// How often a taken port is exchanged for another.
const PORTS: u32 = 5;

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

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum MosquittoError {
    /// Not installed.
    #[error("cannot find {0}; install the package `mosquitto`")]
    Missing(&'static str),
    /// A file could not be written.
    #[error("cannot write {}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {program}: {why}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        why: String,
    },
    /// It ended, or did not listen in time.
    #[error("mosquitto does not listen on port {port}; it said:\n{said}")]
    NotListening {
        /// Which port.
        port: u16,
        /// The end of its log.
        said: String,
    },
}

/// The running broker. It is killed when dropped.
pub struct Mosquitto {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Mosquitto {
    /// Writes its files into `folder` and starts it on a free loopback port.
    ///
    /// # Errors
    /// When Mosquitto is not installed, a file cannot be written, or it does not listen within 15 s.
    pub async fn start(folder: &Path, settings: &Settings) -> Result<Self, MosquittoError> {
        let mut left = PORTS;
        loop {
            left -= 1;
            match Self::start_at(folder, settings, free_port(folder)?).await {
                Err(MosquittoError::NotListening { said, .. })
                    if left > 0 && said.contains("Address already in use") => {}
                other => return other,
            }
        }
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
        let child = Command::new(find("mosquitto")?)
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(|error| run_error("mosquitto", &error))?;
        let mut broker = Self { child, folder: folder.to_owned(), port };
        broker.wait_until_listening().await?;
        Ok(broker)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it cleanly, so that it writes what it persists.
    pub async fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it with SIGKILL, as a power cut would.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn wait_until_listening(&mut self) -> Result<(), MosquittoError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + START;
        loop {
            let running = matches!(self.child.try_wait(), Ok(None));
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

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.end();
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
    private(folder.join("acl"), &access_rules(settings))?;
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

/// The contract's access rules in Mosquitto's words.
fn access_rules(settings: &Settings) -> String {
    let base = &settings.base;
    let mut rules = format!(
        "user {}\ntopic readwrite {base}/#\ntopic readwrite homeassistant/#\n",
        settings.daemon.name
    );
    let public = [
        "status",
        "health",
        "+/availability",
        "+/state",
        "+/incident",
        "+/event",
        "+/image/failure",
        "+/image/preview",
    ];
    // Home Assistant reads what it is to show, and says when it has started.
    let home = "topic read homeassistant/#\ntopic write homeassistant/status";
    for client in &settings.clients {
        // Writing to a string does not fail.
        let _ = writeln!(rules, "\nuser {}", client.name);
        for topic in public {
            let _ = writeln!(rules, "topic read {base}/{topic}");
        }
        if client.name == "homeassistant" {
            let _ = writeln!(rules, "{home}");
        }
    }
    let _ = write!(
        rules,
        "\npattern write {base}/client/%u/request/#\npattern read {base}/client/%u/response/#\n"
    );
    rules
}

/// Replaces the passwords in the file by their hashes: `mosquitto_passwd -U` keeps them out of every command line.
fn hash_passwords(file: &Path) -> Result<(), MosquittoError> {
    let output = Command::new(find("mosquitto_passwd")?)
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

/// Debian puts daemons into `sbin`, which is not on every user's path.
fn find(program: &'static str) -> Result<PathBuf, MosquittoError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(MosquittoError::Missing(program))
}

fn free_port(folder: &Path) -> Result<u16, MosquittoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| MosquittoError::File { file: folder.to_owned(), error })
}

fn run_error(program: &str, error: &io::Error) -> MosquittoError {
    MosquittoError::Run { program: program.to_owned(), why: error.to_string() }
}
