//! A real Moonraker as a child process, on its own port and in its own data folder. An installed one is never touched.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long Moonraker may take to answer after its start; some seconds on a small board.
const STARTING: Duration = Duration::from_secs(60);

/// How long it may take to end when asked to.
const STOPPING: Duration = Duration::from_secs(5);

/// How long one request may take.
const CALL: Duration = Duration::from_secs(30);

/// Ends a message on the unix socket.
const END: u8 = 0x03;

/// Who may come in over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Whoever comes from this host.
    Trusted,
    /// Only who has an API key or an account (`force_logins`, with an account so that it counts).
    Forced,
}

/// A `[webcam]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebcamSection {
    /// Its name.
    pub name: String,
    /// Where its stream is.
    pub stream_url: String,
    /// Where its snapshots are, or empty.
    pub snapshot_url: String,
}

/// What Moonraker to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Python of a virtual environment that has Moonraker.
    pub python: PathBuf,
    /// Its data folder; made if there is none, kept when Moonraker ends.
    pub data: PathBuf,
    /// A free port on 127.0.0.1.
    pub port: u16,
    /// Who may come in.
    pub login: Login,
    /// Its cameras.
    pub webcams: Vec<WebcamSection>,
}

impl Options {
    /// A Moonraker without cameras that trusts this host.
    pub fn new(python: impl Into<PathBuf>, data: impl Into<PathBuf>, port: u16) -> Self {
        Self {
            python: python.into(),
            data: data.into(),
            port,
            login: Login::Trusted,
            webcams: Vec::new(),
        }
    }

    /// Where it looks for Klippy.
    pub fn klippy_socket(&self) -> PathBuf {
        self.data.join("comms/klippy.sock")
    }

    /// Its own unix socket, which needs no login.
    pub fn socket(&self) -> PathBuf {
        self.data.join("comms/moonraker.sock")
    }

    /// Where its G-code files lie.
    pub fn gcodes(&self) -> PathBuf {
        self.data.join("gcodes")
    }

    /// Its websocket.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/websocket", self.port)
    }

    fn configuration(&self) -> String {
        let authorization = match self.login {
            Login::Trusted => "trusted_clients:\n    127.0.0.1",
            Login::Forced => "force_logins: True",
        };
        let mut text = format!(
            "[server]\nhost: 127.0.0.1\nport: {}\nklippy_uds_address: {}\n\n\
             [machine]\nprovider: none\nvalidate_service: False\nvalidate_config: False\n\n\
             [authorization]\n{authorization}\n",
            self.port,
            self.klippy_socket().display(),
        );
        for webcam in &self.webcams {
            let WebcamSection { name, stream_url, snapshot_url } = webcam;
            text += &format!(
                "\n[webcam {name}]\nstream_url: {stream_url}\nsnapshot_url: {snapshot_url}\n"
            );
        }
        text
    }
}

/// Why a Moonraker could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MoonrakerChildError {
    /// Its folder could not be written.
    #[error("cannot write Moonraker's data folder {}: {error}", path.display())]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It could not be started at all.
    #[error("cannot start Moonraker with {}: {error}. Is it a virtual environment with `pip install moonraker`?", python.display())]
    Start {
        /// The Python.
        python: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It ended, or did not answer in time.
    #[error("Moonraker {what}; the end of its log:\n{log}")]
    NotUp {
        /// What it did instead.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// A request failed.
    #[error("Moonraker did not do {method}: {why}")]
    Call {
        /// Which.
        method: String,
        /// Its words or the system's.
        why: String,
    },
}

/// A running Moonraker. It is killed when this is dropped.
#[derive(Debug)]
pub struct RealMoonraker {
    options: Options,
    child: Child,
}

impl RealMoonraker {
    /// Writes the configuration, starts Moonraker and waits until it answers.
    pub async fn start(options: Options) -> Result<Self, MoonrakerChildError> {
        for folder in ["config", "comms", "gcodes", "logs"] {
            let path = options.data.join(folder);
            std::fs::create_dir_all(&path)
                .map_err(|error| MoonrakerChildError::Folder { path, error })?;
        }
        let path = options.data.join("config/moonraker.conf");
        std::fs::write(&path, options.configuration())
            .map_err(|error| MoonrakerChildError::Folder { path, error })?;
        let child = Command::new(&options.python)
            .args(["-m", "moonraker", "-d"])
            .arg(&options.data)
            .current_dir(&options.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| MoonrakerChildError::Start {
                python: options.python.clone(),
                error,
            })?;
        let mut started = Self { options, child };
        started.wait_until_up().await?;
        if started.options.login == Login::Forced {
            let account =
                json!({ "username": "strandwatch-sim", "password": "only the API key is used" });
            // It is there already when the data folder is used again.
            let _ = started.call("access.post_user", account).await;
        }
        Ok(started)
    }

    async fn wait_until_up(&mut self) -> Result<(), MoonrakerChildError> {
        let deadline = Instant::now() + STARTING;
        let not_up = |what: String, data: &Path| {
            Err(MoonrakerChildError::NotUp { what, log: end_of_log(data) })
        };
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return not_up(format!("ended with {status}"), &self.options.data);
            }
            let port_open = TcpStream::connect(("127.0.0.1", self.options.port)).await.is_ok();
            if port_open && self.call("server.info", Value::Null).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return not_up(format!("has not answered within {STARTING:?}"), &self.options.data);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How it was started; start another with a clone to have it again on the same port and data.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its API key.
    pub async fn api_key(&self) -> Result<SecretString, MoonrakerChildError> {
        let key = self.call("access.get_api_key", Value::Null).await?;
        Ok(SecretString::from(key.as_str().unwrap_or_default()))
    }

    /// One JSON-RPC request over its unix socket, with all rights.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, MoonrakerChildError> {
        let failed = |why: String| MoonrakerChildError::Call { method: method.to_owned(), why };
        let params = if params.is_null() { json!({}) } else { params };
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = timeout(CALL, exchange(&self.options.socket(), &request)).await;
        let mut answer = answer
            .map_err(|_| failed(format!("no answer within {CALL:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => Err(failed(error["message"].as_str().unwrap_or_default().to_owned())),
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub async fn stop(mut self) -> io::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        match timeout(STOPPING, self.child.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.child.kill().await,
        }
    }

    /// Kills it at once, as a crash would.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

/// Sends a request and reads until its answer, passing over notifications.
async fn exchange(socket: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = BufReader::new(UnixStream::connect(socket).await?);
    let mut frame = request.to_string().into_bytes();
    frame.push(END);
    stream.write_all(&frame).await?;
    loop {
        frame.clear();
        if stream.read_until(END, &mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frame.pop();
        let message: Value = serde_json::from_slice(&frame)?;
        if message.get("id") == request.get("id") {
            return Ok(message);
        }
    }
}

fn end_of_log(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("logs/moonraker.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
