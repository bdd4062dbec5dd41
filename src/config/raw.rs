//! The shape of `strandwatch.toml` and of `secrets.toml`. The doc comments are the user's documentation: they stand in
//! `config/reference.toml`. Ranges and formats given here are what [`super::shape`] checks.

mod home_assistant;
mod secrets;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use home_assistant::HomeAssistant;
pub(super) use secrets::{ClientSecrets, Secrets};

use super::units::{Bytes, Span};
use crate::core::authz::Trust;

mod act;
mod web;

pub(super) use act::Act;
pub(super) use web::Web;

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    /// The file with API keys and passwords. It must belong to the user that runs Strandwatch, be readable by nobody else
    /// (`chmod 600`) and lie outside `printer_data/config`, which people back up in public. Without this key it is
    /// `~/.config/strandwatch/secrets.toml`, or `/etc/strandwatch/secrets.toml` when this file lies in `/etc/strandwatch`.
    #[schemars(example = &"~/.config/strandwatch/secrets.toml")]
    pub secrets: Option<PathBuf>,
    /// The printers to watch. Without any: the one behind the Moonraker of this host.
    pub printer: Vec<Printer>,
    /// How to see and to judge.
    pub watch: Watch,
    /// What to do about a failure.
    pub act: Act,
    /// The message broker.
    pub mqtt: Mqtt,
    /// Home Assistant.
    pub home_assistant: HomeAssistant,
    /// What Strandwatch sees, as a webcam for Mainsail and Fluidd.
    pub web: Web,
    /// What survives a restart.
    pub store: Store,
    /// What is logged, and where to.
    pub log: Log,
}

/// A printer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Printer {
    /// Its name in topics, events and commands: small letters, digits, `_` and `-`.
    pub name: String,
    /// Where its Moonraker answers: `ws://host:7125/websocket` (`http://host:7125` means the same; `wss` and `https` use
    /// TLS), or the path of its unix socket, which needs no API key.
    pub moonraker: String,
    /// Its cameras. Without any: the first camera that is enabled in Moonraker.
    pub camera: Vec<Camera>,
}

impl Default for Printer {
    fn default() -> Self {
        Self {
            name: "printer".to_owned(),
            moonraker: "ws://127.0.0.1:7125/websocket".to_owned(),
            camera: Vec::new(),
        }
    }
}

/// A camera.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Camera {
    /// Its name in events; the cameras of one printer must differ in it.
    pub name: String,
    /// Where its address comes from. Leave it out when you give `url`, `device` or `path`.
    #[schemars(example = &"moonraker")]
    pub from: Option<CameraFrom>,
    /// Its name in Moonraker (Mainsail and Fluidd show it). Without it: the first one that is enabled.
    #[schemars(example = &"bed")]
    pub webcam: Option<String>,
    /// Its address instead: `http`, `https`, `rtsp` or `rtsps`. A user name may stand in it, a password may not: that goes
    /// into the secrets file as `password` under `[printer.NAME.camera.NAME]`.
    #[schemars(example = &"http://127.0.0.1:8080/?action=stream")]
    pub url: Option<String>,
    /// A V4L2 device instead.
    #[schemars(example = &"/dev/video0")]
    pub device: Option<PathBuf>,
    /// A video file or a folder of pictures instead, to try things out.
    #[schemars(example = &"~/pictures")]
    pub path: Option<PathBuf>,
    /// How its address is to be read. Without it, Strandwatch goes by what Moonraker says, or by the URL.
    #[schemars(example = &"mjpeg")]
    pub kind: Option<UrlKind>,
    /// Clockwise degrees to turn the picture by. Without it: what Moonraker says, else 0.
    #[schemars(extend("enum" = [0, 90, 180, 270]), example = 0)]
    pub rotate: Option<u16>,
    /// Mirror left and right, after turning. Without it: what Moonraker says, else false.
    #[schemars(example = false)]
    pub flip_horizontal: Option<bool>,
    /// Mirror top and bottom, after turning. Without it: what Moonraker says, else false.
    #[schemars(example = false)]
    pub flip_vertical: Option<bool>,
    /// The parts of the picture that count, each an outline of three points or more: fractions of the picture from its top
    /// left, after turning and mirroring. What lies outside all of them counts for nothing. Without any the whole picture
    /// counts. `strandwatch mask --preview` draws them over a picture of the camera.
    #[schemars(example = [[[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]])]
    pub masks: Option<Vec<Vec<Vec<f64>>>>,
    /// Where the bed's four corners show in the picture, in fractions as above: front left, front right, back right, back
    /// left. With it and `bed_mm`, a failure can be told to be one object's. `strandwatch calibrate` writes both down.
    #[schemars(example = [[0.2, 0.9], [0.8, 0.9], [0.7, 0.4], [0.3, 0.4]])]
    pub bed_corners: Option<Vec<Vec<f64>>>,
    /// What these corners are on the bed: smallest x and y, largest x and y, mm.
    #[schemars(example = [0.0, 0.0, 235.0, 235.0])]
    pub bed_mm: Option<Vec<f64>>,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            name: "camera".to_owned(),
            from: None,
            webcam: None,
            url: None,
            device: None,
            path: None,
            kind: None,
            rotate: None,
            flip_horizontal: None,
            flip_vertical: None,
            masks: None,
            bed_corners: None,
            bed_mm: None,
        }
    }
}

/// Who knows a camera's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CameraFrom {
    /// Moonraker's list of webcams.
    Moonraker,
}

/// How a camera's URL is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UrlKind {
    /// JPEG after JPEG over HTTP (`multipart/x-mixed-replace`).
    Mjpeg,
    /// One JPEG a request.
    Snapshot,
    /// RTSP, with whatever codec there is a decoder for.
    Rtsp,
    /// HTTP live streaming (a playlist that ends with `.m3u8`).
    Hls,
}

/// How to see and to judge.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Watch {
    /// How frames add up to a verdict.
    pub rule: Rule,
    /// How many times in 100 hours of good printing you would accept that Strandwatch acts wrongly. Smaller is more patient.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub false_alarms_per_100h: f64,
    /// How many times in 100 hours of good printing you would accept a wrong alert; at least the number above. Without it:
    /// five times that. A camera whose alerts go away with nobody answering them, more often than that, in prints that end well,
    /// is made to alert more rarely, down to the number above; it acts as before.
    #[schemars(range(min = 0.01, max = 5000.0), example = 5.0)]
    pub alert_false_alarms_per_100h: Option<f64>,
    /// Time between two scored frames while all is well.
    #[schemars(extend("x-least" = "100ms", "x-most" = "1m"))]
    pub clear_interval: Span,
    /// Time between two scored frames while something looks wrong; at most `clear_interval`.
    #[schemars(extend("x-least" = "50ms", "x-most" = "1m"))]
    pub suspect_interval: Span,
    /// Frames closer together than this show much the same and count together as one. A longer time is more patient.
    #[schemars(extend("x-least" = "1s", "x-most" = "5m"))]
    pub correlation_time: Span,
    /// How often a known picture of a failure goes through the whole chain, to prove that it would be noticed.
    #[schemars(extend("x-least" = "1m", "x-most" = "24h"))]
    pub self_test_every: Span,
    /// How long nothing may be seen of a print before people are told to look. That nothing is seen is announced at once;
    /// this is for what does not come back by itself.
    #[schemars(extend("x-least" = "10s", "x-most" = "24h"))]
    pub blind_alert_after: Span,
    /// The detector, by its name in the model folder's `manifest.toml`. Without it: the manifest's `default`.
    #[schemars(example = &"strands")]
    pub model: Option<String>,
    /// The folder with `manifest.toml` and the models. Without it: the folder that came with Strandwatch.
    #[schemars(example = &"~/strandwatch/models")]
    pub models: Option<PathBuf>,
    /// ONNX Runtime's shared library. Without it: `$ORT_DYLIB_PATH`, else what came with Strandwatch.
    #[schemars(example = &"~/strandwatch/libonnxruntime.so")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads for one inference. The print comes first: leave at least one core to Klipper.
    #[schemars(range(min = 1, max = 64))]
    pub threads: u32,
    /// For `rule = "tsd"`: The Spaghetti Detective's sensitivity. Larger fires sooner.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub tsd_sensitivity: f64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            rule: Rule::Evidence,
            false_alarms_per_100h: 1.0,
            alert_false_alarms_per_100h: None,
            clear_interval: Span(Duration::from_secs(2)),
            suspect_interval: Span(Duration::from_millis(500)),
            correlation_time: Span(Duration::from_secs(10)),
            self_test_every: Span(Duration::from_secs(30 * 60)),
            blind_alert_after: Span(Duration::from_secs(120)),
            model: None,
            models: None,
            onnxruntime: None,
            threads: 2,
            tsd_sensitivity: 1.0,
        }
    }
}

/// How frames add up to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// Calibrated evidence over time, weighed against the false alarms you tolerate.
    Evidence,
    /// The Spaghetti Detective's moving averages, for comparison.
    Tsd,
}

/// The message broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Mqtt {
    /// Whose broker it is. Without it: `external` where `host` is given, else `managed`.
    #[schemars(example = &"managed")]
    pub broker: Option<Broker>,
    /// For `managed`: the port on loopback, without TLS, for the daemon itself and programs on this host.
    #[schemars(range(min = 1), example = 21883)]
    pub local_port: Option<u16>,
    /// For `managed`: the port for everybody else in the network, with TLS; 0 opens none.
    #[schemars(example = 28883)]
    pub lan_port: Option<u16>,
    /// For `managed`: the name or address of this host that clients are told. Without it: its host name and `.local`.
    #[schemars(example = &"printer.local")]
    pub public_host: Option<String>,
    /// For `external`: the broker's host name or address.
    #[schemars(example = &"127.0.0.1")]
    pub host: Option<String>,
    /// For `external`: its port. Without it: 1883, or 8883 with TLS.
    #[schemars(range(min = 1), example = 1883)]
    pub port: Option<u16>,
    /// For `external`: whether to speak TLS. Needed wherever the password would cross a network.
    pub tls: bool,
    /// For `external`: the certificate authority that signed its certificate, PEM. Without it: those the system trusts.
    #[schemars(example = &"/etc/mosquitto/ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// For `external`: Strandwatch's own user name there. Its password is `password` under `[mqtt]` in the secrets file.
    #[schemars(example = &"strandwatch")]
    pub username: Option<String>,
    /// The first levels of every topic. Two daemons at one broker need two.
    pub base: String,
    /// For `external`: Strandwatch's client id there. Without it: `base`, its `/` replaced by `-`.
    #[schemars(example = &"strandwatch")]
    pub client_id: Option<String>,
    /// What shows who sends a request: `isolation`, the broker keeps clients apart, which is tested with real
    /// connections; `signatures`, each request is signed with its client's key, so that the broker need not be trusted;
    /// `any-login`, whoever can log in may speak as any client. As long as it is not shown, no command is taken.
    pub trust: Trust,
    /// A user of the broker with the rules of any client, and no rights here: the audit tries with it what no client may
    /// do. Its password is `canary_password` under `[mqtt]` in the secrets file. Needed with a broker of your own and
    /// `trust = "isolation"`.
    #[schemars(example = &"strandwatch-canary")]
    pub canary: Option<String>,
    /// Who may ask for what, beside the clients that `strandwatch client add` made. Whoever is neither is refused
    /// everything.
    pub client: Vec<Client>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            broker: None,
            local_port: None,
            lan_port: None,
            public_host: None,
            host: None,
            port: None,
            tls: false,
            ca_file: None,
            username: None,
            base: "strandwatch".to_owned(),
            client_id: None,
            trust: Trust::Isolation,
            canary: None,
            client: Vec::new(),
        }
    }
}

/// Whose broker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Broker {
    /// Strandwatch runs a Mosquitto of its own, with an account for each client.
    Managed,
    /// Yours: you give each client its login and the broker its ACL; `strandwatch client add` prints both.
    External,
    /// None: Strandwatch watches and acts, tells nobody, and takes no commands.
    None,
}

/// A client and its rights.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Client {
    /// Its user name at the broker, which is also its level in the topics: small letters, digits, `_` and `-`.
    #[schemars(extend("x-required" = true), example = &"phone")]
    pub name: Option<String>,
    /// What it may do: `view`, `vote`, `pause`, `resume`, `cancel`, `configure`, or the presets `observer` (view),
    /// `household` (view, vote, pause) and `owner` (all).
    #[schemars(extend("x-required" = true), example = ["household"])]
    pub rights: Option<Vec<String>>,
    /// On which printers, by name. Without it: on every one.
    #[schemars(example = ["printer"])]
    pub printers: Option<Vec<String>>,
}

/// What survives a restart.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    /// The database. Without it: `~/.local/share/strandwatch/strandwatch.db`; for root and under systemd's
    /// `StateDirectory=`, `strandwatch.db` in `/var/lib/strandwatch` or that directory.
    #[schemars(example = &"~/.local/share/strandwatch/strandwatch.db")]
    pub path: Option<PathBuf>,
    /// The folder for the journals of prints and for the frames and facts of incidents. Without it: `evidence` beside the
    /// database.
    #[schemars(example = &"~/.local/share/strandwatch/evidence")]
    pub evidence: Option<PathBuf>,
    /// How much they may take before the oldest go: prints without an alert first, then the others.
    #[schemars(extend("x-least" = "1MB", "x-most" = "1000GB"))]
    pub evidence_quota: Bytes,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: None, evidence: None, evidence_quota: Bytes(500_000_000) }
    }
}

/// What is logged, and where to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Auto }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Faults that need somebody.
    Error,
    /// And what may become one.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
    /// And every message.
    Trace,
}

/// In which form the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// The journal under systemd, else text.
    Auto,
    /// Lines for people on standard error.
    Text,
    /// One JSON object a line on standard error.
    Json,
    /// systemd's journal.
    Journal,
}
