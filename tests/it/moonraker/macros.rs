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
