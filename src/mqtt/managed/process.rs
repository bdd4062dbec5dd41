//! The program itself: found, started, waited for, stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// How long it may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum MosquittoError {
    /// Not installed.
    #[error("cannot find {what}; run `sudo apt install {package}`")]
    Missing {
        /// The program or library.
        what: &'static str,
        /// Debian's package with it.
        package: &'static str,
    },
    /// A file could not be read or written.
    #[error("cannot use {}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The accounts cannot be understood.
    #[error(
        "{} is damaged: {why}; restart strandwatch, which sets it aside, then give each client a new secret with `strandwatch client rotate`",
        file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong in it.
        why: String,
    },
    /// A program could not be run.
    #[error("cannot run {program}: {why}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        why: String,
    },
    /// Another program listens there.
    #[error(
        "port {port} is taken by another program (`ss -ltnp 'sport = :{port}'` shows which); stop that, or set {key}"
    )]
    PortTaken {
        /// Which port.
        port: u16,
        /// The key of the configuration that chooses another.
        key: &'static str,
    },
    /// Another process runs the broker of this folder.
    #[error("another strandwatch runs the broker of {}; stop that, or give this one a store.path of its own", folder.display())]
    Held {
        /// Which folder.
        folder: PathBuf,
    },
    /// It ended, or did not listen in time.
    #[error("mosquitto does not listen on port {port}; it said: {said}")]
    NotListening {
        /// Which port.
        port: u16,
        /// The end of its log.
        said: String,
    },
    /// The certificates could not be made.
    #[error("cannot make the broker's certificate: {0}")]
    Certificate(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// A running Mosquitto. It is killed when dropped.
pub struct Process(Child);

impl Process {
    /// Starts it on a configuration. The kernel sends it SIGTERM when the calling thread is gone.
    ///
    /// # Errors
    /// When Mosquitto is not installed or cannot be run.
    pub fn start(config: &Path, stderr: Stdio) -> Result<Self, MosquittoError> {
        let mosquitto = find("mosquitto", "mosquitto")?;
        Command::new(find("setpriv", "util-linux")?)
            .args(["--pdeathsig", "TERM"])
            .arg(mosquitto)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map(Self)
            .map_err(|error| run_error("mosquitto", &error))
    }

    /// Its process id, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.0.id()
    }

    /// What it says, if that was piped and has not been taken.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Stops it cleanly, so that it writes what it persists.
    pub async fn stop(mut self) {
        if let Some(pid) = self.pid().and_then(as_pid) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if timeout(STOP, self.0.wait()).await.is_err() {
            let _ = self.0.kill().await;
        }
    }

    /// Kills it with SIGKILL, as a power cut would.
    pub async fn kill(mut self) {
        let _ = self.0.kill().await;
    }
}

pub(super) fn as_pid(pid: u32) -> Option<rustix::process::Pid> {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
}

/// Debian puts daemons into `sbin`, which is not on every user's path.
pub fn find(program: &'static str, package: &'static str) -> Result<PathBuf, MosquittoError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(MosquittoError::Missing { what: program, package })
}

/// The dynamic security plugin, which lies in a folder named after the machine.
pub(super) fn find_plugin() -> Result<PathBuf, MosquittoError> {
    const PLUGIN: &str = "mosquitto_dynamic_security.so";
    let machines = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    machines
        .map(|entry| entry.path())
        .chain(["/usr/lib", "/usr/local/lib"].map(PathBuf::from))
        .map(|folder| folder.join(PLUGIN))
        .find(|file| file.is_file())
        .ok_or(MosquittoError::Missing { what: PLUGIN, package: "mosquitto" })
}

/// A program that could not be run.
pub fn run_error(program: &str, error: &io::Error) -> MosquittoError {
    MosquittoError::Run { program: program.to_owned(), why: error.to_string() }
}
