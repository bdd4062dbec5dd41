//! What people say of an incident.

use serde_json::json;

use super::scenario::{Scenario, VETO_S, frame, name};
use crate::core::contract::{Input, ReplyStatus};
use crate::core::types::PrintState;

#[test]
fn a_confirmation_acts_without_waiting() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("household", "confirm", json!({}));
    assert_eq!(scenario.event_names(), ["confirmed", "acting"]);
    assert_eq!(scenario.actions().len(), 1);
}

#[test]
fn a_confirmed_suspicion_is_alerted_first() {
    let mut scenario = Scenario::printing();
    scenario.score(0.9).for_secs(12);
    scenario.forget().ask("household", "confirm", json!({}));
    assert_eq!(scenario.event_names(), ["confirmed", "alert", "acting"]);
}

#[test]
fn a_confirmation_does_not_act_while_disarmed() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("owner", "disarm", json!({}));
    scenario.ask("owner", "confirm", json!({}));
    scenario.score(0.9).for_secs(VETO_S * 2);
    assert!(scenario.actions().is_empty());
    assert_eq!(scenario.state()["problem"], true);
}

#[test]
fn it_takes_as_many_people_as_are_set() {
    let mut scenario = Scenario::in_veto_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().act.votes_needed = 2;
    });
    for _ in 0..3 {
        scenario.ask("household", "confirm", json!({}));
    }
    assert!(scenario.actions().is_empty(), "one person, one vote");
    scenario.ask("housemate", "dismiss", json!({}));
    assert!(!scenario.incident().is_null(), "one each way");
    scenario.ask("housemate", "confirm", json!({}));
    assert_eq!(scenario.event_names(), ["confirmed", "acting"], "the last vote of a person counts");
}

#[test]
fn a_vote_without_an_incident_is_refused() {
    let mut scenario = Scenario::printing();
    for command in ["confirm", "dismiss"] {
        let id = scenario.ask("household", command, json!({}));
        assert_eq!(scenario.answer(&id).0, ReplyStatus::Refused);
    }
}

#[test]
fn a_dismissal_calls_it_off_and_holds_for_that_region() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("household", "dismiss", json!({}));
    assert_eq!(scenario.event_names(), ["dismissed"]);
    assert_eq!(scenario.state()["evidence"], 0.0);
    scenario.forget().score(0.9).for_secs(3_600);
    assert_eq!(scenario.event_names(), [""; 0], "there it may look as it likes");
    assert!(scenario.actions().is_empty());
    scenario.frames(frame(0.9, 3, 3)).for_secs(40);
    assert_eq!(scenario.event_names(), ["suspect", "alert"], "elsewhere it still counts");
}

#[test]
fn a_dismissal_holds_though_the_last_frame_showed_nothing() {
    let mut scenario = Scenario::in_veto();
    // The head passes in front of it.
    scenario.score(0.0).for_secs(1);
    scenario.ask("household", "dismiss", json!({}));
    scenario.forget().score(0.9).for_secs(600);
    assert_eq!(scenario.event_names(), [""; 0]);
}

#[test]
fn a_dismissal_holds_for_what_the_model_finds_faint_as_well() {
    let mut scenario = Scenario::printing();
    let mut facts = super::scenario::model();
    facts.calibration.score = vec![0.0, 0.2];
    scenario.input(Input::Model { model: Ok(facts) });
    scenario.score(0.2).for_secs(40);
    assert!(scenario.event_names().contains(&"alert"));
    scenario.ask("household", "dismiss", json!({}));
    scenario.forget().score(0.2).for_secs(600);
    assert_eq!(scenario.event_names(), [""; 0]);
}

#[test]
fn a_dismissal_is_forgotten_with_the_print() {
    let mut scenario = Scenario::in_veto();
    scenario.ask("household", "dismiss", json!({}));
    scenario.print_state(PrintState::Complete).start_print("next.gcode").forget();
    scenario.score(0.9).for_secs(40);
    assert_eq!(scenario.event_names(), ["watching", "suspect", "alert"]);
}

#[test]
fn a_dismissal_at_the_last_moment_counts() {
    let mut scenario = Scenario::in_veto();
    let due_ms = scenario.core.next_deadline_ms().unwrap();
    while scenario.incident()["stage"] == "veto" && scenario.now.mono_ms < due_ms + 60_000 {
        // The daemon is late: the window has passed, no tick has come, the request comes first.
        scenario.now.mono_ms += 70_000;
        scenario.now.unix_ms += 70_000;
        scenario.ask("household", "dismiss", json!({}));
    }
    assert!(scenario.actions().is_empty());
}

#[test]
fn a_dismissal_after_the_pause_closes_the_incident() {
    let mut scenario = Scenario::acting();
    scenario.print_state(PrintState::Paused).forget();
    scenario.ask("household", "dismiss", json!({}));
    assert!(scenario.incident().is_null());
    scenario.print_state(PrintState::Printing).score(0.9).for_secs(600);
    assert!(scenario.actions().is_empty());
}
