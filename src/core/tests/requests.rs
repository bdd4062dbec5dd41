//! The command table: every row, every way to be refused, and what each does.

use serde_json::{Map, Value, json};

use super::scenario::{START, Scenario, name, printer_setup};
use crate::core::authz::Right;
use crate::core::command::{COMMANDS, Command, CommandRow, parse, row};
use crate::core::contract::{Input, Output, ReplyStatus, Setup};
use crate::core::types::PrintState;

/// Arguments that `row` accepts.
fn good_args(row: &CommandRow) -> Value {
    match row.name {
        "snooze" => json!({ "minutes": 5 }),
        "exclude_object" => json!({ "object": "cube" }),
        "set" => json!({ "name": "action", "value": "cancel" }),
        _ => json!({}),
    }
}

/// A world in which `row`'s command makes sense.
fn sensible(row: &CommandRow) -> Scenario {
    let mut scenario = Scenario::in_veto();
    if row.name == "resume" {
        scenario.print_state(PrintState::Paused);
    }
    scenario.forget();
    scenario
}

/// Refused for this reason, and nothing else happened than that it was announced.
#[track_caller]
fn assert_refused(scenario: &Scenario, row: &CommandRow, reason: &str) {
    let replies = scenario.replies();
    assert_eq!(replies.len(), 1, "{}: one request, one answer", row.name);
    let body = &replies[0].body;
    assert_eq!(body.status, ReplyStatus::Refused, "{}: {reason}", row.name);
    let why = body.reason.as_deref().unwrap_or_default();
    assert!(why.contains(reason), "{}: {why:?} does not say {reason:?}", row.name);
    for output in scenario.fresh() {
        match output {
            Output::Reply(_) | Output::Decided(_) | Output::Remember { .. } => {}
            Output::Event { event } => assert_eq!(event.kind.name(), "command_refused"),
            other => panic!("{}: {reason}: and yet {other:?}", row.name),
        }
    }
}

type Spoil = fn(&mut Scenario, &mut Map<String, Value>, &mut To);

/// How a request is sent.
struct To {
    client: &'static str,
    printer: &'static str,
    retained: bool,
}

#[test]
fn every_row_is_refused_for_every_reason() {
    let ways: [(&str, Spoil); 13] = [
        ("not known here", |_, _, to| to.client = "stranger"),
        ("has no rights on printer", |_, _, to| to.client = "neighbour"),
        ("there is no printer", |_, _, to| to.printer = "ender"),
        ("was retained", |_, _, to| to.retained = true),
        ("stale: issued 31 s ago", |s, body, _| {
            body["issued_at"] = json!(s.now.unix_ms as f64 / 1e3 - 31.0);
        }),
        ("stale: issued -31 s ago", |s, body, _| {
            body["issued_at"] = json!(s.now.unix_ms as f64 / 1e3 + 31.0);
        }),
        ("before this job began", |s, body, _| {
            body["issued_at"] = json!(s.now.unix_ms as f64 / 1e3 - 20.0);
            s.start_print("new.gcode").forget();
        }),
        ("wrong job", |_, body, _| body["job"] = json!("1-other.gcode")),
        ("malformed: gcode", |_, body, _| _ = body.insert("gcode".into(), json!("M112"))),
        ("malformed: id", |_, body, _| _ = body.insert("id".into(), json!(""))),
        ("malformed: id", |_, body, _| _ = body.insert("id".into(), json!("x".repeat(65)))),
        ("malformed: issued_at", |_, body, _| _ = body.insert("issued_at".into(), json!("now"))),
        ("command plane closed: the broker is open to everybody", |s, _, _| {
            let closed = Some("the broker is open to everybody".to_owned());
            s.input(Input::CommandPlane { closed }).forget();
        }),
    ];
    for row in COMMANDS {
        for (reason, spoil) in &ways {
            let mut scenario = sensible(row);
            // Exactly the job's first second, so that twenty seconds ago was before it.
            let mut body = good_args(row).as_object().cloned().unwrap();
            body.insert("id".into(), json!("q"));
            body.insert("job".into(), Value::Null);
            body.insert("issued_at".into(), json!(scenario.now.unix_ms as f64 / 1e3));
            let mut to = To { client: "owner", printer: "voron", retained: false };
            spoil(&mut scenario, &mut body, &mut to);
            let payload = Value::Object(body).to_string();
            scenario.ask_raw(to.client, to.printer, row.name, to.retained, payload.as_bytes());
            let reason = reason.replace("malformed: gcode", "takes no field \"gcode\"");
            assert_refused(&scenario, row, &reason);
        }
    }
}

#[test]
fn every_row_needs_its_own_right() {
    for row in COMMANDS {
        let mut scenario = Scenario::in_veto_with(|setup| {
            let grant = setup.grants.0.get_mut(&name("owner")).unwrap();
            grant.rights.remove(&row.right);
        });
        scenario.ask("owner", row.name, good_args(row));
        assert_refused(&scenario, row, &format!("lacks the right {}", row.right.name()));
    }
}

#[test]
fn every_row_succeeds_with_its_own_right_alone() {
    for row in COMMANDS {
        let mut scenario = Scenario::in_veto_with(|setup| {
            setup.grants.0.get_mut(&name("owner")).unwrap().rights = [row.right].into();
        });
        if row.name == "resume" {
            scenario.print_state(PrintState::Paused);
        }
        let id = scenario.ask("owner", row.name, good_args(row));
        match row.name {
            "pause" => _ = scenario.print_state(PrintState::Paused),
            "resume" => _ = scenario.print_state(PrintState::Printing),
            "cancel" => _ = scenario.print_state(PrintState::Cancelled),
            "exclude_object" => {
                scenario.report(|s| s.objects.as_mut().unwrap().excluded.push("cube".into()));
            }
            "snapshot" => _ = scenario.input(Input::SnapshotTaken { ticket: 1, outcome: Ok(()) }),
            _ => {}
        }
        assert_eq!(scenario.answer(&id), (ReplyStatus::Ok, String::new()), "{}", row.name);
    }
}

#[test]
fn an_id_takes_effect_once() {
    for row in COMMANDS.iter().filter(|row| row.name != "status") {
        let mut scenario = sensible(row);
        let id = scenario.ask("owner", row.name, good_args(row));
        let mut body = good_args(row);
        body["id"] = json!(id);
        body["issued_at"] = json!(scenario.now.unix_ms as f64 / 1e3);
        scenario.forget().ask_raw("owner", "voron", row.name, false, body.to_string().as_bytes());
        assert_refused(&scenario, row, "replayed");
    }
}

#[test]
fn an_id_is_a_clients_own() {
    let mut scenario = Scenario::printing();
    for client in ["owner", "household"] {
        scenario.forget().ask_raw(client, "voron", "snooze", false, br#"{"id":"1","minutes":1}"#);
        assert_eq!(scenario.answer("1").0, ReplyStatus::Ok, "{client}");
    }
}

#[test]
fn an_id_is_remembered_over_restarts_and_not_without_bound() {
    let mut scenario = Scenario::printing_with(|setup| {
        let ids = (0..5_000).map(|n| format!("old{n}")).collect();
        setup.answered.insert(name("owner"), ids);
    });
    scenario.ask_raw("owner", "voron", "arm", false, br#"{"id":"old4999"}"#);
    assert!(scenario.answer("old4999").1.contains("replayed"));
    scenario.ask("owner", "arm", json!({}));
    let kept = scenario.fresh().find_map(|output| {
        if let Output::Answered { ids, .. } = output { Some(ids.len()) } else { None }
    });
    assert_eq!(kept, Some(256));
}

#[test]
fn what_a_request_changes_is_durable_before_its_sender_hears_of_it() {
    let mut scenario = Scenario::printing();
    scenario.ask("owner", "disarm", json!({}));
    let order: Vec<&str> = scenario
        .fresh()
        .map(|output| match output {
            Output::Answered { .. } => "answered",
            Output::Remember { .. } => "remember",
            Output::State { .. } => "state",
            Output::Decided(_) => "decided",
            Output::Reply(_) => "reply",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, ["answered", "decided", "remember", "state", "reply"]);
}

#[test]
fn what_moves_the_printer_needs_the_time() {
    for row in COMMANDS {
        let mut scenario = sensible(row);
        let mut body = good_args(row);
        body["id"] = json!("q");
        scenario.ask_raw("owner", "voron", row.name, false, body.to_string().as_bytes());
        if row.moves {
            assert_refused(&scenario, row, "issued_at");
        } else {
            assert!(scenario.replies().iter().all(|r| r.body.status != ReplyStatus::Refused));
        }
    }
}

#[test]
fn rubbish_is_refused_and_answered() {
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(5_000));
    let deep = "[".repeat(4_000);
    for payload in
        ["", "null", "[]", "{", "\u{0}", "{\"id\":1}", "{\"id\":\"\\u0007\"}", &long, &deep]
    {
        let mut scenario = Scenario::printing();
        scenario.ask_raw("owner", "voron", "arm", false, payload.as_bytes());
        assert_refused(&scenario, row("arm").unwrap(), "malformed");
    }
    let mut scenario = Scenario::printing();
    scenario.ask_raw("owner", "voron", "arm", false, &[0xff, 0xfe]);
    assert_refused(&scenario, row("arm").unwrap(), "malformed");
}

#[test]
fn there_are_no_other_commands() {
    for command in ["gcode", "emergency_stop", "PAUSE", "", "pause ", &"x".repeat(10_000)] {
        let mut scenario = Scenario::printing();
        scenario.ask_raw("owner", "voron", command, false, br#"{"id":"q"}"#);
        let (status, reason) = scenario.answer("q");
        assert_eq!(status, ReplyStatus::Refused);
        assert!(reason.starts_with("there is no command") && reason.len() < 100);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let cases = [
        ("snooze", json!({})),
        ("snooze", json!({ "minutes": "5" })),
        ("snooze", json!({ "minutes": -1 })),
        ("snooze", json!({ "minutes": 1441 })),
        ("exclude_object", json!({ "object": 7 })),
        ("exclude_object", json!({ "object": "" })),
        ("set", json!({ "name": "gcode", "value": "G28" })),
        ("set", json!({ "name": "action", "value": "emergency_stop" })),
        ("set", json!({ "name": "action", "value": { "pause": null } })),
        ("set", json!({ "name": "armed", "value": "false" })),
        ("set", json!({ "name": "false_alarms_per_100h", "value": 0 })),
        ("set", json!({ "name": "false_alarms_per_100h", "value": 1e300 })),
        ("set", json!({ "name": "false_alarms_per_100h", "value": null })),
    ];
    for (command, args) in cases {
        let mut scenario = Scenario::printing();
        scenario.ask("owner", command, args);
        assert_refused(&scenario, row(command).unwrap(), "malformed");
    }
}

#[test]
fn settings_take_effect_and_survive() {
    let mut scenario = Scenario::printing();
    scenario.ask("owner", "set", json!({ "name": "action", "value": "nothing" }));
    scenario.ask("owner", "set", json!({ "name": "false_alarms_per_100h", "value": 20 }));
    scenario.ask("owner", "disarm", json!({}));
    let state = scenario.state();
    assert_eq!((&state["action"], &state["armed"]), (&json!("nothing"), &json!(false)));
    assert_eq!(state["false_alarms_per_100h"], 20.0);
    let memory = scenario.fresh().filter_map(|output| {
        if let Output::Remember { memory, .. } = output { Some(memory.clone()) } else { None }
    });
    let memory = memory.last();
    let restarted = Scenario::printing_with(|setup| {
        setup.boot = "again".to_owned();
        setup.printers.get_mut(&name("voron")).unwrap().memory = memory;
    });
    assert_eq!(restarted.state()["action"], "nothing");
    assert_eq!(restarted.state()["armed"], false);
    scenario.ask("owner", "set", json!({ "name": "armed", "value": true }));
    assert_eq!(scenario.state()["armed"], true);
    assert_eq!(restarted.state()["false_alarms_per_100h"], 20.0);
    let last = scenario
        .outputs
        .iter()
        .filter_map(|(_, o)| if let Output::Event { event } = o { Some(event.seq) } else { None })
        .max();
    let first = restarted
        .outputs
        .iter()
        .filter_map(|(_, o)| if let Output::Event { event } = o { Some(event.seq) } else { None })
        .min();
    assert_eq!(first.unwrap(), last.unwrap() + 1, "numbers go on");
}

#[test]
fn a_snooze_can_be_ended() {
    let mut scenario = Scenario::printing();
    scenario.ask("owner", "snooze", json!({ "minutes": 0.5 }));
    let until = (scenario.now.unix_ms + 60_000) as f64 / 1e3;
    assert_eq!(scenario.state()["snoozed_until"], until, "at least a minute");
    scenario.ask("owner", "snooze", json!({ "minutes": 0 }));
    assert!(scenario.state()["snoozed_until"].is_null());
}

#[test]
fn a_wall_clock_that_steps_refuses_and_does_no_harm() {
    let mut scenario = Scenario::in_veto();
    scenario.now.unix_ms = 0;
    let id = scenario.ask("owner", "pause", json!({}));
    assert!(scenario.answer(&id).1.contains("before this job began"));
    scenario.now.unix_ms = i64::MIN;
    scenario.input(Input::Tick).ask("owner", "pause", json!({ "issued_at": 1 }));
    scenario.now.unix_ms = START.unix_ms + 86_400_000;
    scenario.score(0.9).for_secs(60);
    assert_eq!(scenario.actions().len(), 1, "deadlines are on the other clock");
}

#[test]
fn a_request_for_one_printer_does_not_touch_the_other() {
    let two = |setup: &mut Setup| {
        setup.printers.insert(name("ender"), printer_setup(&["cam"]));
    };
    let mut scenario = Scenario::printing_with(two);
    for command in ["disarm", "pause", "snooze"] {
        let args = if command == "snooze" { json!({ "minutes": 5 }) } else { json!({}) };
        let id = scenario.ask("neighbour", command, args);
        assert!(scenario.answer(&id).1.contains("has no rights on printer voron"));
    }
    scenario.forget();
    scenario.ask_raw("neighbour", "ender", "disarm", false, br#"{"id":"q"}"#);
    assert_eq!(scenario.answer("q").0, ReplyStatus::Ok);
    for output in scenario.fresh() {
        if let Output::State { printer, .. } | Output::Remember { printer, .. } = output {
            assert_eq!(printer.as_str(), "ender");
        }
    }
}

#[test]
fn the_table_says_what_the_parser_does() {
    for row in COMMANDS {
        let good = |without: Option<&str>| {
            let mut body = good_args(row).as_object().cloned().unwrap();
            body.insert("id".into(), json!("1"));
            body.insert("issued_at".into(), json!(1.0));
            if let Some(arg) = without {
                body.remove(arg);
            }
            Value::Object(body).to_string()
        };
        let request = parse(row, good(None).as_bytes()).unwrap();
        for arg in row.args {
            let missing = parse(row, good(Some(arg.name)).as_bytes());
            assert_eq!(missing.is_err(), arg.required, "{} without {}", row.name, arg.name);
        }
        let moves = match &request.command {
            Command::Printer { .. } | Command::Confirm => true,
            Command::Status | Command::Snapshot | Command::Dismiss | Command::Arm => false,
            Command::Snooze { .. } | Command::Disarm | Command::Set { .. } => false,
        };
        assert_eq!(moves, row.moves, "{}", row.name);
        assert!(!row.doc.is_empty() && row.doc.ends_with('.'));
    }
    let names: std::collections::BTreeSet<&str> = COMMANDS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), COMMANDS.len(), "each name once");
    assert_eq!(COMMANDS.len(), 12, "the set is closed: a new row is a decision");
    let rights: std::collections::BTreeSet<Right> = COMMANDS.iter().map(|row| row.right).collect();
    assert_eq!(rights, Right::ALL.into_iter().collect(), "no right without a use");
}
