//! The checked configuration: every value typed, in range and ready to be wired.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::problem::Problem;
use super::raw::{LogFormat, LogLevel, UrlKind};
use crate::core::authz::{Grants, Trust};
use crate::core::command::ActionChoice;
use crate::core::contract::OnBlind;
use crate::core::geometry::BedView;
use crate::core::incident::Unanswered;
use crate::core::types::Name;

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The main file; `None` when there is none and the defaults hold.
    pub file: Option<PathBuf>,
    /// The secrets file, if it is there.
    pub secrets_file: Option<PathBuf>,
    /// At least one.
    pub printers: Vec<Printer>,
    /// How to see and to judge.
    pub watch: Watch,
    /// What to do about a failure.
    pub act: Act,
    /// The broker; `None` when there is no bus.
    pub mqtt: Option<Mqtt>,
    /// Every client's rights.
    pub grants: Grants,
    /// Home Assistant; `None` when Strandwatch is not to appear there.
    pub home_assistant: Option<HomeAssistant>,
    /// Where pictures are served; `None` when they are not.
    pub web: Option<Web>,
    /// What survives a restart.
    pub store: Store,
    /// What is logged.
    pub log: Log,
    /// What works, and somebody should look at.
    pub warnings: Vec<Problem>,
}

/// Where pictures are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The address taken.
    pub listen: std::net::SocketAddr,
    /// How a browser gets there, without a slash at the end.
    pub url: String,
}

/// A printer to watch.
#[derive(Debug, Clone)]
pub struct Printer {
    /// Unique in this daemon.
    pub name: Name,
    /// Where its Moonraker answers.
    pub moonraker: Endpoint,
    /// Moonraker's API key.
    pub api_key: Option<SecretString>,
    /// At least one.
    pub cameras: Vec<Camera>,
}

/// Where a Moonraker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `ws://` or `wss://`, with its path.
    Websocket(String),
    /// A unix socket's absolute path.
    Unix(PathBuf),
}

/// A camera of a printer.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Unique in its printer.
    pub name: Name,
    /// Where its pictures come from.
    pub source: CameraSource,
    /// Clockwise degrees, 0, 90, 180 or 270; `None` is what Moonraker says, else 0.
    pub rotate: Option<u16>,
    /// Mirror left and right; `None` is what Moonraker says, else no.
    pub flip_horizontal: Option<bool>,
    /// Mirror top and bottom; `None` is what Moonraker says, else no.
    pub flip_vertical: Option<bool>,
    /// Outlines as fractions of the picture; outside all of them nothing counts. None: everything does.
    pub masks: Vec<Vec<[f64; 2]>>,
    /// Where the bed lies in the picture.
    pub bed: Option<BedView>,
}

/// Where a camera's pictures come from.
#[derive(Debug, Clone)]
pub enum CameraSource {
    /// Moonraker knows the address.
    Moonraker {
        /// The webcam's name there; `None` is the first one enabled.
        webcam: Option<String>,
        /// How its address is to be read; `None` is as Moonraker's `service` says.
        kind: Option<UrlKind>,
    },
    /// An address of its own.
    Url {
        /// Without any login in it.
        url: String,
        /// How it is to be read.
        kind: UrlKind,
        /// The login that the camera asks for.
        login: Option<Login>,
    },
    /// A V4L2 device.
    Device(PathBuf),
    /// A video file or a folder of pictures.
    Files(PathBuf),
}

/// A user name and a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password; `None` when there is none in the secrets file.
    pub password: Option<SecretString>,
}

/// How to see and to judge.
#[derive(Debug, Clone)]
pub struct Watch {
    /// How frames add up to a verdict.
    pub rule: Rule,
    /// Tolerated wrong actions per 100 hours of good printing, 0.01..=1000.
    pub false_alarms_per_100h: f64,
    /// Tolerated wrong alerts per 100 hours, at least the number above.
    pub alert_false_alarms_per_100h: f64,
    /// Between two scored frames while all is well.
    pub clear_interval: Duration,
    /// Between two scored frames while something looks wrong.
    pub suspect_interval: Duration,
    /// Frames closer together than this count as one.
    pub correlation_time: Duration,
    /// Between two self-tests.
    pub self_test_every: Duration,
    /// How long nothing may be seen of a print before people are told to look.
    pub blind_alert_after: Duration,
    /// The model's name in the manifest; `None` is the manifest's `default`.
    pub model: Option<String>,
    /// The folder with the manifest; `None` is the one that came with Strandwatch.
    pub models: Option<PathBuf>,
    /// ONNX Runtime's shared library; `None` is `$ORT_DYLIB_PATH`, else what came with Strandwatch.
    pub onnxruntime: Option<PathBuf>,
    /// Threads for one inference, 1..=64.
    pub threads: u32,
}

/// How frames add up to a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Calibrated evidence over time.
    Evidence,
    /// The Spaghetti Detective's moving averages.
    Tsd {
        /// 0.1..=10; larger fires sooner.
        sensitivity: f64,
    },
}

/// What to do about a failure.
#[derive(Debug, Clone)]
pub struct Act {
    /// Whether to act by itself after a start.
    pub armed: bool,
    /// What to do.
    pub on_failure: ActionChoice,
    /// What to do when nothing has been seen of a print for too long.
    pub on_blind: OnBlind,
    /// Time for people to dismiss before it acts; may be zero.
    pub veto: Duration,
    /// How many clients must agree, at least 1.
    pub votes_needed: u32,
    /// What to do when they confirm; `None` is as `on_failure`.
    pub on_confirmed: Option<ActionChoice>,
    /// How long people have to decide about a print that was paused.
    pub answer_within: Duration,
    /// What becomes of it when they do not.
    pub if_unanswered: Unanswered,
    /// How long a print that it paused stays hot; `None` leaves that to the printer.
    pub heaters_off_after: Option<Duration>,
    /// How often an action is tried, at least 1.
    pub attempts: u32,
    /// How long the printer may take to report an action done.
    pub confirm_within: Duration,
}

/// How to reach the broker.
#[derive(Debug, Clone)]
pub struct Mqtt {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS, or plain text.
    pub tls: Option<Tls>,
    /// Our own login; `None` is anonymous.
    pub login: Option<Login>,
    /// The first levels of every topic, without a slash at either end.
    pub base: String,
    /// Our client id.
    pub client_id: String,
    /// What shows who sends a request.
    pub trust: Trust,
    /// Whom the audit logs in as, to try what no client may do.
    pub canary: Option<Login>,
    /// Keys of the clients that sign their requests.
    pub keys: BTreeMap<Name, SecretString>,
    /// The broker is our own; then it is reached over loopback, and our login there is not in the configuration.
    pub managed: Option<Managed>,
}

/// A broker of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    /// Its folder; may not be there yet.
    pub folder: PathBuf,
    /// The port for everybody else, with TLS; `None` opens none.
    pub lan_port: Option<u16>,
    /// What clients are told; `None` is this host's name.
    pub public_host: Option<String>,
}

/// How the broker's certificate is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// A certificate authority in PEM; `None` is those the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// Home Assistant at the same broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// The client that it is.
    pub client: Name,
    /// The first levels of its discovery topics.
    pub discovery_prefix: String,
    /// The whole topic on which it says that it has started.
    pub birth_topic: String,
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The database; its folder may not be there yet.
    pub path: PathBuf,
    /// The folder for pictures of incidents; may not be there yet.
    pub evidence: PathBuf,
    /// How many bytes those pictures may take.
    pub evidence_quota: u64,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

impl Checked {
    /// What this configuration makes Strandwatch do, a line each, for people.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for printer in &self.printers {
            lines.push(format!("watches {} at {}", printer.name, printer.moonraker));
            let cameras = printer.cameras.iter();
            lines.extend(
                cameras.map(|camera| format!("  camera {}: {}", camera.name, camera.source)),
            );
        }
        lines.push(match (self.act.armed, self.act.on_failure) {
            (false, _) => "is disarmed: it tells people of a failure and does not act".to_owned(),
            (true, ActionChoice::Nothing) => {
                "tells people of a failure and does not act".to_owned()
            }
            (true, ActionChoice::Pause) => "pauses the print on a failure".to_owned(),
            (true, ActionChoice::ExcludeObject) => {
                "excludes the object that fails, or pauses where that cannot be told".to_owned()
            }
            (true, ActionChoice::Cancel) => "cancels the print on a failure".to_owned(),
        });
        lines.push(self.mqtt.as_ref().map_or_else(
            || {
                "has no bus, as mqtt.broker is \"none\": it watches and acts, tells nobody, takes no commands"
                    .to_owned()
            },
            |mqtt| {
                if let Some(managed) = &mqtt.managed {
                    let lan = managed.lan_port.map_or_else(
                        || "no port for the network".to_owned(),
                        |port| format!("port {port} with TLS for the network"),
                    );
                    return format!(
                        "runs its own broker: 127.0.0.1:{} for this host, {lan}, below {}/",
                        mqtt.port, mqtt.base
                    );
                }
                let tls = if mqtt.tls.is_some() { "with TLS" } else { "without TLS" };
                format!("speaks to the broker {}:{} {tls}, below {}/", mqtt.host, mqtt.port, mqtt.base)
            },
        ));
        lines.extend(self.mqtt.as_ref().map(|mqtt| match mqtt.trust {
            Trust::Isolation => "takes commands once it is shown that the broker keeps clients apart".to_owned(),
            Trust::Signatures => "takes signed commands only".to_owned(),
            Trust::AnyLogin => {
                "TAKES COMMANDS FROM EVERY LOGIN OF THE BROKER, in any client's name: mqtt.trust = \"any-login\"".to_owned()
            }
        }));
        lines.extend(self.grants.0.iter().map(|(client, grant)| {
            let rights: Vec<&str> = grant.rights.iter().map(|right| right.name()).collect();
            let printers = grant.printers.as_ref().map_or_else(
                || "every printer".to_owned(),
                |names| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
            );
            format!("  client {client} may {} on {printers}", rights.join(", "))
        }));
        if self.mqtt.is_some() {
            lines.push(self.home_assistant_summary());
        }
        lines
    }

    fn home_assistant_summary(&self) -> String {
        match &self.home_assistant {
            None => {
                "does not appear in Home Assistant, as home_assistant.enabled is false".to_owned()
            }
            Some(HomeAssistant { client, discovery_prefix, .. }) => {
                let appears = format!("appears in Home Assistant below {discovery_prefix}/");
                if self.grants.0.contains_key(client) {
                    format!("{appears}, as client {client}")
                } else {
                    format!("{appears}, to be seen only: there is no client {client}")
                }
            }
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Websocket(url) => f.write_str(url),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl std::fmt::Display for CameraSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Moonraker { webcam: None, .. } => f.write_str("the first enabled in Moonraker"),
            Self::Moonraker { webcam: Some(name), .. } => write!(f, "{name:?} in Moonraker"),
            Self::Url { url, .. } => f.write_str(url),
            Self::Device(path) | Self::Files(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Secrets by what they are for.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    /// Moonraker's API keys by printer.
    pub api_keys: BTreeMap<String, SecretString>,
    /// Camera passwords by printer and camera.
    pub cameras: BTreeMap<(String, String), SecretString>,
    /// The broker's password.
    pub mqtt: Option<SecretString>,
    /// The canary's at the broker.
    pub canary: Option<SecretString>,
    /// Signing keys by client.
    pub keys: BTreeMap<Name, SecretString>,
}
