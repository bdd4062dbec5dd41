//! Macros, the console and dialogs through a real Moonraker.

use std::time::Duration;

use serde_json::{Value, json};
use strandwatch::core::screen::{Button, MacroCall, Prompt, ScreenMessage, Tone};
use strandwatch::core::types::KlippyState;
use strandwatch::moonraker::Setup;
use strandwatch::ports::{IncomingRequest, PrinterLink};
use strandwatch::sim::klippy::{Comeback, SimulatedKlippy};
use tokio::sync::mpsc;

use crate::support::moonraker::{Linked, PATIENCE, Rig, setup};

async fn linked(rig: &Rig) -> (Linked, mpsc::Receiver<IncomingRequest>) {
    let (requests, calls) = mpsc::channel(4);
    let mut linked = Linked::with(Setup { requests: Some(requests), ..setup(rig.websocket()) });
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    known(&rig.klippy).await;
    (linked, calls)
}

/// Waits until the macros know that somebody listens.
async fn known(klippy: &SimulatedKlippy) {
    let here = "SET_GCODE_VARIABLE MACRO=_STRANDWATCH VARIABLE=here VALUE=1".to_owned();
    until("the macros know", || klippy.gcode_log().contains(&here)).await;
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

async fn call(calls: &mut mpsc::Receiver<IncomingRequest>) -> (IncomingRequest, Value) {
    let request = tokio::time::timeout(PATIENCE, calls.recv()).await.expect("a call").unwrap();
    let body = serde_json::from_slice(&request.payload).unwrap();
    (request, body)
}

#[tokio::test]
async fn a_macro_of_the_printer_becomes_a_request_of_its_console_and_is_told_that_it_was_heard() {
    let rig = Rig::start(|_| {}).await;
    let (linked, mut calls) = linked(&rig).await;
    rig.klippy.type_gcode("STRANDWATCH_SNOOZE MINUTES=45").unwrap();
    let (request, body) = call(&mut calls).await;
    assert!(request.sender.as_ref().unwrap().is_console());
    assert_eq!((request.printer.as_str(), request.command.as_str()), ("voron", "snooze"));
    assert_eq!((&body["minutes"], body.get("incident")), (&json!(45), None));
    assert!(body["issued_at"].is_number() && body["id"].is_string(), "{body}");
    let heard = "SET_GCODE_VARIABLE MACRO=_STRANDWATCH VARIABLE=waiting VALUE=0".to_owned();
    until("it was heard", || rig.klippy.gcode_log().contains(&heard)).await;

    rig.klippy.restart(Duration::from_millis(100), Comeback::Ready);
    let again = |log: Vec<String>| log.iter().filter(|line| line.contains("here VALUE=1")).count();
    until("the macros know again", || again(rig.klippy.gcode_log()) >= 3).await;
    rig.klippy.type_gcode("_STRANDWATCH COMMAND=cancel INCIDENT=b-voron-i1").unwrap();
    let (request, body) = call(&mut calls).await;
    assert_eq!((request.command.as_str(), &body["incident"]), ("cancel", &json!("b-voron-i1")));
    linked.end().await;
}

#[tokio::test]
async fn another_client_of_moonraker_cannot_speak_as_the_console() {
    let rig = Rig::start(|_| {}).await;
    let (linked, mut calls) = linked(&rig).await;
    let forged = json!({
        "agent": "strandwatch", "method": "strandwatch_command", "arguments": { "command": "cancel" },
    });
    let refused = rig.moonraker.call("server.extensions.request", forged).await.unwrap_err();
    assert!(refused.to_string().contains("RPC error"), "{refused}");
    rig.klippy.type_gcode("STRANDWATCH_STATUS").unwrap();
    assert_eq!(call(&mut calls).await.0.command, "status", "and nothing came before it");
    linked.end().await;
}

#[tokio::test]
async fn lines_and_dialogs_come_to_the_console_of_those_who_want_them() {
    let rig = Rig::start(|_| {}).await;
    let (linked, _calls) = linked(&rig).await;
    let line = ScreenMessage::Line { text: "all \"well\"; so far".to_owned(), urgent: false };
    linked.link.show(line).await.unwrap();
    let buttons = vec![Button {
        label: "It's fine".to_owned(),
        call: MacroCall::command("dismiss", &[("INCIDENT", "i1")]),
        tone: Tone::Primary,
    }];
    let text = vec!["Camera bed sees strands.".to_owned()];
    let prompt = Prompt { title: "Failing?".to_owned(), text, buttons };
    linked.link.show(ScreenMessage::Prompt(prompt)).await.unwrap();
    linked.link.show(ScreenMessage::ClosePrompt).await.unwrap();
    let expected = [
        "echo: Strandwatch: all 'well', so far",
        "// action:prompt_end",
        "// action:prompt_begin Failing?",
        "// action:prompt_text Camera bed sees strands.",
        "// action:prompt_footer_button It's fine|_STRANDWATCH COMMAND=dismiss INCIDENT=i1|primary",
        "// action:prompt_show",
        "// action:prompt_end",
    ];
    assert_eq!(rig.klippy.console(), expected);
    let store = rig.moonraker.call("server.gcode_store", Value::Null).await.unwrap();
    let seen: Vec<&str> = store["gcode_store"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["type"] == "response")
        .filter_map(|entry| entry["message"].as_str())
        .collect();
    assert_eq!(seen, expected, "what Mainsail and Fluidd are given");
    linked.end().await;
}

#[tokio::test]
async fn a_printer_without_our_macros_is_left_in_peace() {
    let rig = Rig::start(|_| {}).await;
    let rig = {
        let options = rig.moonraker.options().clone();
        rig.klippy.stop().await;
        let printer = strandwatch::sim::klippy::Options {
            macros: false,
            ..crate::support::moonraker::quick_printer(&options)
        };
        let klippy = SimulatedKlippy::serve(&options.klippy_socket(), printer).unwrap();
        Rig { klippy, ..rig }
    };
    let (requests, _calls) = mpsc::channel(4);
    let mut linked = Linked::with(Setup { requests: Some(requests), ..setup(rig.websocket()) });
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    let line = ScreenMessage::Line { text: "hello".to_owned(), urgent: false };
    let why = linked.link.show(line).await.unwrap_err().to_string();
    assert!(why.contains("include klipper/strandwatch.cfg"), "{why}");
    assert!(rig.klippy.gcode_log().is_empty(), "{:?}", rig.klippy.gcode_log());
    linked.end().await;
}

#[tokio::test]
async fn when_nobody_listens_the_console_says_so_and_nothing_fails() {
    let rig = Rig::start(|_| {}).await;
    rig.klippy.type_gcode("STRANDWATCH_STATUS").unwrap();
    assert_eq!(rig.klippy.console(), ["!! Strandwatch is not connected to this printer"]);
    let (linked, calls) = linked(&rig).await;
    linked.end().await;
    drop(calls);
    rig.klippy.type_gcode("STRANDWATCH_STATUS").unwrap();
    let missed = "!! Strandwatch did not answer: is it running?".to_owned();
    until("it is missed", || rig.klippy.console().contains(&missed)).await;
}

/// Klipper's own way with the macros: its template language (Jinja with single braces) and its kind of INI file.
#[test]
fn the_macros_are_what_klipper_can_read_and_say_what_the_link_expects() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(crate::support::rig().join("moonraker/bin/python"))
        .arg(root.join("tests/support/klipper_macros.py"))
        .arg(root.join("klipper/strandwatch.cfg"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// With a real Klipper: `STRANDWATCH_TEST_KLIPPY_SOCKET` names its API socket, and its configuration includes
/// `klipper/strandwatch.cfg` and prints nothing. Its own Moonraker must not be connected.
#[tokio::test]
#[ignore = "needs a running Klipper of your own: see tests/README.md"]
async fn macros_lines_and_dialogs_work_with_a_real_klipper() {
    let socket = std::env::var_os("STRANDWATCH_TEST_KLIPPY_SOCKET")
        .expect("STRANDWATCH_TEST_KLIPPY_SOCKET names Klipper's API socket");
    let folder = tempfile::TempDir::new().unwrap();
    let options = crate::support::moonraker::options(&folder);
    std::fs::create_dir_all(options.klippy_socket().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(socket, options.klippy_socket()).unwrap();
    let moonraker = strandwatch::sim::moonraker::RealMoonraker::start(options).await.unwrap();
    let (requests, mut calls) = mpsc::channel(4);
    let endpoint = strandwatch::moonraker::Endpoint::parse(&moonraker.options().url()).unwrap();
    let mut linked = Linked::with(Setup { requests: Some(requests), ..setup(endpoint) });
    linked.until("ready", |status| status.klippy == KlippyState::Ready).await;
    let gcode = async |script: &str| {
        moonraker.call("printer.gcode.script", json!({ "script": script })).await.unwrap();
    };
    let variables = async || {
        let wanted = json!({ "objects": { "gcode_macro _STRANDWATCH": null } });
        let status = moonraker.call("printer.objects.query", wanted).await.unwrap();
        status["status"]["gcode_macro _STRANDWATCH"].clone()
    };
    let becomes = async |name: &str, value: i64| {
        let wait = async {
            while variables().await[name] != value {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{name} is not {value}"));
    };
    becomes("here", 1).await;
    gcode("STRANDWATCH_SNOOZE MINUTES=45").await;
    let (request, body) = call(&mut calls).await;
    assert!(request.sender.as_ref().unwrap().is_console());
    assert_eq!((request.command.as_str(), &body["minutes"]), ("snooze", &json!(45)));
    becomes("waiting", 0).await;
    for (script, command) in [
        ("STRANDWATCH_STATUS", "status"),
        ("STRANDWATCH_ARM", "arm"),
        ("STRANDWATCH_DISARM", "disarm"),
        ("STRANDWATCH_CONFIRM", "confirm"),
        ("STRANDWATCH_DISMISS", "dismiss"),
        ("STRANDWATCH_SNOOZE", "snooze"),
        ("_STRANDWATCH COMMAND=exclude_object OBJECT=CUBE_1 INCIDENT=b-voron-i1", "exclude_object"),
    ] {
        gcode(script).await;
        let (request, body) = call(&mut calls).await;
        assert_eq!(request.command, command);
        if command == "exclude_object" {
            assert_eq!(
                (&body["object"], &body["incident"]),
                (&json!("CUBE_1"), &json!("b-voron-i1"))
            );
        }
    }
    let text = "50 % \"sure\"; # 1 * 2 = 2".to_owned();
    linked.link.show(ScreenMessage::Line { text, urgent: false }).await.unwrap();
    linked.link.show(ScreenMessage::ClosePrompt).await.unwrap();
    let console = async || {
        let store = moonraker.call("server.gcode_store", Value::Null).await.unwrap();
        store["gcode_store"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["message"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let said = console().await;
    for line in ["echo: Strandwatch: 50 % 'sure',   1   2 = 2", "// action:prompt_end"] {
        assert!(said.iter().any(|said| said == line), "{line:?} is not in {said:#?}");
    }
    linked.end().await;
    gcode("STRANDWATCH_STATUS").await;
    becomes("here", 0).await;
    let said = console().await;
    assert!(said.iter().any(|line| line.starts_with("!! Strandwatch did not answer")), "{said:#?}");
    gcode("STRANDWATCH_STATUS").await;
    let said = console().await;
    assert!(
        said.iter().any(|line| line.starts_with("!! Strandwatch is not connected")),
        "{said:#?}"
    );
    moonraker.stop().await.unwrap();
}
