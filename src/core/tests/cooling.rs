//! What becomes of a print that stands there paused.

use serde_json::json;

use super::scenario::{Scenario, VETO_S, name};
use crate::core::types::{Heater, PrintState, PrinterAction};

const HOT: Option<Heater> = Some(Heater { temperature: 210.0, target: 210.0 });
const MINUTES: u64 = 30;

/// The daemon has paused, and would turn the heaters off.
fn paused() -> Scenario {
    let mut scenario = Scenario::acting_with(|setup| {
        let act = &mut setup.printers.get_mut(&name("voron")).unwrap().act;
        act.heaters_off_after_ms = Some(MINUTES * 60_000);
    });
    scenario.report(|status| {
        status.print = PrintState::Paused;
        (status.extruder, status.bed) = (HOT, HOT);
    });
    scenario.forget();
    scenario
}

fn turned_off(scenario: &Scenario) -> usize {
    let actions = scenario.actions().into_iter();
    actions.filter(|action| action.action == PrinterAction::TurnOffHeaters).count()
}

#[test]
fn the_heaters_go_off_when_nobody_came_and_that_is_seen_or_told() {
    let mut scenario = paused();
    scenario.wait(MINUTES * 60 - 1);
    assert_eq!(turned_off(&scenario), 0);
    scenario.wait(1);
    assert_eq!(turned_off(&scenario), 1);
    scenario.report(|status| (status.extruder, status.bed) = (Some(Heater::default()), None));
    scenario.wait(3_600);
    assert_eq!(turned_off(&scenario), 1);
    assert!(!scenario.event_names().contains(&"act_failed"), "{:?}", scenario.event_names());

    let mut stubborn = paused();
    stubborn.wait(MINUTES * 60 + 600);
    assert_eq!(turned_off(&stubborn), 3);
    stubborn.event("act_failed");
}

#[test]
fn whoever_takes_over_keeps_the_printer_hot() {
    for command in ["dismiss", "disarm", "snooze"] {
        let mut scenario = paused();
        let minutes = if command == "snooze" { json!({ "minutes": 1 }) } else { json!({}) };
        scenario.ask("owner", command, minutes);
        scenario.wait(MINUTES * 120);
        assert_eq!(turned_off(&scenario), 0, "{command}");
    }
    let mut scenario = paused();
    scenario.print_state(PrintState::Printing).wait(60).print_state(PrintState::Paused);
    scenario.wait(MINUTES * 120);
    assert_eq!(turned_off(&scenario), 0, "resumed, and paused by somebody else");
}

#[test]
fn a_pause_that_is_not_ours_is_left_alone() {
    let mut scenario = Scenario::printing_with(|setup| {
        let act = &mut setup.printers.get_mut(&name("voron")).unwrap().act;
        act.heaters_off_after_ms = Some(60_000);
    });
    scenario.report(|status| (status.extruder, status.bed) = (HOT, HOT));
    scenario.print_state(PrintState::Paused).wait(7_200);
    assert_eq!(turned_off(&scenario), 0);
}

#[test]
fn the_next_print_is_watched_and_paused_anew() {
    let mut scenario = Scenario::acting();
    scenario.print_state(PrintState::Paused);
    scenario.ask("owner", "dismiss", json!({}));
    scenario.print_state(PrintState::Cancelled).wait(10);
    scenario.start_print("another.gcode");
    scenario.score(0.0).for_secs(5).forget();
    scenario.score(0.9).for_secs(120 + VETO_S);
    assert!(scenario.event_names().contains(&"acting"), "{:?}", scenario.event_names());
}
