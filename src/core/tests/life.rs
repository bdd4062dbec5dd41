//! A print's life: begins, pauses, resumes, ends, as the printer reports it.

use super::scenario::{Scenario, frame, name};
use crate::core::contract::{Input, Output};
use crate::core::event::EventKind;
use crate::core::types::{Heater, KlippyState, PrintState};

fn outcome(scenario: &Scenario) -> String {
    match scenario.event("print_ended") {
        EventKind::PrintEnded { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_print_is_announced_from_start_to_end() {
    let mut scenario = Scenario::new();
    scenario.report(|_| {}).start_print("benchy.gcode");
    assert_eq!(scenario.event_names(), ["print_started"]);
    assert_eq!(scenario.state()["job"], "1700000000-benchy.gcode");
    scenario.wait(90).forget().print_state(PrintState::Complete);
    let EventKind::PrintEnded { outcome, duration_s } = scenario.event("print_ended") else {
        unreachable!()
    };
    assert_eq!((outcome.as_str(), duration_s), ("complete", 90.0));
    assert_eq!(scenario.state()["job"], serde_json::Value::Null);
    assert_eq!(scenario.state()["verdict"], "unknown");
}

#[test]
fn every_way_to_end_has_its_outcome() {
    for (state, expected) in [
        (PrintState::Complete, "complete"),
        (PrintState::Cancelled, "cancelled"),
        (PrintState::Error, "error"),
        (PrintState::Standby, "unknown"),
    ] {
        let mut scenario = Scenario::printing();
        scenario.print_state(state);
        assert_eq!(outcome(&scenario), expected);
    }
    for klippy in [KlippyState::Shutdown, KlippyState::Error] {
        let mut scenario = Scenario::printing();
        scenario.report(|status| status.klippy = klippy);
        assert_eq!(outcome(&scenario), "error", "{klippy:?}");
    }
}

#[test]
fn a_daemon_that_starts_in_the_middle_of_a_print_takes_it_up() {
    let mut scenario = Scenario::new();
    scenario.report(|status| {
        status.print = PrintState::Printing;
        status.filename = Some("long.gcode".to_owned());
        status.total_duration_s = 7_200.0;
        status.filament_used_mm = 900.0;
    });
    assert_eq!(scenario.state()["job"], "1699992800-long.gcode");
    assert_eq!(scenario.state()["phase"], "printing");
    scenario.score(0.9).for_secs(40);
    assert!(scenario.event_names().contains(&"alert"));
}

#[test]
fn frames_are_asked_for_only_while_a_job_runs() {
    let mut scenario = Scenario::new();
    let intervals = |scenario: &Scenario| -> Vec<Option<u64>> {
        let sampling = |o: &Output| {
            if let Output::Sampling { interval_ms, .. } = o { Some(*interval_ms) } else { None }
        };
        scenario.fresh().filter_map(sampling).collect()
    };
    scenario.report(|_| {});
    assert_eq!(intervals(&scenario), [], "idle");
    scenario.start_print("a.gcode");
    assert_eq!(intervals(&scenario), [Some(5_000)]);
    scenario.forget().score(0.9).for_secs(15);
    assert_eq!(intervals(&scenario), [Some(1_000)], "fast while suspect");
    scenario.forget().print_state(PrintState::Paused);
    assert_eq!(intervals(&scenario), [None], "paused");
    scenario.forget().print_state(PrintState::Printing);
    assert_eq!(intervals(&scenario), [Some(5_000)], "resumed, and the incident is over");
    scenario.forget().print_state(PrintState::Complete);
    assert_eq!(intervals(&scenario), [None]);
}

#[test]
fn frames_before_the_first_extrusion_are_no_evidence() {
    let cold = Heater { temperature: 25.0, target: 210.0 };
    let mut scenario = Scenario::new();
    scenario.report(|status| {
        status.print = PrintState::Printing;
        status.extruder = Some(cold);
    });
    assert_eq!(scenario.state()["phase"], "heating");
    scenario.score(0.9).for_secs(120);
    scenario.report(|status| status.extruder = Some(Heater { temperature: 210.0, target: 210.0 }));
    assert_eq!(scenario.state()["phase"], "probing");
    scenario.report(|status| status.timelapse_parked = true);
    assert_eq!(scenario.state()["phase"], "probing", "parked before anything was extruded");
    scenario.score(0.9).for_secs(120);
    assert_eq!(scenario.state()["evidence"], 0.0);
    scenario.report(|status| {
        status.timelapse_parked = false;
        status.filament_used_mm = 1.0;
        status.layer = Some(1);
    });
    assert_eq!(scenario.state()["phase"], "first_layer");
    // What lay there before is no failure of this print; what comes is.
    scenario.score(0.9).for_secs(40);
    assert!(!scenario.event_names().contains(&"alert"));
    scenario.frames(frame(0.9, 2, 3)).for_secs(40);
    assert!(scenario.event_names().contains(&"alert"));
}

#[test]
fn a_frame_taken_before_the_print_is_none_of_it() {
    let mut scenario = Scenario::new();
    scenario.report(|_| {}).wait(10).start_print("a.gcode");
    // The last print's spaghetti still lies there: taken a second ago, scored now.
    let taken_ms = scenario.now.mono_ms - 1_000;
    scenario.input(Input::Score {
        printer: name("voron"),
        camera: name("cam"),
        taken_ms,
        score: frame(0.9, 1, 1),
    });
    assert_eq!(scenario.state()["watch"], "degraded", "still starting");
    assert_eq!(scenario.state()["score"], serde_json::Value::Null);
}

#[test]
fn nothing_is_counted_across_a_pause() {
    let mut scenario = Scenario::printing();
    scenario.score(0.9).for_secs(5);
    let before = scenario.state()["evidence"].clone();
    scenario.print_state(PrintState::Paused).score(0.9).for_secs(300);
    assert_eq!(scenario.state()["evidence"], before, "a pause is no time");
    scenario.print_state(PrintState::Printing).wait(1);
    let taken_ms = scenario.now.mono_ms - 2_000;
    scenario.input(Input::Score {
        printer: name("voron"),
        camera: name("cam"),
        taken_ms,
        score: frame(0.9, 1, 1),
    });
    assert_eq!(scenario.state()["evidence"], before, "taken while paused");
    scenario.score(0.9).for_secs(1);
    assert_eq!(scenario.state()["evidence"], before, "the first frame stands for no time");
}

#[test]
fn a_pause_and_what_follows_outlive_a_lost_link() {
    let mut scenario = Scenario::printing();
    scenario.link_down().wait(5).forget().print_state(PrintState::Paused);
    assert_eq!(scenario.event_names()[0], "paused", "seen late, and yet seen");
    scenario.link_down().wait(5);
    assert_eq!(scenario.state()["phase"], "paused", "nobody knows better");
    scenario.score(0.9).for_secs(60);
    assert_eq!(scenario.state()["evidence"], 0.0, "no evidence while paused, link or no link");
}

#[test]
fn klippers_restart_ends_the_print_when_klipper_says_so() {
    let mut scenario = Scenario::printing();
    scenario.score(0.0).for_secs(59).report(|_| {});
    scenario.report(|status| {
        status.klippy = KlippyState::Startup;
        status.print = PrintState::Standby;
        status.filename = None;
        status.total_duration_s = 0.0;
    });
    assert_eq!(scenario.event_names(), ["degraded"], "not ready is not the end");
    scenario.report(|status| status.klippy = KlippyState::Ready);
    assert_eq!(outcome(&scenario), "unknown");
    let ended = scenario.event("print_ended");
    assert!(matches!(ended, EventKind::PrintEnded { duration_s: 60.0, .. }), "{ended:?}");
}

#[test]
fn the_same_file_again_is_another_job() {
    let mut scenario = Scenario::printing();
    scenario.wait(600).report(|_| {}).forget().start_print("benchy.gcode");
    assert_eq!(scenario.event_names()[..2], ["print_ended", "print_started"]);
    assert_ne!(scenario.state()["watch"], "blind", "the new print's first score is still to come");
}

#[test]
fn the_same_file_begun_while_the_link_was_down_is_another_job() {
    let mut scenario = Scenario::printing();
    scenario.wait(600).report(|_| {}).link_down().wait(3_600).forget();
    // Only ten minutes and a bit after it began, though an hour went by.
    scenario.report(|status| status.total_duration_s = 650.0);
    assert_eq!(scenario.event_names()[..2], ["print_ended", "print_started"]);
}

#[test]
fn a_lost_link_alone_does_not_end_a_job() {
    let mut scenario = Scenario::printing();
    let job = scenario.state()["job"].clone();
    scenario.link_down().wait(3_600).forget().report(|_| {});
    assert_eq!(scenario.state()["job"], job);
    assert!(!scenario.event_names().contains(&"print_started"));
}

#[test]
fn strange_file_names_and_durations_are_borne() {
    let mut scenario = Scenario::new();
    let file = "\u{1F980}/\"\n\t#+".repeat(60);
    scenario.report(|status| {
        status.print = PrintState::Printing;
        status.filename = Some(file);
        status.total_duration_s = 1e300;
    });
    let job = scenario.state()["job"].as_str().unwrap().to_owned();
    // A client can name every job.
    let id = scenario.ask("owner", "pause", serde_json::json!({ "job": job }));
    scenario.print_state(PrintState::Paused);
    assert_eq!(scenario.answer(&id).1, "");
}

#[test]
fn an_incident_of_an_earlier_run_is_taken_off_the_bus() {
    let scenario = Scenario::new();
    let withdrawn = |o: &Output| matches!(o, Output::Incident { document: None, .. });
    assert_eq!(scenario.fresh().filter(|o| withdrawn(o)).count(), 1);
}
