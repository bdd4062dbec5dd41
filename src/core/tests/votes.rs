//! What people say of an incident.

use serde_json::json;

use super::scenario::{ANSWER_S, Scenario, VETO_S, frame, name};
use crate::core::command::ActionChoice;
use crate::core::contract::{ActSettings, Input, ReplyStatus};
use crate::core::event::EventKind;
use crate::core::incident::Unanswered;
use crate::core::types::{PrintState, PrinterAction};

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

/// An alert has gone by itself: people look minutes later.
fn cleared() -> (Scenario, serde_json::Value) {
    let mut scenario = Scenario::in_veto();
    let incident = scenario.incident()["incident"].clone();
    scenario.score(0.0).for_secs(120);
    assert_eq!(scenario.event_names(), ["cleared"]);
    scenario.forget();
    (scenario, incident)
}

#[test]
fn an_alert_that_has_cleared_by_itself_can_still_be_dismissed() {
    for by_name in [false, true] {
        let (mut scenario, incident) = cleared();
        let body = if by_name { json!({ "incident": incident }) } else { json!({}) };
        scenario.ask("household", "dismiss", body);
        assert_eq!(scenario.event_names(), ["dismissed"]);
        scenario.forget().score(0.9).for_secs(600);
        assert_eq!(scenario.event_names(), [""; 0], "there it may look as it likes");
        scenario.frames(frame(0.9, 3, 3)).for_secs(40);
        assert_eq!(scenario.event_names(), ["suspect", "alert"], "elsewhere it still counts");
    }
}

#[test]
fn it_can_be_dismissed_while_a_new_suspicion_is_open_of_which_nobody_was_told() {
    let (mut scenario, _) = cleared();
    scenario.frames(frame(0.9, 3, 3)).for_secs(12);
    scenario.ask("household", "dismiss", json!({}));
    assert_eq!(scenario.event_names(), ["suspect", "dismissed", "dismissed"]);
    scenario.forget().score(0.9).for_secs(600).frames(frame(0.9, 3, 3)).for_secs(600);
    assert_eq!(scenario.event_names(), [""; 0], "they have seen the print, and so both");
    let (mut scenario, incident) = cleared();
    scenario.frames(frame(0.9, 3, 3)).for_secs(12);
    scenario.ask("household", "dismiss", json!({ "incident": incident }));
    scenario.forget().frames(frame(0.9, 3, 3)).for_secs(60);
    assert!(scenario.event_names().contains(&"alert"), "only the one that was named");
}

#[test]
fn an_alert_that_has_cleared_by_itself_can_still_be_confirmed_and_acts() {
    let (mut scenario, incident) = cleared();
    scenario.ask("household", "confirm", json!({}));
    assert_eq!(scenario.event_names(), ["confirmed", "acting"]);
    assert_eq!(scenario.actions()[0].action, PrinterAction::Pause);
    assert_eq!(scenario.incident()["incident"], incident);
}

#[test]
fn confirming_it_closes_a_suspicion_that_has_come_since() {
    let (mut scenario, incident) = cleared();
    scenario.frames(frame(0.9, 3, 3)).for_secs(12);
    scenario.ask("household", "confirm", json!({ "incident": incident }));
    assert_eq!(scenario.event_names(), ["suspect", "cleared", "confirmed", "acting"]);
    assert_eq!(scenario.incident()["incident"], incident);
}

#[test]
fn an_alert_can_be_answered_until_another_alert_or_the_end_of_the_print() {
    let (mut scenario, incident) = cleared();
    scenario.frames(frame(0.9, 3, 3)).for_secs(40);
    assert_eq!(scenario.event_names(), ["suspect", "alert"]);
    let id = scenario.ask("household", "dismiss", json!({ "incident": incident }));
    assert!(scenario.answer(&id).1.contains("is over"));
    assert!(!scenario.incident().is_null());
    let (mut scenario, _) = cleared();
    scenario.print_state(PrintState::Complete).start_print("next.gcode");
    for command in ["confirm", "dismiss"] {
        let id = scenario.ask("household", command, json!({}));
        assert_eq!(scenario.answer(&id).0, ReplyStatus::Refused);
    }
}

#[test]
fn an_incident_that_has_cleared_is_named_by_votes_only() {
    let (mut scenario, incident) = cleared();
    let id = scenario.ask("owner", "pause", json!({ "incident": incident }));
    assert!(scenario.answer(&id).1.contains("is over"));
    assert!(scenario.actions().is_empty());
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

/// The daemon has paused, two people must agree, and these are the settings.
fn paused_by_us(change: impl FnOnce(&mut ActSettings)) -> Scenario {
    let mut scenario = Scenario::acting_with(|setup| {
        let act = &mut setup.printers.get_mut(&name("voron")).unwrap().act;
        act.votes_needed = 2;
        change(act);
    });
    scenario.answer_action(Ok(())).print_state(PrintState::Paused).forget();
    scenario
}

fn cancelling(act: &mut ActSettings) {
    act.on_confirmed = Some(ActionChoice::Cancel);
}

#[test]
fn it_pauses_at_once_and_cancels_when_enough_people_confirm() {
    let mut scenario = paused_by_us(cancelling);
    let until = (scenario.now.unix_ms + ANSWER_S as i64 * 1_000) as f64 / 1e3;
    assert_eq!(scenario.incident()["answer_by"], until);
    for _ in 0..3 {
        scenario.ask("household", "confirm", json!({}));
    }
    assert!(scenario.actions().is_empty(), "one person, one vote");
    scenario.ask("housemate", "confirm", json!({}));
    assert_eq!(scenario.event_names(), ["confirmed", "acting"]);
    assert_eq!(scenario.actions()[0].action, PrinterAction::Cancel);
    scenario.answer_action(Ok(())).print_state(PrintState::Cancelled);
    let EventKind::Cancelled { by, incident } = scenario.event("cancelled") else { panic!() };
    assert!(by == "strandwatch" && incident.is_some());
}

#[test]
fn enough_confirmations_before_it_acted_cancel_without_a_pause() {
    let mut scenario = Scenario::in_veto_with(|setup| {
        cancelling(&mut setup.printers.get_mut(&name("voron")).unwrap().act);
    });
    scenario.ask("household", "confirm", json!({}));
    assert_eq!(scenario.actions()[0].action, PrinterAction::Cancel);
}

#[test]
fn a_confirmation_after_the_pause_does_nothing_more_unless_that_is_set() {
    let mut scenario = paused_by_us(|act| act.votes_needed = 1);
    scenario.ask("household", "confirm", json!({}));
    scenario.wait(ANSWER_S * 2);
    assert_eq!(scenario.event_names(), ["confirmed"]);
    assert!(scenario.actions().is_empty());
}

#[test]
fn when_nobody_answers_in_time_the_configured_default_holds() {
    let mut stays = paused_by_us(cancelling);
    stays.ask("household", "confirm", json!({}));
    stays.wait(ANSWER_S * 3);
    assert!(stays.actions().is_empty(), "it stays paused");
    assert!(stays.incident()["answer_by"].is_null());
    stays.ask("housemate", "confirm", json!({}));
    assert_eq!(stays.actions().len(), 1, "and they may still decide");

    let mut cancels = paused_by_us(|act| act.if_unanswered = Unanswered::Cancel);
    cancels.wait(ANSWER_S - 1);
    assert!(cancels.actions().is_empty());
    cancels.wait(2);
    assert_eq!(cancels.actions()[0].action, PrinterAction::Cancel);
    cancels.answer_action(Ok(())).print_state(PrintState::Cancelled);
    assert!(cancels.event_names().contains(&"cancelled"));
}

#[test]
fn whoever_dismisses_resumes_disarms_or_snoozes_in_time_keeps_the_print() {
    let mut worlds: Vec<Scenario> =
        (0..4).map(|_| paused_by_us(|act| act.if_unanswered = Unanswered::Cancel)).collect();
    worlds[0].ask("household", "dismiss", json!({}));
    worlds[0].ask("housemate", "dismiss", json!({}));
    worlds[1].print_state(PrintState::Printing);
    worlds[2].ask("owner", "disarm", json!({}));
    worlds[3].ask("owner", "snooze", json!({ "minutes": 60 }));
    for world in &mut worlds {
        world.wait(ANSWER_S * 3);
        assert!(world.actions().is_empty());
    }
}

#[test]
fn nothing_is_asked_about_a_pause_that_was_not_ours() {
    let mut scenario = Scenario::in_veto_with(|setup| {
        let act = &mut setup.printers.get_mut(&name("voron")).unwrap().act;
        act.if_unanswered = Unanswered::Cancel;
    });
    scenario.print_state(PrintState::Paused);
    assert!(scenario.incident()["answer_by"].is_null());
    scenario.wait(ANSWER_S * 3);
    assert!(scenario.actions().is_empty());
}

#[test]
fn a_deadline_that_passes_while_the_printer_is_out_of_sight_waits_for_it() {
    let mut scenario = paused_by_us(|act| act.if_unanswered = Unanswered::Cancel);
    scenario.link_down().wait(ANSWER_S * 3);
    assert!(scenario.actions().is_empty());
    scenario.print_state(PrintState::Paused);
    assert_eq!(scenario.actions()[0].action, PrinterAction::Cancel);
}
