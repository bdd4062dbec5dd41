//! The stages that only a running daemon has: fetching from a camera, deciding, publishing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use image::RgbImage;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::clock::SystemClock;
use crate::camera::{self, Address, Camera, SourceKind};
use crate::core::Core;
use crate::core::contract::{ActSettings, Input, PrinterSetup, Setup, WatchSettings};
use crate::core::detect::consecutive::ConsecutiveSettings;
use crate::core::detect::{DetectSettings, Rule};
use crate::core::types::{
    Calibration, FailureMap, FrameScore, LinkStatus, ModelFacts, Name, Now, PrintState,
    PrinterStatus, ScoreRule,
};
use crate::ports::{Bus, BusLink, FrameSource, Publication};
use crate::sim::scene::{SceneState, render};
use crate::sim::stage::BrokerRig;
use crate::sim::webcam::{self, Pictures};
use crate::store::{OUTBOX_LIMIT, SqliteStore};
use crate::{cli::output::say, mqtt};

use super::cost::{self, Cost, Who};
use super::stages::Stage;

/// Frames a second that the camera sends; one a second is scored.
pub const STREAM_FPS: u32 = 15;

/// How long the camera is watched for each of its two stages.
const WATCHED_S: u32 = 6;

/// Pictures of the stream, over and over.
struct Reel(Vec<RgbImage>);

impl Pictures for Reel {
    fn picture(&self, frame: u64) -> std::io::Result<RgbImage> {
        let at = frame % self.0.len().max(1) as u64;
        self.0.get(at as usize).cloned().ok_or_else(|| std::io::Error::other("an empty reel"))
    }
}

/// Serves the stream until standard input closes: a process of its own, so that its CPU time is not ours.
pub fn serve() -> anyhow::Result<()> {
    let scene = |frame| render(&SceneState { frame, size: (1280, 720), ..SceneState::default() });
    let reel = Reel((0..8).map(scene).collect());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        say(listener.local_addr()?.port());
        let cancel = CancellationToken::new();
        let ended = cancel.clone();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            ended.cancel();
        });
        webcam::serve(listener, reel, f64::from(STREAM_FPS), cancel).await?;
        Ok(())
    })
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--serve-stream"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().context("the stream's process has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse().context("the stream's process did not start")?;
        Ok(Self { child, port })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures them all.
pub fn measure(frames: u32) -> anyhow::Result<Vec<Stage>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (fetch, decode) = runtime.block_on(camera_stages())?;
    let publish = runtime.block_on(publish(frames))?;
    runtime.shutdown_timeout(Duration::from_secs(2));
    let stage = |name, cost| Stage { name, cost };
    Ok(vec![
        stage("fetch", fetch),
        stage("decode", decode),
        stage("decision", decision(frames)?),
        stage("publish", publish),
    ])
}

fn name(text: &str) -> anyhow::Result<Name> {
    Ok(Name::parse(text)?)
}

/// Fetching (all frames of a second, dropped undecoded) and decoding (of the one that is scored).
async fn camera_stages() -> anyhow::Result<(Cost, Cost)> {
    let server = Server::start()?;
    let url = Address::parse(&format!("http://127.0.0.1:{}/stream", server.port))?;
    let setup = camera::Setup {
        printer: name("bench")?,
        name: name("stream")?,
        kind: SourceKind::Mjpeg { url },
        rotate: camera::Rotation::default(),
        flip_horizontal: false,
        flip_vertical: false,
        stall_after: Duration::from_secs(10),
    };
    let camera = camera::open(setup, Arc::new(SystemClock::new()), &CancellationToken::new())?;
    camera.set_wanted(true);
    camera.capture().await?;
    let seconds = f64::from(WATCHED_S);
    let (idle, received) = watched(&camera, false).await?;
    let fetch_ms = idle.cpu_ms / received * f64::from(STREAM_FPS);
    let (busy, received) = watched(&camera, true).await?;
    let fetched_ms = idle.cpu_ms * received / (f64::from(STREAM_FPS) * seconds);
    let decode_ms = ((busy.cpu_ms - fetched_ms) / seconds).max(0.0);
    let cost = |cpu_ms| Cost { wall_ms: cpu_ms, cpu_ms };
    Ok((cost(fetch_ms), cost(decode_ms)))
}

/// What the process spends while the stream runs, one frame a second captured or none; and how many frames arrived.
async fn watched(camera: &Camera, capture: bool) -> anyhow::Result<(Cost, f64)> {
    let before = camera.counters().received;
    let start = cost::Reading::of(Who::Process);
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    pace.tick().await;
    for _ in 0..WATCHED_S {
        if capture {
            camera.capture().await?;
        }
        pace.tick().await;
    }
    let spent = start.until_now();
    let received = camera.counters().received.saturating_sub(before);
    anyhow::ensure!(received > 0, "the stream stopped");
    Ok((spent, received as f64))
}

/// One score through the core, its outputs drained.
fn decision(frames: u32) -> anyhow::Result<Cost> {
    let (printer, camera) = (name("bench")?, name("stream")?);
    let mut core = Core::new(setup(&printer, &camera));
    let mut feed = |mono_ms: u64, input: Input| {
        core.handle(Now { mono_ms, unix_ms: mono_ms as i64 }, input);
        while let Some(output) = core.poll_output() {
            std::hint::black_box(output);
        }
    };
    feed(0, Input::Model { model: Ok(model_facts()) });
    let status = PrinterStatus {
        klippy: crate::core::types::KlippyState::Ready,
        print: PrintState::Printing,
        filament_used_mm: 10.0,
        ..PrinterStatus::default()
    };
    feed(1, Input::Printer { printer: printer.clone(), link: LinkStatus::Up(Box::new(status)) });
    let mut costs = Vec::new();
    for frame in 0..u64::from(frames) {
        let taken_ms = 1_000 * (frame + 1);
        let score = score((frame % 10) as f32 / 50.0);
        let input =
            Input::Score { printer: printer.clone(), camera: camera.clone(), taken_ms, score };
        costs.push(cost::of(Who::ThisThread, || feed(taken_ms, input)).1);
    }
    Ok(cost::median(&costs))
}

fn setup(printer: &Name, camera: &Name) -> Setup {
    let detect = DetectSettings {
        rule: Rule::Evidence,
        correlation_ms: 10_000,
        act_false_alarms_per_100h: 1.0,
        alert_false_alarms_per_100h: 5.0,
        tsd_sensitivity: 1.0,
        consecutive: ConsecutiveSettings::default(),
    };
    let watch = WatchSettings {
        detect,
        clear_interval_ms: 1_000,
        suspect_interval_ms: 500,
        blind_alert_after_ms: 120_000,
    };
    let act = ActSettings {
        armed: true,
        on_failure: crate::core::command::ActionChoice::Pause,
        on_blind: crate::core::contract::OnBlind::Nothing,
        veto_ms: 30_000,
        votes_needed: 1,
        on_confirmed: None,
        answer_within_ms: 600_000,
        if_unanswered: crate::core::incident::Unanswered::Nothing,
        heaters_off_after_ms: None,
        confirm_within_ms: 30_000,
        attempts: 3,
    };
    let only = PrinterSetup {
        cameras: vec![camera.clone()],
        watch,
        act,
        memory: None,
        views: std::collections::BTreeMap::new(),
    };
    Setup {
        boot: "bench".to_owned(),
        printers: [(printer.clone(), only)].into(),
        grants: crate::core::authz::Grants::default(),
        answered: std::collections::BTreeMap::new(),
    }
}

fn model_facts() -> ModelFacts {
    ModelFacts {
        name: "bench".to_owned(),
        sha256: String::new(),
        score_rule: ScoreRule::TopKMean { k: 3 },
        calibration: Calibration { score: vec![0.0, 1.0], log_likelihood_ratio: vec![-4.0, 4.0] },
        false_alarms: None,
    }
}

fn score(p: f32) -> FrameScore {
    let map = FailureMap {
        columns: 20,
        rows: 20,
        content: [0.0, 0.125, 1.0, 0.875],
        cells: vec![p; 400],
    };
    FrameScore { score: p, boxes: Vec::new(), map, infer_ms: 10.0, view: None, brightness: None }
        .quantised()
}

/// One state document to a real broker, acknowledged.
async fn publish(frames: u32) -> anyhow::Result<Cost> {
    let folder = std::env::temp_dir().join(format!("strandwatch-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let broker = BrokerRig::start(&folder.join("broker"), &[]).await?;
    let store = SqliteStore::open(&folder.join("bench.db"), OUTBOX_LIMIT)?;
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let printer = name("bench")?;
    let setup = mqtt::Setup {
        broker: broker.daemon_login(),
        client_id: "strandwatch-bench".to_owned(),
        base: mqtt::Base::parse(crate::sim::stage::BASE)?,
        printers: vec![printer.clone()],
        birth: None,
        identity: mqtt::Identity::default(),
    };
    let (bus, _requests) = mqtt::connect(setup, store.clone(), &cancel, &tracker);
    let mut link = bus.link();
    tokio::time::timeout(Duration::from_secs(10), link.wait_for(|link| *link == BusLink::Up))
        .await
        .context("the broker did not answer")??;
    let start = cost::Reading::of(Who::Process);
    for frame in 0..frames {
        let document =
            json!({ "watch": "watching", "score": frame, "evidence": 0.0, "job": "bench" });
        bus.publish(Publication::State { printer: printer.clone(), document });
        // A pace at which each document is sent, rather than replaced by the next.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let spent = start.until_now();
    bus.close().await;
    store.close().await;
    broker.mosquitto.stop().await;
    let _ = std::fs::remove_dir_all(&folder);
    let cpu_ms = spent.cpu_ms / f64::from(frames);
    Ok(Cost { wall_ms: cpu_ms, cpu_ms })
}
