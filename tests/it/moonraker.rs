//! The Moonraker link against a real Moonraker over a simulated Klippy.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use strandwatch::core::types::{KlippyState, PrintObject, PrintState, PrinterAction};
use strandwatch::moonraker::{Endpoint, Setup};
use strandwatch::ports::PrinterLink;
use strandwatch::sim::klippy::{Comeback, Pausing, Print};
use strandwatch::sim::moonraker::{Login, RealMoonraker, WebcamSection};

use crate::support::moonraker::{Linked, PATIENCE, Rig, setup};

mod macros;
mod misbehaving;

fn two_cubes() -> Print {
    let cube = |name: &str, x: f64| PrintObject {
        name: name.into(),
        center: Some([x, 100.0]),
        polygon: vec![[x - 10.0, 90.0], [x + 10.0, 90.0], [x, 110.0]],
    };
    Print {
        objects: vec![cube("CUBE_A", 60.0), cube("CUBE_B", 140.0)],
        duration: Duration::from_secs(600),
        ..Print::new("two_cubes.gcode")
    }
}

/// How moonraker-timelapse tells that it parks the head for a picture.
const TIMELAPSE: &str = "SET_GCODE_VARIABLE MACRO=TIMELAPSE_TAKE_FRAME VARIABLE=takingframe";

async fn agents(moonraker: &RealMoonraker) -> Vec<Value> {
    let list = moonraker.call("server.extensions.list", Value::Null).await.unwrap();
    list["agents"].as_array().unwrap().clone()
}

#[tokio::test]
async fn it_comes_as_an_agent_and_a_second_one_is_not_locked_out() {
    let rig = Rig::with_login(Login::Trusted).await;
    let mut first = Linked::to(rig.websocket());
    let status = first.until("ready", |status| status.klippy == KlippyState::Ready).await;
    assert_eq!(status.print, PrintState::Standby);
    assert_eq!(status.idle_timeout_s, Some(600.0));
    let agents = agents(&rig.moonraker).await;
    assert_eq!((agents.len(), agents[0]["name"].as_str()), (1, Some("strandwatch")));
    assert_eq!(agents[0]["version"], env!("CARGO_PKG_VERSION"));

    let mut second = Linked::to(rig.websocket());
    second.until("ready as well", |status| status.klippy == KlippyState::Ready).await;
    rig.klippy.start_print(two_cubes()).unwrap();
    second.until("printing", |status| status.print == PrintState::Printing).await;
    second.link.act(PrinterAction::Pause).await.unwrap();
    first.until("paused by the second", |status| status.print == PrintState::Paused).await;
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn a_print_is_followed_paused_resumed_one_object_excluded_and_cancelled() {
    let rig = Rig::with_login(Login::Trusted).await;
    let mut linked = Linked::to(rig.websocket());
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;

    rig.klippy.prepare(two_cubes());
    let start = json!({ "filename": "two_cubes.gcode" });
    rig.moonraker.call("printer.print.start", start).await.unwrap();
    let heating = linked
        .until("heating", |status| {
            status.print == PrintState::Printing
                && status.extruder.is_some_and(|e| e.target == 210.0)
        })
        .await;
    assert_eq!(heating.filename.as_deref(), Some("two_cubes.gcode"));
    assert_eq!(heating.bed.unwrap().target, 60.0);
    assert_eq!(heating.objects.unwrap().known[1].center, Some([140.0, 100.0]));
    let printing =
        linked.until("layer 2", |status| status.layer.is_some_and(|layer| layer >= 2)).await;
    assert_eq!((printing.homed_axes.as_str(), printing.layers), ("xyz", Some(60)));
    assert!(printing.progress.unwrap() > 0.0 && printing.filament_used_mm > 0.0);
    assert!(printing.total_duration_s > printing.print_duration_s);
    assert!(printing.live_position.unwrap()[2] >= 0.4 - 1e-9);

    for (value, parked) in [("True", true), ("False", false)] {
        let script = format!("{TIMELAPSE} VALUE={value}");
        rig.moonraker.call("printer.gcode.script", json!({ "script": script })).await.unwrap();
        linked.until(value, |status| status.timelapse_parked == parked).await;
    }

    linked.link.act(PrinterAction::Pause).await.unwrap();
    linked.until("paused", |status| status.print == PrintState::Paused).await;
    linked.link.act(PrinterAction::Resume).await.unwrap();
    linked.until("printing again", |status| status.print == PrintState::Printing).await;

    let exclude = |object: &str| PrinterAction::ExcludeObject { object: object.into() };
    linked.link.act(exclude("CUBE_A")).await.unwrap();
    linked
        .until("one object excluded", |status| {
            status.objects.as_ref().is_some_and(|objects| objects.excluded == ["CUBE_A"])
        })
        .await;
    for other in ["CUBE_C", "CUBE_B\nM112", "CUBE_B M112"] {
        linked.link.act(exclude(other)).await.unwrap_err();
    }

    linked.link.act(PrinterAction::Cancel).await.unwrap();
    linked.until("cancelled", |status| status.print == PrintState::Cancelled).await;
    let expected = [
        "SDCARD_PRINT_FILE FILENAME=\"two_cubes.gcode\"",
        &format!("{TIMELAPSE} VALUE=True"),
        &format!("{TIMELAPSE} VALUE=False"),
        "PAUSE",
        "RESUME",
        "EXCLUDE_OBJECT NAME=CUBE_A",
        "CANCEL_PRINT",
    ];
    assert_eq!(rig.klippy.gcode_log(), expected, "and nothing else reached the printer");

    let short = Print { duration: Duration::from_secs(4), reports_layers: false, ..two_cubes() };
    rig.klippy.start_print(short).unwrap();
    let unlabelled = linked
        .until("printing without layers", |status| {
            status.print == PrintState::Printing && status.progress > Some(0.1)
        })
        .await;
    assert_eq!((unlabelled.layer, unlabelled.layers), (None, None));
    let ended = linked.until("complete", |status| status.print == PrintState::Complete).await;
    assert_eq!(ended.progress, Some(1.0));
    linked.end().await;
}

#[tokio::test]
async fn a_pause_that_fails_says_so_and_one_that_is_ignored_is_not_reported_as_done() {
    let rig = Rig::with_login(Login::Trusted).await;
    let mut linked = Linked::to(rig.websocket());
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    rig.klippy.start_print(two_cubes()).unwrap();
    linked.until("printing", |status| status.print == PrintState::Printing).await;

    rig.klippy.set_pausing(Pausing::Refused("Must home axis first".into()));
    let refused = linked.link.act(PrinterAction::Pause).await.unwrap_err().to_string();
    for words in ["printer voron", "printer.print.pause", "Must home axis first"] {
        assert!(refused.contains(words), "{words:?} in {refused}");
    }

    rig.klippy.set_pausing(Pausing::Ignored);
    linked.link.act(PrinterAction::Pause).await.unwrap();
    let before = rig.klippy.snapshot().progress;
    linked
        .until("printing on", |status| {
            assert_ne!(status.print, PrintState::Paused);
            status.progress.unwrap_or_default() > before
        })
        .await;
    linked.end().await;
}

#[tokio::test]
async fn klippy_may_restart_fail_shut_down_and_lose_its_connection() {
    let rig = Rig::with_login(Login::Trusted).await;
    let mut linked = Linked::to(rig.websocket());
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    rig.klippy.start_print(two_cubes()).unwrap();
    linked.until("printing", |status| status.layer.is_some()).await;

    rig.klippy.disconnect();
    linked.until("gone", |status| status.klippy == KlippyState::Disconnected).await;
    let back = linked.until("back", |status| status.klippy == KlippyState::Ready).await;
    assert_eq!(back.print, PrintState::Printing, "only the connection was lost");

    rig.klippy.restart(Duration::from_millis(100), Comeback::Ready);
    linked.until("away", |status| status.klippy != KlippyState::Ready).await;
    let fresh = linked.until("ready again", |status| status.klippy == KlippyState::Ready).await;
    assert_eq!((fresh.print, fresh.filename, fresh.layer), (PrintState::Standby, None, None));
    rig.klippy.start_print(Print::new("second.gcode")).unwrap();
    linked
        .until("updates again", |status| status.filename.as_deref() == Some("second.gcode"))
        .await;

    rig.klippy.shutdown("MCU 'mcu' shutdown: Timer too close");
    let shut = linked.until("shut down", |status| status.klippy == KlippyState::Shutdown).await;
    assert_eq!(shut.message.as_deref(), Some("MCU 'mcu' shutdown: Timer too close"));
    linked.until("job in error", |status| status.print == PrintState::Error).await;
    let refused = linked.link.act(PrinterAction::Resume).await.unwrap_err().to_string();
    assert!(refused.contains("Timer too close"), "{refused}");

    let error = "Option 'step_pin' in section 'stepper_x' must be specified";
    rig.klippy.restart(Duration::from_millis(100), Comeback::Error(error.into()));
    let failed = linked.until("in error", |status| status.klippy == KlippyState::Error).await;
    assert_eq!(failed.message.as_deref(), Some(error));
    rig.klippy.restart(Duration::from_millis(100), Comeback::Ready);
    linked.until("repaired", |status| status.klippy == KlippyState::Ready).await;
    linked.end().await;
}

#[tokio::test]
async fn moonraker_may_be_killed_in_the_middle_of_a_print() {
    let Rig { moonraker, klippy, folder: _folder } = Rig::with_login(Login::Trusted).await;
    let options = moonraker.options().clone();
    let mut linked = Linked::to(Endpoint::parse(&options.url()).unwrap());
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    klippy.start_print(two_cubes()).unwrap();
    linked.until("printing", |status| status.layer.is_some()).await;

    moonraker.kill().await.unwrap();
    let why = linked.until_down("cannot be reached").await;
    assert!(why.contains("printer voron") && why.contains(&options.port.to_string()), "{why}");
    let refused = linked.link.act(PrinterAction::Pause).await.unwrap_err();
    assert!(refused.to_string().contains("printer voron"), "{refused}");

    let moonraker = RealMoonraker::start(options).await.unwrap();
    linked.until("printing still", |status| status.print == PrintState::Printing).await;
    linked.link.act(PrinterAction::Pause).await.unwrap();
    linked.until("paused", |status| status.print == PrintState::Paused).await;
    assert_eq!(agents(&moonraker).await.len(), 1);
    moonraker.stop().await.unwrap();
    linked.until_down("cannot be reached").await;
    linked.end().await;
}

#[tokio::test]
async fn forced_logins_need_the_key_over_tcp_and_nothing_on_the_unix_socket() {
    let rig = Rig::with_login(Login::Forced).await;
    let key = rig.moonraker.api_key().await.unwrap();
    let ready =
        |status: &strandwatch::core::types::PrinterStatus| status.klippy == KlippyState::Ready;

    let mut with_key = Linked::with_key(rig.websocket(), key.clone());
    with_key.until("ready with the key", ready).await;

    let mut without = Linked::to(rig.websocket());
    let why = without.until_down("refused the login").await;
    for words in ["printer voron", "no API key is set", "`api_key`", "secrets file"] {
        assert!(why.contains(words), "{words:?} in {why}");
    }
    let wrong = "0123456789abcdef0123456789abcdef";
    let mut with_wrong = Linked::with_key(rig.websocket(), SecretString::from(wrong));
    let why = with_wrong.until_down("refused the login").await;
    assert!(why.contains("Invalid API Key") && !why.contains(wrong), "{why}");

    let socket = Endpoint::Unix { path: rig.moonraker.options().socket() };
    let mut by_socket = Linked::with_key(socket, SecretString::from(wrong));
    by_socket.until("ready by the socket", ready).await;
    rig.klippy.start_print(two_cubes()).unwrap();
    by_socket.until("printing", |status| status.print == PrintState::Printing).await;
    by_socket.link.act(PrinterAction::Pause).await.unwrap();
    with_key.until("paused", |status| status.print == PrintState::Paused).await;
    let shown = format!("{:?}", Setup { api_key: Some(key.clone()), ..setup(rig.websocket()) });
    assert!(!shown.contains(key.expose_secret()), "{shown}");
}

#[tokio::test]
async fn webcams_are_listed_resolved_and_read_again_when_they_change() {
    let webcam = WebcamSection {
        name: "bed".into(),
        stream_url: "/webcam/?action=stream".into(),
        snapshot_url: "http://10.0.0.9:8080/snapshot".into(),
    };
    let rig = Rig::start(|options| options.webcams = vec![webcam]).await;
    let mut by_tcp = Linked::to(rig.websocket());
    by_tcp.until("up", |_| true).await;
    let mut webcams = by_tcp.link.webcams();
    let listed = webcams.borrow_and_update().clone();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name.as_str(), listed[0].service.as_str()), ("bed", "mjpegstreamer"));
    assert_eq!(listed[0].stream_url, "http://127.0.0.1/webcam/?action=stream");
    assert_eq!(listed[0].snapshot_url, "http://10.0.0.9:8080/snapshot");

    let second = json!({
        "name": "nozzle", "service": "webrtc-go2rtc", "stream_url": "/go2rtc", "snapshot_url": "",
        "flip_vertical": true, "rotation": 90,
    });
    rig.moonraker.call("server.webcams.post_item", second).await.unwrap();
    let changed = tokio::time::timeout(PATIENCE, webcams.wait_for(|list| list.len() == 2)).await;
    let nozzle = changed.expect("the change arrives").unwrap()[1].clone();
    assert!(nozzle.flip_vertical && !nozzle.flip_horizontal && nozzle.rotation == 90);
    assert_eq!((nozzle.service.as_str(), nozzle.snapshot_url.as_str()), ("webrtc-go2rtc", ""));
    assert_ne!(nozzle.uid, listed[0].uid);
    by_tcp.end().await;
}
