//! Runs the broker for as long as the daemon lives: starts it, starts it again with a back-off, says how it is.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process, test_kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::folder::{Folder, Lock, write_private};
use super::process::{MosquittoError, Process, as_pid, find, find_plugin};
use super::{Settings, certificate};
use crate::core::authz::Grants;
use crate::mqtt::backoff::Backoff;
use crate::ports::BrokerHealth;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);

/// How long a broker that was left behind may take to end.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// It ran for so long: the next trouble is a new one.
const GOOD: Duration = Duration::from_secs(60);

/// Lines of its log that are kept for a message.
const SAID: usize = 6;

/// Every client's grant at this moment.
pub type GrantsNow = watch::Receiver<Grants>;

/// Keeps the broker running until `cancel`, then stops it cleanly. What becomes of it is told through `health`.
pub async fn supervise(
    settings: Settings,
    grants: GrantsNow,
    health: watch::Sender<BrokerHealth>,
    cancel: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let mut lock = None;
    let mut starts = 0_u32;
    loop {
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = start(&settings, &grants, &mut lock) => outcome,
            () = cancel.cancelled() => return,
        };
        let why = match outcome {
            Err(error) => error.to_string(),
            Ok((mut process, said)) => {
                tracing::info!(
                    pid = process.pid(),
                    "the MQTT broker runs on 127.0.0.1:{}",
                    settings.local_port
                );
                health.send_replace(BrokerHealth::Up { restarts: starts });
                starts = starts.saturating_add(1);
                tokio::select! {
                    ended = process.ended() => format!("mosquitto ended ({}); it said: {}", ending(ended), said.text()),
                    () = cancel.cancelled() => return process.stop().await,
                }
            }
        };
        if began.elapsed() >= GOOD {
            backoff.reset();
        }
        let wait = backoff.wait(rand::random());
        let told = BrokerHealth::Down { why: why.clone() };
        if health.send_replace(told.clone()) != told {
            tracing::error!(?wait, "there is no MQTT broker: {why}");
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = cancel.cancelled() => return,
        }
    }
}

fn ending(ended: io::Result<std::process::ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Starts it once, and waits until it listens. The lock is taken the first time and kept.
async fn start(
    settings: &Settings,
    grants: &GrantsNow,
    lock: &mut Option<Lock>,
) -> Result<(Process, Said), MosquittoError> {
    let folder = &settings.folder;
    let plugin = find_plugin()?;
    if lock.is_none() {
        *lock = folder.lock()?;
    }
    let Some(held) = lock else {
        return Err(MosquittoError::Held { folder: folder.path().to_owned() });
    };
    end_left_behind(folder).await;
    check_ports(settings)?;
    if settings.lan_port.is_some() {
        certificate::prepare(folder, &settings.host)?;
    }
    let mut accounts = Accounts::open(folder, held)?;
    let (secret, canary) = (folder.secret()?, folder.canary_login()?);
    accounts.settle(&settings.access, &secret, &canary, &grants.borrow().clone())?;
    accounts.save()?;
    write_private(&folder.config(), config(settings, &plugin).as_bytes())?;
    let mut process = Process::start(&folder.config(), Stdio::piped())?;
    let said = Said::default();
    if let Some(stderr) = process.stderr() {
        tokio::spawn(said.clone().listen(stderr));
    }
    let deadline = Instant::now() + START;
    while !said.is_running() {
        if !process.is_running() || Instant::now() > deadline {
            let said = said.text();
            return Err(MosquittoError::NotListening { port: settings.local_port, said });
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok((process, said))
}

/// Whether Mosquitto and its plugin are installed.
///
/// # Errors
/// What is missing, and its package.
pub fn is_installed() -> Result<(), MosquittoError> {
    find("mosquitto", "mosquitto")?;
    find_plugin().map(drop)
}

/// Whether the ports are free.
///
/// # Errors
/// Which one is taken.
pub fn check_ports(settings: &Settings) -> Result<(), MosquittoError> {
    check_port(Ipv4Addr::LOCALHOST, settings.local_port, "mqtt.local_port")?;
    match settings.lan_port {
        Some(port) => check_port(Ipv4Addr::UNSPECIFIED, port, "mqtt.lan_port"),
        None => Ok(()),
    }
}

fn check_port(address: Ipv4Addr, port: u16, key: &'static str) -> Result<(), MosquittoError> {
    match TcpListener::bind((address, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(MosquittoError::PortTaken { port, key })
        }
        // Whatever else is wrong with it, Mosquitto will say.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Ends a broker on this folder's configuration that a killed daemon left behind. Only its own command line tells it, and
/// we hold the lock, so it is nobody else's.
async fn end_left_behind(folder: &Folder) {
    let config = folder.config();
    let ours = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"mosquitto"))
            && words.any(|word| word == config.as_os_str().as_encoded_bytes())
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids.filter(|pid| ours(*pid)) {
        tracing::warn!(pid, "a broker that an earlier strandwatch left behind is ended");
        let Some(process) = as_pid(pid) else { continue };
        let deadline = Instant::now() + LEFT_BEHIND;
        let _ = kill_process(process, Signal::TERM);
        while test_kill_process(process).is_ok() && ours(pid) {
            if Instant::now() > deadline {
                let _ = kill_process(process, Signal::KILL);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What it says: passed on to our log, its end kept for messages.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<(VecDeque<String>, bool)>>);

impl Said {
    async fn listen(self, stderr: ChildStderr) {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Its time stands before each line, in Unix seconds.
            let line = line.split_once(": ").map_or(line.as_str(), |(_, rest)| rest).to_owned();
            tracing::debug!("mosquitto: {line}");
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (lines, running) = &mut *kept;
            *running |= line.ends_with(" running");
            if lines.len() == SAID {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }

    fn is_running(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

/// `mosquitto.conf`. There is no `memory_limit`: Mosquitto 2.0.11 counts what the plugin frees wrongly, and after some
/// accounts takes itself for out of memory. No listener is open to anonymous users, and the plain one to this host alone.
fn config(settings: &Settings, plugin: &std::path::Path) -> String {
    let folder = settings.folder.path().display();
    let (plugin, local_port) = (plugin.display(), settings.local_port);
    let mut text = format!(
        "# Written by strandwatch at each start of the broker: what you change here is lost.
per_listener_settings false
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {folder}/dynamic-security.json

persistence true
persistence_location {folder}/
persistent_client_expiration 7d

# A picture fits; a client that stops reading costs a bounded amount of memory.
max_packet_size 4194304
max_inflight_messages 20
max_queued_messages 1000
max_queued_bytes 16777216
max_keepalive 3600

log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
# Started by root it would become the user mosquitto, who may not read this private folder.
user root

listener {local_port} 127.0.0.1
max_connections 64
"
    );
    if let Some(port) = settings.lan_port {
        text += &format!(
            "
listener {port}
max_connections 64
certfile {folder}/server.pem
keyfile {folder}/server.key
tls_version tlsv1.2
"
        );
    }
    text
}
