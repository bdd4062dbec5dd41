//! A daemon with a broker of its own, and `strandwatch client` beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use strandwatch::mqtt::client::Received;
use strandwatch::mqtt::fault::Fault;
use strandwatch::mqtt::requester::{RequestError, Requester};
use strandwatch::mqtt::{Base, Broker, Login, Tls};
use strandwatch::sim::stage::{BASE, Daemon};
use tempfile::TempDir;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::mqtt::{LONG, name, soon};
use super::stage::{fresh, program};
use super::{free_port, rig};

/// A configuration, its folder, its ports.
pub struct Own {
    pub folder: TempDir,
    pub config: PathBuf,
    pub local_port: u16,
    pub lan_port: u16,
}

impl Own {
    /// A configuration with `more` in it, and nothing that runs.
    pub fn new(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (local_port, lan_port) = (free_port(), free_port());
        let store = folder.path().join("state/strandwatch.db");
        let text = format!(
            "secrets = {:?}\n[store]\npath = {store:?}\n[mqtt]\nlocal_port = {local_port}\nlan_port = {lan_port}\n\
             public_host = \"localhost\"\n{more}",
            folder.path().join("secrets.toml")
        );
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let config = folder.path().join("strandwatch.toml");
        std::fs::write(&config, text).unwrap();
        super::config::write_secret_file(&folder.path().join("secrets.toml"), "");
        Self { folder, config, local_port, lan_port }
    }

    pub fn broker_folder(&self) -> PathBuf {
        self.folder.path().join("state/broker")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("strandwatch.log")
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts the daemon.
    pub fn daemon(&self) -> Daemon {
        Daemon::start(&program(), &self.config, &self.log_file()).unwrap()
    }

    /// Waits until the daemon has logged `line` at least `times` times.
    pub async fn logged(&self, line: &str, times: usize) {
        let search = async {
            while self.log().matches(line).count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(LONG, search).await.is_err() {
            panic!("{line:?} is not in the log:\n{}", self.log());
        }
    }

    /// `strandwatch` with this configuration.
    fn run(&self, arguments: &str) -> std::process::Output {
        let mut command = Command::new(program());
        command.env("ORT_DYLIB_PATH", rig().join("onnxruntime/libonnxruntime.so"));
        let arguments = arguments.split_whitespace();
        command.args(arguments).arg("--config").arg(&self.config).output().unwrap()
    }

    /// `strandwatch` with this configuration: its exit code and all that it prints.
    pub fn strandwatch(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    }

    /// `strandwatch client … --json`, which must go well.
    pub fn client(&self, arguments: &str) -> Value {
        let output = self.run(&format!("client {arguments} --json"));
        assert_eq!(output.status.code(), Some(0), "client {arguments}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How a client connects over the network, with what `client add` or `rotate` said.
    pub fn login(&self, credential: &Value) -> Broker {
        let broker = &credential["broker"];
        assert_eq!(broker["tls"], true, "{credential}");
        Broker {
            host: broker["host"].as_str().unwrap().to_owned(),
            port: broker["port"].as_u64().unwrap() as u16,
            tls: Some(Tls { ca_file: Some(self.broker_folder().join("ca.pem")) }),
            login: Some(Login {
                user: credential["client"].as_str().unwrap().to_owned(),
                password: credential["secret"].as_str().unwrap().to_owned().into(),
            }),
        }
    }

    /// Tries to connect once.
    pub async fn try_connect(
        &self,
        credential: &Value,
        filters: &[String],
    ) -> Result<(Requester, Receiver<Received>), Fault> {
        let who = name(credential["client"].as_str().unwrap());
        Requester::connect(&self.login(credential), base(), who, filters).await
    }

    /// Connects, as soon as the broker runs, and waits until the daemon takes commands.
    pub async fn connect(&self, credential: &Value) -> (Requester, Receiver<Received>) {
        let filters = base().daemon_filters();
        let deadline = tokio::time::Instant::now() + LONG;
        let (requester, messages) = loop {
            match self.try_connect(credential, &filters).await {
                Ok(connected) => break connected,
                // One that is just ending resets the handshake.
                Err(Fault::Unreachable { .. } | Fault::Tls { .. } | Fault::TurnedAway { .. })
                    if tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(fault) => panic!("{fault}\n{}", self.log()),
            }
        };
        // What is retained may be an earlier daemon's word: only an answer shows that this one listens.
        soon("the daemon takes commands", async {
            for number in 0.. {
                let body = fresh(&format!("knock {number}"));
                let within = Duration::from_millis(500);
                match requester.request("nowhere", "status", &body, within).await {
                    Ok(answer) if !answer["reason"].as_str().unwrap().contains("closed") => return,
                    Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(RequestError::Unanswered { .. }) => {}
                    Err(error) => panic!("{error}\n{}", self.log()),
                }
            }
        })
        .await;
        (requester, messages)
    }
}

pub fn base() -> Base {
    Base::parse(BASE).unwrap()
}

/// Waits for a health document that `wanted` picks.
pub async fn health(
    messages: &mut Receiver<Received>,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    soon(what, async {
        loop {
            let seen = messages.recv().await.expect("the connection");
            if seen.topic == format!("{BASE}/health")
                && let Ok(health) = serde_json::from_slice(&seen.payload)
                && wanted(&health)
            {
                return health;
            }
        }
    })
    .await
}

/// Waits until a connection has ended.
pub async fn ends(messages: &mut Receiver<Received>) {
    soon("the connection ends", async {
        while !matches!(messages.recv().await, Err(RecvError::Closed)) {}
    })
    .await;
}

/// The files below `folder` that hold `text`.
pub fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if let Ok(content) = std::fs::read(&path)
            && content.windows(text.len()).any(|part| part == text.as_bytes())
        {
            found.push(path);
        }
    }
    found
}
