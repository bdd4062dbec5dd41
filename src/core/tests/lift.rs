//! What a tolerated rate of wrong alerts adds to the evidence is for news, not for what always lies there; and what comes
//! once that is as much as can be.

use super::clutter::{CABLE, and, begin, good_print, measured, shipped};
use super::scenario::{Scenario, frame};
use crate::core::contract::Input;
use crate::core::detect::evidence::{Bar, FalseAlarms};
use crate::core::types::{FrameScore, ModelFacts, Name};

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

/// A printer that only alerts, whose evidence is lifted by 1.8 at the most and compared with less where more is tolerated.
fn alerting_at(per_100h: f64) -> Scenario {
    let mut scenario = Scenario::with(|setup| {
        let voron = Name::parse("voron").unwrap();
        let printer = setup.printers.get_mut(&voron).unwrap();
        printer.act.armed = false;
        printer.watch.detect.alert_false_alarms_per_100h = per_100h;
    });
    let bars = [(0.0, 4.0, 0.5), (1.8, 4.0, 3.0), (1.8, 0.2, 20.0)];
    let bars = bars.map(|(lift, threshold, rate)| (Bar { lift, threshold }, rate));
    let false_alarms = Some(FalseAlarms::of(&bars, 10_000));
    scenario.input(Input::Model { model: Ok(ModelFacts { false_alarms, ..shipped() }) });
    begin(&mut scenario, &frame(0.02, 0, 0));
    scenario
}

#[test]
fn who_tolerates_more_is_told_sooner_and_soon_that_it_went_away_however_much_more_acting_needs() {
    let until = |scenario: &mut Scenario, p: f32, event: &str| {
        scenario.forget();
        let told = (1..600).find(|_| {
            scenario.frames(frame(p, 3, 0)).for_secs(1);
            scenario.event_names().contains(&event)
        });
        told.unwrap_or(600)
    };
    let times = |per_100h: f64| {
        let mut scenario = alerting_at(per_100h);
        let alert = until(&mut scenario, 0.7, "alert");
        scenario.frames(frame(0.7, 3, 0)).for_secs(30);
        (alert, until(&mut scenario, 0.0, "cleared"))
    };
    let [(patient, _), (eager, gone)] = [3.0, 20.0].map(times);
    assert!(eager < patient, "{eager} s, {patient} s");
    assert!(gone <= 3, "{gone} s");
}
