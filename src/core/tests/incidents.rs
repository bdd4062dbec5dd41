//! From the first suspicion to a paused printer, and the ways out.

use super::scenario::{CONFIRM_S, Scenario, VETO_S, frame, name};
use crate::core::command::ActionChoice;
use crate::core::contract::Output;
use crate::core::event::EventKind;
use crate::core::types::{LinkStatus, PrintState, PrinterAction};

#[test]
fn evidence_alert_veto_action_paused() {
    let mut scenario = Scenario::printing();
    scenario.score(0.9).for_secs(40);
    assert_eq!(scenario.event_names(), ["suspect", "alert"]);
    assert_eq!(scenario.state()["verdict"], "failing");
    assert_eq!(scenario.state()["problem"], true);
    assert_eq!(scenario.incident()["stage"], "veto");
    assert!(scenario.fresh().any(|output| matches!(output, Output::FailureImage { .. })));
    assert!(scenario.actions().is_empty(), "people have {VETO_S} s to object");

    scenario.score(0.9).for_secs(VETO_S);
    assert_eq!(scenario.event_names(), ["suspect", "alert", "acting"]);
    assert_eq!(scenario.actions().len(), 1);
    assert_eq!(scenario.actions()[0].action, PrinterAction::Pause);
    assert!(scenario.actions()[0].by_policy);

    scenario.answer_action(Ok(())).wait(1).forget().print_state(PrintState::Paused);
    let incident = scenario.incident()["incident"].as_str().map(str::to_owned);
    let EventKind::Paused { incident: of, by, idle_timeout_s } = scenario.event("paused") else {
        unreachable!()
    };
    assert_eq!((by.as_str(), idle_timeout_s), ("strandwatch", Some(600.0)));
    assert_eq!(of, incident);

    scenario.forget().wait(CONFIRM_S * 10);
    assert!(scenario.actions().is_empty(), "one pause an incident");
}

#[test]
fn the_veto_window_closes_by_time_alone() {
    let mut scenario = Scenario::in_veto();
    // The camera dies: the evidence stands.
    scenario.wait(VETO_S);
    assert_eq!(scenario.actions().len(), 1);
}

#[test]
fn evidence_that_goes_away_closes_the_incident() {
    let mut scenario = Scenario::printing();
    scenario.score(0.9).for_secs(12);
    assert_eq!(scenario.state()["verdict"], "suspect");
    scenario.score(0.0).for_secs(30);
    assert_eq!(scenario.event_names(), ["suspect", "cleared"]);
    assert_eq!(scenario.state()["verdict"], "clear");
    assert!(scenario.incident().is_null());
}

#[test]
fn evidence_that_falls_in_the_veto_window_stops_it() {
    let mut scenario = Scenario::in_veto();
    scenario.score(0.0).for_secs(10);
    assert_eq!(scenario.incident()["stage"], "alert");
    scenario.score(0.3).for_secs(VETO_S);
    assert!(scenario.actions().is_empty());
}

#[test]
fn without_a_veto_window_it_acts_at_once() {
    let mut scenario = Scenario::printing_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().act.veto_ms = 0;
    });
    scenario.score(0.9).for_secs(40);
    assert_eq!(scenario.event_names(), ["suspect", "alert", "acting"]);
}

#[test]
fn set_to_nothing_it_only_tells() {
    let mut scenario = Scenario::printing_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().act.on_failure = ActionChoice::Nothing;
    });
    scenario.score(0.9).for_secs(600);
    assert_eq!(scenario.event_names(), ["suspect", "alert"]);
    assert!(scenario.actions().is_empty());
}

#[test]
fn set_to_cancel_it_cancels_and_says_so() {
    let mut scenario = Scenario::in_veto_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().act.on_failure = ActionChoice::Cancel;
    });
    scenario.score(0.9).for_secs(VETO_S);
    assert_eq!(scenario.actions()[0].action, PrinterAction::Cancel);
    scenario.forget().print_state(PrintState::Cancelled);
    assert_eq!(scenario.event_names()[..3], ["cancelled", "cleared", "print_ended"]);
    let EventKind::Cancelled { by, incident } = scenario.event("cancelled") else { unreachable!() };
    assert_eq!(by, "strandwatch");
    assert!(incident.is_some());
}

#[test]
fn a_pause_by_somebody_at_the_printer_is_not_taken_for_ours() {
    let mut scenario = Scenario::in_veto();
    scenario.print_state(PrintState::Paused);
    let EventKind::Paused { by, incident, .. } = scenario.event("paused") else { unreachable!() };
    assert_eq!((by.as_str(), incident), ("printer", None));
    scenario.wait(VETO_S * 2);
    assert!(scenario.actions().is_empty(), "what is paused is not paused again");
    assert_eq!(scenario.incident()["stage"], "alert");
}

#[test]
fn whoever_resumes_has_looked() {
    let mut scenario = Scenario::acting();
    scenario.print_state(PrintState::Paused).wait(1).forget();
    scenario.print_state(PrintState::Printing);
    assert_eq!(scenario.event_names(), ["cleared"]);
    assert_eq!(scenario.state()["evidence"], 0.0);
    scenario.score(0.0).for_secs(300);
    assert!(scenario.actions().is_empty());
    scenario.forget().score(0.9).for_secs(40 + VETO_S);
    assert_eq!(scenario.actions().len(), 1, "another failure is another incident");
}

#[test]
fn an_incident_ends_with_its_print() {
    let mut scenario = Scenario::in_veto();
    scenario.print_state(PrintState::Complete);
    assert_eq!(scenario.event_names(), ["cleared", "print_ended"]);
    assert!(scenario.incident().is_null());
    assert_eq!(scenario.state()["evidence"], 0.0);
    scenario.forget().wait(VETO_S * 2).start_print("next.gcode").wait(VETO_S * 2);
    assert!(scenario.actions().is_empty(), "the next job is another one's");
}

#[test]
fn disarmed_it_alerts_and_does_not_act() {
    let mut scenario = Scenario::printing_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().act.armed = false;
    });
    scenario.score(0.9).for_secs(300);
    assert_eq!(scenario.event_names(), ["suspect", "alert"]);
    assert!(scenario.actions().is_empty());
    scenario.ask("owner", "arm", serde_json::json!({}));
    assert_eq!(scenario.incident()["stage"], "veto", "armed now: people have their window");
}

#[test]
fn disarming_in_the_veto_window_stops_it() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("owner", "disarm", serde_json::json!({}));
    scenario.score(0.9).for_secs(VETO_S * 2);
    assert!(scenario.actions().is_empty());
    assert_eq!(scenario.incident()["stage"], "alert");
}

#[test]
fn while_snoozed_nothing_is_raised_and_yet_it_is_not_called_clear() {
    let mut scenario = Scenario::printing();
    scenario.ask("household", "snooze", serde_json::json!({ "minutes": 10 }));
    scenario.forget().score(0.9).for_secs(300);
    assert_eq!(scenario.event_names(), [""; 0]);
    assert_eq!(scenario.state()["verdict"], "suspect");
    scenario.score(0.9).for_secs(300 + VETO_S + 2);
    assert_eq!(scenario.event_names(), ["suspect", "alert", "acting"], "the snooze is over");
}

#[test]
fn a_snooze_in_the_veto_window_puts_it_off() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("household", "snooze", serde_json::json!({ "minutes": 5 }));
    scenario.score(0.9).for_secs(299);
    assert!(scenario.actions().is_empty());
    scenario.score(0.9).for_secs(1 + VETO_S);
    assert_eq!(scenario.actions().len(), 1);
    let wakes = scenario.state()["snoozed_until"].clone();
    assert!(wakes.is_null());
}

#[test]
fn a_lost_link_delays_the_action_and_does_not_spend_it() {
    let mut scenario = Scenario::in_veto();
    scenario.link_down().score(0.9).for_secs(VETO_S * 2);
    assert!(scenario.actions().is_empty(), "nobody is there to be asked");
    assert_eq!(scenario.incident()["stage"], "veto");
    scenario.report(|_| {});
    assert_eq!(scenario.actions().len(), 1, "as soon as it can");
}

#[test]
fn two_cameras_raise_one_incident() {
    let mut scenario = Scenario::printing_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().cameras.push(name("side"));
    });
    for _ in 0..50 {
        scenario.score(0.9).for_secs(1);
        scenario.frames(frame(0.9, 2, 2)).by("side").for_secs(1);
    }
    assert_eq!(scenario.event_names(), ["watching", "suspect", "alert", "acting"]);
    assert_eq!(scenario.actions().len(), 1);
}

#[test]
fn documents_are_told_only_when_they_change() {
    let mut scenario = Scenario::printing();
    scenario.wait(1).forget();
    for _ in 0..10 {
        let link = LinkStatus::Up(Box::new(scenario.status.clone()));
        scenario.input(crate::core::contract::Input::Printer { printer: name("voron"), link });
    }
    assert_eq!(scenario.fresh().count(), 0);
}
