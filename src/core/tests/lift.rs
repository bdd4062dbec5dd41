//! What a tolerated rate of wrong alerts adds to the evidence is for news, not for what always lies there.

use super::clutter::{CABLE, and, begin, good_print, measured, shipped};
use super::scenario::{Scenario, frame};
use crate::core::contract::Input;
use crate::core::types::{FrameScore, ModelFacts};

/// A printer whose alerts are lifted by 2 at the default rate, and that knows the cable from an earlier print.
fn eager() -> Scenario {
    let mut scenario = Scenario::with(|_| {});
    let false_alarms = Some(measured(4.0, [0.0, 2.0], [0.5, 5.0]));
    scenario.input(Input::Model { model: Ok(ModelFacts { false_alarms, ..shipped() }) });
    good_print(&mut scenario, &CABLE(), 3);
    assert_eq!(scenario.event_names(), ["print_ended"], "{:?}", scenario.events());
    begin(&mut scenario, &CABLE());
    scenario
}

fn alerts(scenario: &mut Scenario, shown: &FrameScore, seconds: u64) -> bool {
    scenario.forget();
    scenario.frames(shown.clone()).for_secs(seconds);
    scenario.event_names().contains(&"alert")
}

#[test]
fn a_cable_that_now_scores_a_little_more_does_not_alert_and_faint_strands_elsewhere_do() {
    let mut scenario = eager();
    assert!(!alerts(&mut scenario, &frame(0.93, 0, 3), 3 * 3_600));
    assert!(alerts(&mut scenario, &and(&CABLE(), &frame(0.25, 3, 0)), 300));
}

#[test]
fn a_cable_that_trembles_into_the_next_cell_counts_there_for_less_than_the_same_elsewhere() {
    let until_alert = |row, column| {
        let mut scenario = eager();
        let shown = and(&CABLE(), &frame(0.1, row, column));
        (1..600).find(|_| alerts(&mut scenario, &shown, 1)).unwrap_or(600)
    };
    let [beside, elsewhere] = [until_alert(1, 3), until_alert(3, 0)];
    assert!(beside > 2 * elsewhere, "{beside} s, {elsewhere} s");
}

#[test]
fn a_bright_tangle_over_the_cable_alerts() {
    assert!(alerts(&mut eager(), &frame(0.99, 0, 3), 120));
}
