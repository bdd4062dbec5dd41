//! Whose failure it is: excluding one object instead of pausing the print.

use super::scenario::{ATTEMPTS, CONFIRM_S, Scenario, VETO_S, frame, name};
use crate::core::command::ActionChoice;
use crate::core::contract::Output;
use crate::core::geometry::BedView;
use crate::core::types::{FrameScore, Objects, PrintObject, PrintState, PrinterAction};

/// The bed fills the picture: its left front corner is at the bottom left.
const BED: BedView = BedView {
    corners: [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]],
    extent_mm: [0.0, 0.0, 200.0, 200.0],
};

fn square(name: &str, x: f64, y: f64) -> PrintObject {
    let corners = [[-25.0, -25.0], [25.0, -25.0], [25.0, 25.0], [-25.0, 25.0]];
    PrintObject {
        name: name.to_owned(),
        center: Some([x, y]),
        polygon: corners.map(|[dx, dy]| [x + dx, y + dy]).to_vec(),
    }
}

/// Two objects: `left` shows in row 1, column 1 of the map, `right` in row 1, column 3.
fn printing(bed: Option<BedView>) -> Scenario {
    let mut scenario = Scenario::with(|setup| {
        let printer = setup.printers.get_mut(&name("voron")).unwrap();
        printer.act.on_failure = ActionChoice::ExcludeObject;
        printer.views.entry(name("cam")).or_default().bed = bed;
    });
    scenario.start_print("two.gcode");
    scenario.report(|status| {
        let known = vec![square("left", 75.0, 125.0), square("right", 175.0, 125.0)];
        status.objects = Some(Objects { known, ..Objects::default() });
    });
    scenario.score(0.0).for_secs(5);
    scenario
}

fn both() -> FrameScore {
    let mut both = frame(0.9, 1, 1);
    both.map.cells[7] = 0.9;
    both
}

fn acts(scenario: &Scenario) -> Vec<PrinterAction> {
    scenario.actions().into_iter().map(|action| action.action.clone()).collect()
}

#[test]
fn the_object_whose_footprint_alone_holds_the_evidence_is_named_and_excluded() {
    let mut scenario = printing(Some(BED));
    scenario.score(0.9).for_secs(40);
    assert_eq!(scenario.incident()["object"], "left");
    scenario.score(0.9).for_secs(VETO_S);
    assert_eq!(acts(&scenario), [PrinterAction::ExcludeObject { object: "left".to_owned() }]);
    scenario.forget().answer_action(Ok(()));
    scenario.report(|status| {
        status.objects.as_mut().unwrap().excluded = vec!["left".to_owned()];
    });
    assert_eq!(scenario.event_names(), ["cleared"]);
    scenario.score(0.9).for_secs(600);
    assert_eq!(scenario.event_names(), ["cleared"], "what lies there is known");
    scenario.frames(frame(0.9, 1, 3)).for_secs(40);
    assert!(scenario.event_names().contains(&"alert"), "the other one fails as well");
    assert_eq!(scenario.incident()["object"], serde_json::Value::Null, "it is the last one");
}

#[test]
fn a_print_that_went_on_without_a_failed_object_is_no_example_of_a_good_one() {
    let mut scenario = printing(Some(BED));
    scenario.score(0.9).for_secs(40 + VETO_S).answer_action(Ok(()));
    scenario.report(|status| {
        status.objects.as_mut().unwrap().excluded = vec!["left".to_owned()];
    });
    scenario.forget().score(0.9).for_secs(3_600).print_state(PrintState::Complete);
    assert!(scenario.event_names().contains(&"print_ended"));
    assert!(!scenario.fresh().any(|output| matches!(output, Output::Learned { .. })));
}

#[test]
fn what_is_not_certainly_one_objects_failure_pauses() {
    let uncalibrated = (None, frame(0.9, 1, 1));
    let of_both = (Some(BED), both());
    let beside_both = (Some(BED), frame(0.9, 3, 0));
    for (bed, shown) in [uncalibrated, of_both, beside_both] {
        let mut scenario = printing(bed);
        scenario.frames(shown).for_secs(40 + VETO_S);
        assert_eq!(scenario.incident()["object"], serde_json::Value::Null);
        assert_eq!(acts(&scenario), [PrinterAction::Pause]);
    }
}

#[test]
fn a_failure_that_spreads_before_the_veto_ends_pauses() {
    let mut scenario = printing(Some(BED));
    scenario.score(0.9).for_secs(40);
    assert_eq!(scenario.incident()["object"], "left");
    scenario.frames(both()).for_secs(VETO_S);
    assert_eq!(acts(&scenario), [PrinterAction::Pause]);
}

#[test]
fn a_printer_that_does_not_exclude_is_paused() {
    let mut scenario = printing(Some(BED));
    scenario.score(0.9).for_secs(40 + VETO_S);
    for _ in 0..ATTEMPTS {
        scenario.answer_action(Ok(())).wait(CONFIRM_S);
    }
    assert!(scenario.event_names().contains(&"act_failed"));
    assert_eq!(acts(&scenario).last(), Some(&PrinterAction::Pause));
}
