//! The daemon as its own process, between a real Moonraker, a rendered camera, the real model and a real Mosquitto.

use std::collections::BTreeSet;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::{Value, json};
use strandwatch::core::event::EventKind;
use strandwatch::core::types::PrintState;
use strandwatch::mqtt::wire::{Delivery, Qos};
use strandwatch::sim::klippy::Pausing;
use strandwatch::sim::stage::{BASE, Daemon};

use crate::support::stage::{PATIENCE, Stage, ask, fresh, program, unix_now};
use crate::support::{Child, rig, wait_for};

const STOPS_WITHIN: Duration = Duration::from_secs(5);

fn strandwatch() -> Command {
    let mut command = Command::new(program());
    command.env("ORT_DYLIB_PATH", rig().join("onnxruntime/libonnxruntime.so"));
    command
}

/// Stops the daemon, which must end well and soon.
pub async fn ends_well(daemon: Daemon, stage: &Stage) {
    let status = daemon.stop(STOPS_WITHIN).await;
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", stage.log());
}

fn says(answer: &Value, status: &str, reason: &str) {
    assert_eq!(answer["status"], status, "{answer}");
    let found = answer["reason"].as_str().unwrap_or_default();
    assert!(found.contains(reason), "{reason:?} is not in {answer}");
}

#[test]
fn the_demo_shows_everything_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let output = strandwatch()
        .args(["demo", "--moonraker"])
        .arg(rig().join("moonraker/bin/python"))
        .arg("--folder")
        .arg(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(folder.path().join("strandwatch.log")).unwrap_or_default();
    assert!(output.status.success(), "{told}\n{}\n{log}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("All of it happened."), "{told}");
    image::open(folder.path().join("alert.jpg")).unwrap();
}

#[test]
fn the_demo_fails_when_there_is_no_moonraker() {
    let output = strandwatch().args(["demo", "--moonraker", "/nowhere/python"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("/nowhere/python"), "{complaint}");
}

#[test]
fn the_demo_leaves_an_earlier_ones_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("strandwatch.toml"), "").unwrap();
    let mut demo = strandwatch();
    demo.args(["demo", "--moonraker"]).arg(rig().join("moonraker/bin/python"));
    let output = demo.arg("--folder").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("holds an earlier demo"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_printers_on_one_bus_never_touch_each_other() {
    let clients = [("owner", "owner", None), ("left-only", "owner", Some("left"))];
    let stage = Stage::set(&["left", "right"], &clients).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let [left, right] = &stage.printers[..] else { panic!("two printers") };
    left.prints("left.gcode");
    right.prints("right.gcode");
    let story = async {
        watcher.event("right", "watching").await;
        left.film.fail(Duration::from_secs(2));
        let paused = watcher.event("left", "paused").await;
        let EventKind::Paused { by, .. } = &paused else { panic!("{paused:?}") };
        assert_eq!(by, "strandwatch");
        assert_eq!(right.rig.klippy.snapshot().print, PrintState::Printing);

        let client = stage.client("left-only").await;
        let answer = ask(&client, "right", "cancel", &fresh("1")).await;
        says(&answer, "refused", "no rights on printer right");
        assert_eq!(right.rig.klippy.snapshot().print, PrintState::Printing);

        let owner = stage.client("owner").await;
        says(&ask(&owner, "right", "cancel", &fresh("1")).await, "ok", "");
        watcher.event("right", "print_ended").await;
        assert_eq!(left.rig.klippy.snapshot().print, PrintState::Paused);
        let alarms = ["suspect", "alert", "acting", "paused"];
        let of_right = watcher.names_of("right");
        assert!(!of_right.iter().any(|name| alarms.contains(name)), "{of_right:?}");
    };
    tokio::select! {
        () = story => {}
        () = left.film.follow(&left.rig.klippy) => {}
        () = right.film.follow(&right.rig.klippy) => {}
    }
    ends_well(daemon, &stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_fresh_request_for_this_job_by_a_granted_client_moves_the_printer_and_only_once() {
    let clients = [("owner", "owner", None), ("household", "household", None)];
    let stage = Stage::set(&["voron"], &clients).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let printer = &stage.printers[0];
    printer.prints("part.gcode");
    let state = watcher.state("voron", "the job", |state| state["job"].is_string()).await;
    let owner = stage.client("owner").await;

    let stale = json!({ "id": "s", "issued_at": unix_now() - 120 });
    says(&ask(&owner, "voron", "pause", &stale).await, "refused", "stale");
    says(&ask(&owner, "voron", "pause", &json!({ "id": "n" })).await, "refused", "issued_at");
    let other_job = json!({ "id": "j", "issued_at": unix_now(), "job": "1-other.gcode" });
    says(&ask(&owner, "voron", "pause", &other_job).await, "refused", "wrong job");
    let unknown_field = json!({ "id": "f", "issued_at": unix_now(), "gcode": "M112" });
    says(&ask(&owner, "voron", "pause", &unknown_field).await, "refused", "takes no field");
    says(&ask(&owner, "voron", "gcode", &fresh("g")).await, "refused", "no command");
    says(&ask(&owner, "other", "pause", &fresh("o")).await, "refused", "no printer");
    let household = stage.client("household").await;
    says(&ask(&household, "voron", "cancel", &fresh("c")).await, "refused", "lacks the right");
    let stranger = stage.client("stranger").await;
    says(&ask(&stranger, "voron", "pause", &fresh("x")).await, "refused", "not known here");

    let retained = Delivery { qos: Qos::AtLeastOnce, retain: true, expiry: None };
    let topic = format!("{BASE}/client/owner/request/voron/pause");
    let body = fresh("r").to_string().into_bytes();
    owner.publish(topic.clone(), body, retained).await.unwrap();
    let reason = watcher
        .until("the retained request is refused", |seen| {
            let event: Value = serde_json::from_slice(&seen.payload).ok()?;
            let reason = event["reason"].as_str()?;
            (event["event_type"] == "command_refused" && reason.contains("retained"))
                .then(|| reason.to_owned())
        })
        .await;
    assert!(reason.contains("without the retain flag"), "{reason}");
    owner.publish(topic, Vec::new(), retained).await.unwrap();
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Printing);

    let right_job = json!({ "id": "p", "issued_at": unix_now(), "job": state["job"] });
    says(&ask(&owner, "voron", "pause", &right_job).await, "ok", "");
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Paused);
    says(&ask(&owner, "voron", "resume", &fresh("q")).await, "ok", "");
    says(&ask(&owner, "voron", "pause", &right_job).await, "refused", "replayed");
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Printing);
    let pauses = printer.rig.klippy.gcode_log().iter().filter(|line| *line == "PAUSE").count();
    assert_eq!(pauses, 1, "{:?}", printer.rig.klippy.gcode_log());

    daemon.kill().await;
    let daemon = stage.daemon(&mut watcher).await;
    says(&ask(&owner, "voron", "pause", &right_job).await, "refused", "");
    assert_eq!(printer.rig.klippy.snapshot().print, PrintState::Printing);
    ends_well(daemon, &stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_printer_ignores_is_tried_again_and_then_reported_loudly() {
    let stage = Stage::set(&["voron"], &[]).await;
    let text = std::fs::read_to_string(&stage.config).unwrap();
    let quick = text.replace("[act]\n", "[act]\nattempts = 2\nconfirm_within = \"2s\"\n");
    std::fs::write(&stage.config, quick).unwrap();
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let printer = &stage.printers[0];
    printer.rig.klippy.set_pausing(Pausing::Ignored);
    printer.prints("part.gcode");
    let story = async {
        watcher.event("voron", "watching").await;
        printer.film.fail(Duration::from_secs(2));
        let failed = watcher.event("voron", "act_failed").await;
        let EventKind::ActFailed { attempts, action, .. } = &failed else { panic!("{failed:?}") };
        assert_eq!((*attempts, action.as_str()), (2, "pause"));
        let state = watcher.state("voron", "the problem stays", |state| state["problem"] == true);
        assert_eq!(state.await["print"], "printing");
    };
    tokio::select! {
        () = story => {}
        () = printer.film.follow(&printer.rig.klippy) => {}
    }
    ends_well(daemon, &stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_killed_or_stopped_the_bus_hears_of_it_and_a_restart_goes_on_watching() {
    let stage = Stage::set(&["voron"], &[]).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    stage.printers[0].prints("part.gcode");
    watcher.event("voron", "watching").await;
    let offline = |seen: &strandwatch::mqtt::client::Received| {
        (seen.topic == format!("{BASE}/status") && seen.payload == b"offline").then_some(())
    };
    daemon.kill().await;
    watcher.until("the last will", offline).await;
    let daemon = stage.daemon(&mut watcher).await;
    watcher.event("voron", "watching").await;
    assert_eq!(stage.printers[0].rig.klippy.snapshot().print, PrintState::Printing);
    ends_well(daemon, &stage).await;
    watcher.until("the goodbye", offline).await;
    // An event may come twice, as receivers know; what is seen for the first time comes in order.
    let mut seen = BTreeSet::new();
    let first: Vec<u64> = watcher
        .events
        .iter()
        .filter(|event| seen.insert(event.id.clone()))
        .map(|event| event.seq)
        .collect();
    assert_eq!(first, (1..=first.len() as u64).collect::<Vec<_>>());
    let log = stage.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_all_well_and_says_what_is_not() {
    let stage = Stage::set(&["voron"], &[]).await;
    let config = stage.config.clone();
    let examine =
        move || strandwatch().arg("doctor").arg("--config").arg(&config).output().unwrap();
    let again = examine.clone();
    let well = tokio::task::spawn_blocking(examine).await.unwrap();
    let report = String::from_utf8_lossy(&well.stdout).into_owned();
    assert_eq!(well.status.code(), Some(0), "{report}");
    for expected in
        ["self-test fires", "Klippy is ready", "decoded by jpegdec", "accepts our login"]
    {
        assert!(report.contains(expected), "{expected:?} is not in {report}");
    }
    stage.printers[0].camera_off();
    let ill = tokio::task::spawn_blocking(again).await.unwrap();
    let report = String::from_utf8_lossy(&ill.stdout).into_owned();
    assert_eq!(ill.status.code(), Some(1), "{report}");
    assert!(report.contains("BAD  printer voron: camera"), "{report}");
}

#[test]
fn run_without_a_usable_config_says_why_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let output = strandwatch().arg("run").arg("--config").arg(&missing).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("missing.toml"), "{complaint}");
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("strandwatch.toml");
    let store = folder.path().join("strandwatch.db");
    std::fs::write(&config, format!("[store]\npath = {store:?}\n[mqtt]\nbroker = \"none\"\n"))
        .unwrap();
    let socket = folder.path().join("notify");
    let systemd = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut daemon = Child(
        std::process::Command::new(program())
            .arg("run")
            .arg("--config")
            .arg(&config)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "400000")
            .env_remove("WATCHDOG_PID")
            .env("RUST_LOG", "error")
            .spawn()
            .unwrap(),
    );
    let hear = |wanted: &str| {
        let mut message = [0; 256];
        loop {
            let length = systemd.recv(&mut message).expect(wanted);
            if String::from_utf8_lossy(&message[..length]).contains(wanted) {
                return;
            }
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    hear("STOPPING=1");
    let status = wait_for("the end", STOPS_WITHIN, || daemon.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printers_own_screens_tell_of_a_failure_and_take_the_answer() {
    let stage = Stage::set(&["voron"], &[]).await;
    let port = crate::support::free_port();
    let web = format!("[web]\nlisten = \"127.0.0.1:{port}\"\n\n[watch]");
    let text = std::fs::read_to_string(&stage.config).unwrap();
    let slow = text.replace("veto = \"1s\"", "veto = \"1h\"").replace("[watch]", &web);
    std::fs::write(&stage.config, slow).unwrap();
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let printer = &stage.printers[0];
    let (klippy, moonraker) = (&printer.rig.klippy, &printer.rig.moonraker);
    printer.prints("part.gcode");
    let story = async {
        watcher.event("voron", "watching").await;
        printer.film.fail(Duration::from_secs(2));
        watcher.event("voron", "alert").await;
        let last = |part: &str| {
            let found = klippy.console().into_iter().rev().find(|line| line.contains(part));
            found.and_then(|line| line.split('|').nth(1).map(str::to_owned))
        };
        let show = || klippy.console().iter().any(|line| line == "// action:prompt_show");
        soon("the dialog", || show().then_some(())).await;
        let status = || klippy.console().into_iter().find(|line| line.contains("armed: pauses"));
        klippy.type_gcode("STRANDWATCH_STATUS").unwrap();
        assert!(soon("the status", status).await.starts_with("echo: Strandwatch: watching"));

        let listed = moonraker.call("server.webcams.list", Value::Null).await.unwrap();
        let ours: Vec<&Value> = listed["webcams"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|webcam| webcam["name"] == "Strandwatch camera")
            .collect();
        assert_eq!(ours.len(), 1, "{listed}");
        assert_eq!(ours[0]["stream_url"], "/strandwatch/voron/camera/stream");
        let picture = fetch(port, "/voron/camera/snapshot").await;
        let at = picture.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        image::load_from_memory(&picture[at..]).unwrap();
        let missing = fetch(port, "/voron/nozzle/snapshot").await;
        assert!(missing.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&missing));

        let pause = soon("its button", || last("Pause now")).await;
        klippy.type_gcode(&pause).unwrap();
        let paused = watcher.event("voron", "paused").await;
        let EventKind::Paused { by, .. } = &paused else { panic!("{paused:?}") };
        assert_eq!(by, "console");
        let told = || klippy.console().into_iter().find(|line| line.contains("paused by console"));
        let told = soon("how long it stays hot", told).await;
        assert!(told.contains("in 10 min idle_timeout"), "{told}");
        let resume = soon("the other button", || last("Resume")).await;
        klippy.type_gcode(&resume).unwrap();
        let closed = || klippy.console().last().is_some_and(|line| line == "// action:prompt_end");
        watcher.event("voron", "cleared").await;
        soon("the dialog goes", || closed().then_some(())).await;
    };
    tokio::select! {
        () = story => {}
        () = printer.film.follow(klippy) => {}
    }
    ends_well(daemon, &stage).await;
    let listed = moonraker.call("server.webcams.list", Value::Null).await.unwrap();
    assert_eq!(
        listed["webcams"].as_array().unwrap().len(),
        1,
        "ours went with the daemon: {listed}"
    );
}

async fn soon<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("not seen: {what}"))
}

/// The whole answer to a GET.
async fn fetch(port: u16, path: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: printer\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}
