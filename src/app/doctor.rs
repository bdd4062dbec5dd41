//! Live checks of everything the daemon rests on, each with what to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::SystemClock;
use super::onnx::OnnxLoader;
use super::scoring::{ModelLoader, SharedScorer, load_now, self_test};
use super::wiring::{self, WiringError};
use crate::config::Checked;
use crate::core::audit;
use crate::core::authz::Trust;
use crate::core::types::{Decoding, KlippyState, LinkStatus, Name, SourceHealth, SourceReport};
use crate::mqtt::managed;
use crate::mqtt::requester::Requester;
use crate::ports::{BrokerAudit, Clock, FrameSource, PrinterLink};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, and should be looked at.
    Warning,
    /// Does not work.
    Bad,
}

/// One line of the doctor's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, such as `printer voron: Moonraker`.
    pub what: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen, and, unless good, what to do.
    pub detail: String,
}

fn finding(what: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { what: what.into(), verdict, detail: detail.into() }
}

/// A printer or camera or broker may take so long to answer.
const PATIENCE: Duration = Duration::from_secs(12);

/// Runs every check; findings arrive as they are made.
pub async fn examine(config: &Checked, findings: mpsc::Sender<Finding>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cancel = CancellationToken::new();
    let tracker = TaskTracker::new();
    let tell = async |finding: Finding| {
        // The reader may have gone; the checks are then of no use, and soon over.
        let _ = findings.send(finding).await;
    };
    tell(clock_check(clock.as_ref())).await;
    tell(store_check(&config.store.path)).await;
    for finding in model_check(config, &clock).await {
        tell(finding).await;
    }
    for printer in &config.printers {
        let link: Arc<dyn PrinterLink> =
            crate::moonraker::Link::spawn(wiring::link_setup(printer), cancel.clone(), &tracker);
        tell(printer_check(&printer.name, link.as_ref()).await).await;
        for camera in &printer.cameras {
            let what = format!("printer {}: camera {}", printer.name, camera.name);
            let opened = wiring::open_camera(printer, camera, &link, &clock, &cancel, &tracker);
            tell(camera_check(what, opened).await).await;
        }
    }
    for finding in broker_checks(config).await {
        tell(finding).await;
    }
    cancel.cancel();
    tracker.close();
    let _ = tokio::time::timeout(Duration::from_secs(2), tracker.wait()).await;
}

fn clock_check(clock: &dyn Clock) -> Finding {
    // A Raspberry Pi without a network clock starts in the past: then no request is fresh.
    const BUILT_AFTER_MS: i64 = 1_760_000_000_000;
    let now_ms = clock.now().unix_ms;
    if now_ms > BUILT_AFTER_MS {
        finding("clock", Verdict::Good, "plausible")
    } else {
        finding(
            "clock",
            Verdict::Bad,
            "the host's clock is in the past: every request would be refused as stale; \
             `timedatectl` shows whether it is synchronised",
        )
    }
}

fn store_check(path: &Path) -> Finding {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let shown = path.display();
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free_mb = disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000;
            if free_mb < 100 {
                finding(
                    "disk",
                    Verdict::Bad,
                    format!("{free_mb} MB free for {shown}: free some space"),
                )
            } else {
                finding("disk", Verdict::Good, format!("{free_mb} MB free for {shown}"))
            }
        }
        Err(error) => finding(
            "disk",
            Verdict::Bad,
            format!("{shown}: {error}: check store.path in the config"),
        ),
    }
}

async fn model_check(config: &Checked, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let loader: Arc<dyn ModelLoader> = Arc::new(OnnxLoader::new(wiring::model_options(config)));
    let scorer = SharedScorer::new(clock.clone());
    let facts = match load_now(&scorer, &loader).await {
        Ok(facts) => facts,
        Err(why) => return vec![finding("model", Verdict::Bad, why)],
    };
    let loaded = format!(
        "{} loads, its hash is right ({}…)",
        facts.name,
        &facts.sha256[..12.min(facts.sha256.len())]
    );
    let test = self_test(&scorer, &loader).await;
    let verdict = if test.passed { Verdict::Good } else { Verdict::Bad };
    vec![finding("model", Verdict::Good, loaded), finding("self-test", verdict, test.detail)]
}

/// Waits until `done` finds something in a watched value, at most [`PATIENCE`].
async fn settled<T: Clone, R>(
    mut values: watch::Receiver<T>,
    mut done: impl FnMut(&T) -> Option<R>,
) -> Result<R, T> {
    let search = async {
        loop {
            if let Some(result) = done(&values.borrow_and_update()) {
                return Some(result);
            }
            if values.changed().await.is_err() {
                return None;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await.ok().flatten();
    found.ok_or_else(|| values.borrow().clone())
}

async fn printer_check(name: &Name, link: &dyn PrinterLink) -> Finding {
    let what = format!("printer {name}: Moonraker");
    let up = settled(link.status(), |status| match status {
        // Klippy takes some seconds to start, and Moonraker some to find it.
        LinkStatus::Up(status) => {
            let starting = [KlippyState::Startup, KlippyState::Disconnected];
            (!starting.contains(&status.klippy)).then_some(status.klippy)
        }
        LinkStatus::Down { .. } => None,
    });
    match up.await {
        Ok(KlippyState::Ready) => {
            finding(what, Verdict::Good, "reachable, authorised, Klippy is ready")
        }
        Ok(state) => klippy_is(what, state),
        Err(LinkStatus::Down { why }) => finding(what, Verdict::Bad, why),
        Err(LinkStatus::Up(status)) => klippy_is(what, status.klippy),
    }
}

fn klippy_is(what: String, state: KlippyState) -> Finding {
    let detail =
        format!("reachable and authorised, but Klippy is {state:?}: see Mainsail for its message");
    finding(what, Verdict::Warning, detail)
}

async fn camera_check(what: String, opened: Result<Arc<dyn FrameSource>, WiringError>) -> Finding {
    let source = match opened {
        Ok(source) => source,
        Err(error) => return finding(what, Verdict::Bad, error.to_string()),
    };
    source.set_wanted(true);
    let frames = async {
        loop {
            if let Ok(frame) = source.capture().await {
                return frame;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let frame = tokio::time::timeout(PATIENCE, frames).await;
    let report = source.report().borrow().clone();
    source.set_wanted(false);
    match (frame, &report.health) {
        (Ok(frame), SourceHealth::Impaired { why, .. } | SourceHealth::Blind { why, .. }) => {
            let seen = seen(frame.width, frame.height, &report);
            finding(what, Verdict::Warning, format!("{seen}, but: {why}"))
        }
        (Ok(frame), SourceHealth::Idle | SourceHealth::Opening | SourceHealth::Seeing) => {
            finding(what, Verdict::Good, seen(frame.width, frame.height, &report))
        }
        (Err(_), SourceHealth::Impaired { why, .. } | SourceHealth::Blind { why, .. }) => {
            finding(what, Verdict::Bad, why.clone())
        }
        (Err(_), SourceHealth::Idle | SourceHealth::Opening | SourceHealth::Seeing) => {
            finding(what, Verdict::Bad, "no frame in time: does the address play in a browser?")
        }
    }
}

fn seen(width: u32, height: u32, report: &SourceReport) -> String {
    let Decoding { element, hardware, gave_up } = &report.decoding;
    let decoder = element.as_deref().unwrap_or("an unnamed element");
    let kind = if *hardware { "hardware" } else { "software" };
    let mut line = format!("delivers {width}x{height}, decoded by {decoder} ({kind})");
    for given_up in gave_up {
        line.push_str("; gave up ");
        line.push_str(given_up);
    }
    line
}

async fn broker_checks(config: &Checked) -> Vec<Finding> {
    let what = "broker";
    let Some(settings) = &config.mqtt else {
        let detail = "there is none (mqtt.broker is \"none\"): nobody hears of a failure";
        return vec![finding(what, Verdict::Warning, detail)];
    };
    let mut found = vec![match wiring::managed_settings(config, settings) {
        Ok(Some(own)) => own_broker_check(config, settings, &own).await,
        Ok(None) => {
            let address = format!("{}:{}", settings.host, settings.port);
            match (probe_broker(config, settings).await, &settings.login) {
                (Err(why), _) => finding(what, Verdict::Bad, why),
                (Ok(()), Some(_)) => {
                    finding(what, Verdict::Good, format!("{address} accepts our login"))
                }
                (Ok(()), None) => {
                    finding(what, Verdict::Warning, format!("{address} answers, without a login"))
                }
            }
        }
        Err(error) => finding(what, Verdict::Bad, error.to_string()),
    }];
    // Without a connection there is nothing to audit, and our own broker does not run without the daemon.
    if probe_broker(config, settings).await.is_ok() {
        match wiring::auditor(config, settings, &config.grants) {
            Ok(auditor) => {
                let audit = auditor.audit().await;
                found.extend(audit.0.iter().map(|check| of_audit(check, settings.trust)));
            }
            Err(error) => found.push(finding(what, Verdict::Bad, error.to_string())),
        }
    }
    if settings.trust == Trust::AnyLogin {
        let detail =
            "mqtt.trust = \"any-login\": every login of this broker may speak as any client";
        found.push(finding("broker: trust", Verdict::Warning, detail));
    }
    found
}

/// One check of the broker's audit; what commands do not rest on is only to be looked at.
fn of_audit(found: &audit::Finding, trust: Trust) -> Finding {
    let row = found.check.row();
    let what = format!("broker: {}", row.name);
    match found.problem() {
        None => finding(what, Verdict::Good, row.holds.trim_end_matches('.')),
        Some(problem) if row.carries.contains(&trust) => {
            finding(what, Verdict::Bad, format!("{problem}. The command plane stays closed"))
        }
        Some(problem) => finding(what, Verdict::Warning, problem),
    }
}

/// Our own broker runs where the daemon does; without a daemon, whether it could is what can be said.
async fn own_broker_check(
    config: &Checked,
    settings: &crate::config::Mqtt,
    own: &managed::Settings,
) -> Finding {
    let what = "broker";
    if let Err(error) = managed::is_installed() {
        return finding(what, Verdict::Bad, error.to_string());
    }
    match own.folder.is_held() {
        Err(error) => finding(what, Verdict::Bad, error.to_string()),
        Ok(false) => match managed::check_ports(own) {
            Ok(()) => finding(
                what,
                Verdict::Good,
                "its own one, not running as the daemon is not; mosquitto is installed and the ports are free",
            ),
            Err(error) => finding(what, Verdict::Bad, error.to_string()),
        },
        Ok(true) => match probe_broker(config, settings).await {
            Ok(()) => {
                let lan = own.lan_port.map_or_else(
                    || "not open to the network".to_owned(),
                    |port| format!("open to the network with TLS on port {port}"),
                );
                let detail = format!("its own one, runs on 127.0.0.1:{}, {lan}", own.local_port);
                finding(what, Verdict::Good, detail)
            }
            Err(why) => finding(
                what,
                Verdict::Bad,
                format!(
                    "its own one does not answer: {why}; the daemon's log says what mosquitto said"
                ),
            ),
        },
    }
}

/// Connects beside a daemon that may be running, whose session is not ours to take.
async fn probe_broker(config: &Checked, settings: &crate::config::Mqtt) -> Result<(), String> {
    let setup = wiring::bus_setup(config, settings).map_err(|error| error.to_string())?;
    let name = Name::parse("strandwatch-doctor").map_err(|error| error.to_string())?;
    let connecting = Requester::connect(&setup.broker, setup.base, name, &[]);
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(connected) => connected.map(drop).map_err(|fault| fault.to_string()),
        Err(_) => Err(format!("{} does not answer", setup.broker.address())),
    }
}
