//! The printer's own console and its dialogs.

use serde_json::json;

use super::scenario::{Scenario, VETO_S, name, principal};
use crate::core::contract::{Input, Output};
use crate::core::screen::{Prompt, ScreenMessage};
use crate::core::types::{KlippyState, PrintObject, PrintState, SourceFault, SourceHealth};

fn shown(scenario: &Scenario) -> Vec<&ScreenMessage> {
    scenario
        .fresh()
        .filter_map(|o| if let Output::Screen { message, .. } = o { Some(message) } else { None })
        .collect()
}

fn lines(scenario: &Scenario) -> Vec<&str> {
    let messages = shown(scenario).into_iter();
    messages
        .filter_map(|m| {
            if let ScreenMessage::Line { text, .. } = m { Some(text.as_str()) } else { None }
        })
        .collect()
}

/// The dialog that stands on the screen, from all that was ever shown.
fn dialog(scenario: &Scenario) -> Option<&Prompt> {
    let newest = scenario.outputs.iter().rev().find_map(|(_, output)| match output {
        Output::Screen { message: ScreenMessage::Prompt(prompt), .. } => Some(Some(prompt)),
        Output::Screen { message: ScreenMessage::ClosePrompt, .. } => Some(None),
        _ => None,
    });
    newest.flatten()
}

fn labels(scenario: &Scenario) -> Vec<&str> {
    let buttons = &dialog(scenario).expect("a dialog").buttons;
    buttons.iter().map(|button| button.label.as_str()).collect()
}

/// Presses a button as the printer does: it runs the macro, which calls us.
fn press(scenario: &mut Scenario, label: &str) {
    let button = dialog(scenario).unwrap().buttons.iter().find(|button| button.label == label);
    let mut args = json!({});
    for (key, value) in &button.unwrap().call.args {
        args[key.to_lowercase()] = json!(value);
    }
    let command = args.as_object_mut().unwrap().remove("command").unwrap();
    scenario.ask("console", command.as_str().unwrap(), args);
}

#[test]
fn the_console_may_do_what_the_owner_may_and_hears_the_answer_there() {
    let mut scenario = Scenario::printing();
    scenario.ask("console", "disarm", json!({}));
    assert_eq!(scenario.state()["armed"], false);
    assert_eq!(lines(&scenario), ["disarm: done"]);
    scenario.forget().ask("console", "confirm", json!({}));
    assert_eq!(
        shown(&scenario),
        [&ScreenMessage::Line {
            text: "confirm refused: no incident is open: there is nothing to vote on".to_owned(),
            urgent: true,
        }]
    );
    assert!(scenario.replies().is_empty(), "the bus hears nothing of it");
}

#[test]
fn the_console_is_heard_while_the_bus_is_not_trusted() {
    let mut scenario = Scenario::printing();
    scenario.input(Input::CommandPlane { closed: Some("anonymous clients".to_owned()) });
    scenario.forget().ask("console", "pause", json!({}));
    assert_eq!(scenario.actions().len(), 1);
    scenario.forget().print_state(PrintState::Paused);
    assert!(lines(&scenario).contains(&"pause: done"), "{:?}", lines(&scenario));
}

#[test]
fn the_console_reaches_its_own_printer_and_a_malformed_call_nothing() {
    let mut scenario = Scenario::printing();
    for (printer, command, body) in [
        ("ender", "pause", "{\"id\":\"a\",\"issued_at\":1700000000}"),
        ("voron", "gcode", "{\"id\":\"b\"}"),
        ("voron", "snooze", "{\"id\":\"c\",\"minutes\":\"long\"}"),
        ("voron", "pause", "{\"id\":\"d\",\"script\":\"M112\"}"),
        ("voron", "pause", "nonsense"),
    ] {
        scenario.ask_raw("console", printer, command, false, body.as_bytes());
    }
    assert!(scenario.actions().is_empty());
    assert_eq!(lines(&scenario).iter().filter(|line| line.contains("refused")).count(), 5);
}

#[test]
fn no_client_of_the_bus_can_be_the_console_or_the_daemon() {
    use crate::core::authz::{Principal, VerifiedCredential};
    for own in ["console", "strandwatch", "strandwatch-canary"] {
        let credential = VerifiedCredential::BrokerEnforcedTopic(name(own));
        assert!(Principal::new(credential).is_err(), "{own}");
    }
    assert!(principal("console").is_console() && !principal("owner").is_console());
}

#[test]
fn whoever_pretends_to_be_the_console_is_not_answered_there() {
    let mut scenario = Scenario::printing();
    scenario.input(Input::Unverified {
        claimed: name("console"),
        printer: "voron".to_owned(),
        command: "pause".to_owned(),
        id: None,
        why: "console is a name that strandwatch has for itself".to_owned(),
    });
    assert!(shown(&scenario).is_empty() && scenario.replies().is_empty());
    assert_eq!(scenario.event_names(), ["command_refused"]);
    for _ in 0..200 {
        scenario.ask("stranger", "status", json!({}));
    }
    scenario.forget().ask("console", "status", json!({}));
    assert_eq!(lines(&scenario).len(), 1, "a flood of others does not silence it");
}

#[test]
fn the_status_is_one_line_for_people() {
    let mut scenario = Scenario::printing();
    scenario.ask("console", "status", json!({}));
    assert_eq!(
        lines(&scenario),
        ["watching; the print looks well, score 0.00, evidence 0 %; armed: pauses a failure"]
    );
    scenario.ask("console", "disarm", json!({}));
    scenario.ask("console", "snooze", json!({ "minutes": 5 }));
    scenario
        .camera(SourceHealth::Blind { fault: SourceFault::Vanished, why: "it went".to_owned() });
    scenario.forget().ask("console", "status", json!({}));
    assert_eq!(
        lines(&scenario),
        [
            "sees nothing (camera cam: it went); how the print is, is not known; disarmed: tells only; snoozed"
        ]
    );
}

#[test]
fn a_suspicion_is_no_news_an_alert_asks_in_a_dialog() {
    let mut scenario = Scenario::printing();
    scenario.score(0.9).for_secs(12);
    assert_eq!(scenario.incident()["stage"], "suspect");
    assert!(shown(&scenario).is_empty());
    scenario.score(0.9).for_secs(28);
    let prompt = dialog(&scenario).unwrap();
    assert_eq!(prompt.text[0], "Camera cam sees what looks like loose strands.");
    assert!(prompt.text[1].starts_with("How sure: score 90 %, evidence "), "{prompt:?}");
    let expected =
        format!("It will pause the print in {VETO_S} s unless somebody says that it is fine.");
    assert_eq!(prompt.text[2], expected);
    assert_eq!(labels(&scenario), ["It's fine", "Pause now", "Cancel print"]);
    assert_eq!(lines(&scenario), ["this print looks failed (camera cam, score 90 %)"]);
}

#[test]
fn the_dialog_is_shown_anew_only_when_something_changes_and_closed_when_it_is_resolved_anywhere() {
    let mut scenario = Scenario::in_veto();
    scenario.score(0.8).for_secs(20);
    assert!(shown(&scenario).is_empty(), "{:?}", shown(&scenario));
    scenario.ask("household", "dismiss", json!({}));
    assert_eq!(shown(&scenario).last(), Some(&&ScreenMessage::ClosePrompt));
    assert_eq!(lines(&scenario), ["it is fine, says household"]);
    assert_eq!(dialog(&scenario), None);
}

#[test]
fn each_button_does_what_stands_on_it() {
    let mut scenario = Scenario::in_veto();
    press(&mut scenario, "It's fine");
    assert!(scenario.incident().is_null());

    let mut scenario = Scenario::in_veto();
    press(&mut scenario, "Pause now");
    assert_eq!(scenario.actions()[0].action.name(), "pause");
    scenario.print_state(PrintState::Paused);
    assert_eq!(labels(&scenario), ["It's fine", "Resume", "Cancel print"]);
    let text = &dialog(&scenario).unwrap().text[2];
    assert!(text.contains("paused; in 10 min idle_timeout turns the heaters off"), "{text}");
    scenario.forget();
    press(&mut scenario, "Resume");
    assert_eq!(scenario.actions()[0].action.name(), "resume");
    scenario.print_state(PrintState::Printing);
    assert_eq!(dialog(&scenario), None);

    let mut scenario = Scenario::in_veto();
    press(&mut scenario, "Cancel print");
    assert_eq!(scenario.actions()[0].action.name(), "cancel");
    scenario.print_state(PrintState::Cancelled);
    assert_eq!(dialog(&scenario), None);
}

#[test]
fn one_object_can_be_skipped_where_others_are_left() {
    let mut scenario = Scenario::printing();
    scenario.report(|status| {
        let objects = status.objects.as_mut().unwrap();
        objects.known.push(PrintObject { name: "tower".to_owned(), ..PrintObject::default() });
        objects.current = Some("tower".to_owned());
    });
    scenario.score(0.9).for_secs(40);
    scenario.report(|status| status.objects.as_mut().unwrap().current = Some("cube".to_owned()));
    assert_eq!(labels(&scenario), ["It's fine", "Pause now", "Skip this object", "Cancel print"]);
    scenario.forget();
    press(&mut scenario, "Skip this object");
    let action = &scenario.actions()[0].action;
    assert_eq!(
        format!("{action:?}"),
        "ExcludeObject { object: \"tower\" }",
        "the one it was shown for"
    );
    scenario.report(|status| status.objects.as_mut().unwrap().excluded = vec!["tower".to_owned()]);
    assert_eq!(labels(&scenario), ["It's fine", "Pause now", "Cancel print"]);
}

#[test]
fn a_button_of_an_incident_that_is_over_reaches_nothing_else() {
    let mut scenario = Scenario::in_veto();
    let incident = scenario.incident()["incident"].clone();
    scenario.ask("household", "dismiss", json!({}));
    scenario.forget().ask("console", "cancel", json!({ "incident": incident }));
    assert!(scenario.actions().is_empty());
    assert!(lines(&scenario)[0].contains("that incident"), "{:?}", lines(&scenario));
    let id = scenario.ask("owner", "pause", json!({ "incident": incident }));
    assert!(scenario.answer(&id).1.contains("is over"));
}

#[test]
fn a_dialog_left_by_an_earlier_run_is_closed_and_only_that() {
    let left = |open: bool| {
        let mut earlier = Scenario::in_veto();
        if !open {
            earlier.ask("owner", "dismiss", json!({}));
        }
        let memory = earlier.outputs.iter().rev().find_map(|(_, output)| match output {
            Output::Remember { memory, .. } => Some(memory.clone()),
            _ => None,
        });
        let mut later = Scenario::with(|setup| {
            setup.printers.get_mut(&name("voron")).unwrap().memory = memory;
        });
        later.start_print("benchy.gcode");
        shown(&later).contains(&&ScreenMessage::ClosePrompt)
    };
    assert!(left(true));
    assert!(!left(false));
}

#[test]
fn nothing_is_said_to_a_klipper_that_is_not_ready() {
    let mut scenario = Scenario::in_veto();
    scenario.report(|status| status.klippy = KlippyState::Shutdown);
    assert!(shown(&scenario).is_empty());
    scenario.report(|status| {
        status.klippy = KlippyState::Ready;
        status.print = PrintState::Standby;
    });
    assert_eq!(shown(&scenario), [&ScreenMessage::ClosePrompt]);
}

#[test]
fn a_flood_of_events_does_not_flood_the_console() {
    let mut scenario = Scenario::printing();
    for _ in 0..30 {
        scenario.camera(SourceHealth::Blind {
            fault: SourceFault::Stalled,
            why: "it hangs".to_owned(),
        });
        scenario.camera(SourceHealth::Seeing).score(0.0).for_secs(1);
    }
    assert!((6..=12).contains(&lines(&scenario).len()), "{:?}", lines(&scenario));
    scenario.score(0.0).for_secs(60).forget();
    scenario
        .camera(SourceHealth::Blind { fault: SourceFault::Stalled, why: "it hangs".to_owned() });
    assert!(lines(&scenario)[0].contains("lines left out) sees nothing"), "{:?}", lines(&scenario));
}

#[test]
fn after_a_pause_of_ours_the_console_says_how_long_the_printer_stays_hot() {
    let mut scenario = Scenario::acting();
    scenario.forget().print_state(PrintState::Paused);
    let expected = "print paused by strandwatch; in 10 min idle_timeout turns the heaters off and the position is lost";
    assert_eq!(lines(&scenario), [expected]);
    let mut scenario = Scenario::printing();
    scenario.print_state(PrintState::Paused);
    assert!(lines(&scenario).is_empty(), "a runout or the user's own pause is theirs");
}
