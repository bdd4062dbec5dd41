//! Whether anybody is really watching. Doubt is never "clear".

use super::scenario::{Scenario, frame, model, name};
use crate::core::contract::{Input, OnBlind};
use crate::core::detect::view::{VIEW_COLUMNS, VIEW_ROWS, ViewSignature};
use crate::core::event::EventKind;
use crate::core::types::{FrameScore, PrintState, PrinterAction, SourceFault, SourceHealth};

fn blind(fault: SourceFault) -> SourceHealth {
    SourceHealth::Blind { fault, why: "no route to host".to_owned() }
}

fn impaired(fault: SourceFault) -> SourceHealth {
    SourceHealth::Impaired { fault, why: "see for yourself".to_owned() }
}

#[test]
fn nothing_is_watched_and_nothing_is_clear_without_a_print() {
    let mut scenario = Scenario::new();
    scenario.report(|_| {});
    assert_eq!(scenario.state()["watch"], "off");
    assert_eq!(scenario.state()["verdict"], "unknown");
}

#[test]
fn the_first_score_makes_it_watching() {
    let mut scenario = Scenario::new();
    scenario.start_print("a.gcode");
    assert_eq!(scenario.state()["verdict"], "unknown");
    assert_eq!(scenario.state()["why"], "waiting for a fresh score");
    scenario.score(0.0).for_secs(1);
    assert_eq!(scenario.state()["verdict"], "clear");
    assert_eq!(scenario.event_names(), ["print_started", "watching"]);
}

#[test]
fn scores_that_stay_away_make_it_blind_and_scores_that_return_heal_it() {
    let mut scenario = Scenario::printing();
    scenario.wait(60);
    assert_eq!(scenario.event_names(), ["blind"], "within two intervals and ten seconds");
    assert_eq!(scenario.state()["verdict"], "unknown");
    assert_eq!(scenario.state()["score"], serde_json::Value::Null);
    scenario.forget().score(0.0).for_secs(1);
    assert_eq!(scenario.event_names(), ["watching"]);
    assert_eq!(scenario.state()["verdict"], "clear");
}

#[test]
fn a_first_score_that_never_comes_is_blindness_too() {
    let mut scenario = Scenario::new();
    scenario.start_print("a.gcode").wait(60);
    assert_eq!(scenario.state()["watch"], "blind");
}

#[test]
fn a_camera_that_says_it_is_blind_is_believed_at_once() {
    let mut scenario = Scenario::printing();
    for fault in [
        SourceFault::Unreachable,
        SourceFault::Vanished,
        SourceFault::Stalled,
        SourceFault::Undecodable,
    ] {
        scenario.forget().camera(blind(fault));
        assert_eq!(scenario.state()["watch"], "blind", "{fault:?}");
        assert_eq!(scenario.state()["verdict"], "unknown");
        assert_eq!(scenario.event_names(), ["blind"]);
        scenario.camera(SourceHealth::Seeing);
        assert_eq!(scenario.state()["verdict"], "unknown", "the old score is of the time before");
        scenario.score(0.0).for_secs(1);
        assert_eq!(scenario.state()["verdict"], "clear");
    }
}

#[test]
fn a_camera_that_sees_again_is_not_clear_by_what_it_showed_in_the_dark() {
    let mut scenario = Scenario::printing();
    scenario.camera(impaired(SourceFault::Dark)).score(0.0).for_secs(5);
    scenario.camera(SourceHealth::Seeing);
    assert_eq!(scenario.state()["verdict"], "unknown");
    scenario.wait(30);
    assert_eq!(scenario.state()["watch"], "blind", "and it is not waited for for ever");
}

#[test]
fn a_picture_that_shows_nothing_is_blindness_though_it_scores() {
    for fault in [SourceFault::Frozen, SourceFault::Dark, SourceFault::Overexposed] {
        let mut scenario = Scenario::printing();
        scenario.camera(impaired(fault)).score(0.0).for_secs(5);
        assert_eq!(scenario.state()["watch"], "blind", "{fault:?}");
        assert_eq!(scenario.state()["verdict"], "unknown");
    }
    let mut scenario = Scenario::printing();
    scenario.camera(impaired(SourceFault::Blurred)).score(0.0).for_secs(5);
    assert_eq!(scenario.state()["watch"], "degraded");
    assert_eq!(scenario.state()["verdict"], "unknown");
}

#[test]
fn a_picture_in_which_nothing_moves_is_blindness_once_the_printer_has_moved_for_a_minute() {
    let mut scenario = Scenario::printing();
    scenario.camera(impaired(SourceFault::Still)).score(0.0).for_secs(50);
    assert_eq!(scenario.state()["watch"], "watching", "it may have rested until now");
    assert_eq!(scenario.state()["cameras"]["cam"]["health"], "seeing");
    scenario.score(0.0).for_secs(60);
    assert_eq!(scenario.state()["watch"], "blind");
    assert_eq!(scenario.state()["cameras"]["cam"]["health"], "impaired");
    assert_eq!(scenario.state()["verdict"], "unknown");
    scenario.forget().camera(SourceHealth::Seeing).score(0.0).for_secs(1);
    assert_eq!(scenario.state()["verdict"], "clear");
    assert_eq!(scenario.event_names(), ["watching"]);
}

#[test]
fn a_picture_in_which_nothing_moves_is_fine_while_the_printer_rests() {
    let mut scenario = Scenario::printing();
    scenario.score(0.0).for_secs(200);
    scenario.report(|status| status.print = PrintState::Paused);
    scenario.camera(impaired(SourceFault::Still)).wait(600);
    scenario.report(|status| status.print = PrintState::Printing);
    scenario.forget().score(0.0).for_secs(30);
    assert!(!scenario.event_names().contains(&"blind"), "{:?}", scenario.event_names());
}

#[test]
fn a_picture_that_shows_nothing_is_no_evidence_either_way() {
    for health in [impaired(SourceFault::Dark), blind(SourceFault::Stalled)] {
        let mut scenario = Scenario::in_veto();
        let evidence = scenario.state()["evidence"].clone();
        scenario.camera(health.clone()).score(0.0).for_secs(50);
        assert_eq!(scenario.state()["evidence"], evidence, "the light going out is no all-clear");
        let mut scenario = Scenario::printing();
        scenario.camera(health).score(0.9).for_secs(300);
        assert_eq!(scenario.state()["evidence"], 0.0);
    }
}

#[test]
fn a_camera_that_tries_again_and_again_is_announced_blind_once() {
    let mut scenario = Scenario::printing();
    for _ in 0..20 {
        scenario.camera(blind(SourceFault::Unreachable)).wait(5);
        scenario.camera(SourceHealth::Opening).wait(60);
    }
    assert_eq!(scenario.event_names(), ["blind"]);
    scenario.camera(SourceHealth::Seeing);
    assert_eq!(scenario.state()["watch"], "blind", "a score has to show it");
    scenario.score(0.0).for_secs(1);
    assert_eq!(scenario.event_names(), ["blind", "watching"]);
}

#[test]
fn a_change_of_wording_is_shown_and_not_announced_again() {
    let mut scenario = Scenario::printing();
    for seconds in 0..50 {
        let why = format!("no frame for {seconds} s");
        scenario.camera(SourceHealth::Blind { fault: SourceFault::Stalled, why });
    }
    assert_eq!(scenario.event_names(), ["blind"]);
    assert_eq!(scenario.state()["why"], "camera cam: no frame for 49 s");
}

#[test]
fn one_dead_camera_of_two_degrades_and_does_not_spin() {
    let mut scenario = Scenario::printing_with(|setup| {
        setup.printers.get_mut(&name("voron")).unwrap().cameras.push(name("side"));
    });
    scenario.score(0.0).for_secs(120);
    assert_eq!(scenario.state()["watch"], "degraded");
    let due_ms = scenario.core.next_deadline_ms().unwrap();
    assert!(due_ms > scenario.now.mono_ms);
    scenario.wait(60);
    assert_eq!(scenario.state()["watch"], "blind", "and the second one's silence is noticed");
}

#[test]
fn a_lost_link_degrades() {
    let mut scenario = Scenario::printing();
    scenario.link_down().score(0.0).for_secs(10);
    assert_eq!(scenario.state()["watch"], "degraded");
    assert_eq!(scenario.state()["verdict"], "unknown");
    assert_eq!(scenario.event_names(), ["degraded"]);
}

#[test]
fn a_failed_self_test_degrades_until_one_passes() {
    let mut scenario = Scenario::printing();
    let test = |passed| Input::SelfTest { passed, score: Some(0.1), detail: String::new() };
    scenario.input(test(false)).score(0.0).for_secs(1);
    assert_eq!(scenario.state()["verdict"], "unknown");
    scenario.input(test(true)).score(0.0).for_secs(1);
    assert_eq!(scenario.state()["verdict"], "clear");
    assert_eq!(scenario.event_names(), ["self_test", "degraded", "self_test", "watching"]);
}

#[test]
fn without_a_model_it_is_blind() {
    let mut scenario = Scenario::printing();
    scenario.input(Input::Model { model: Err("models/a.onnx: hash differs".to_owned()) });
    assert_eq!(scenario.state()["watch"], "blind");
    assert_eq!(scenario.state()["why"], "models/a.onnx: hash differs");
    scenario.score(0.0).for_secs(1);
    assert_eq!(
        scenario.state()["verdict"],
        "unknown",
        "a score that was under way changes nothing"
    );
}

#[test]
fn a_model_that_can_tell_nothing_apart_is_no_model() {
    type Spoil = fn(&mut crate::core::types::Calibration);
    let spoilt: [Spoil; 4] = [
        |c| *c = crate::core::types::Calibration { score: vec![], log_likelihood_ratio: vec![] },
        |c| c.score[0] = 1.0,
        |c| c.log_likelihood_ratio[1] = f32::NAN,
        |c| c.log_likelihood_ratio.truncate(1),
    ];
    for spoil in spoilt {
        let mut facts = model();
        spoil(&mut facts.calibration);
        let mut scenario = Scenario::printing();
        scenario.input(Input::Model { model: Ok(facts) }).score(0.0).for_secs(5);
        assert_eq!(scenario.state()["watch"], "blind");
    }
}

#[test]
fn a_calibration_of_one_knot_is_borne() {
    let mut facts = model();
    facts.calibration.score = vec![0.5];
    facts.calibration.log_likelihood_ratio = vec![-1.0];
    let mut scenario = Scenario::printing();
    scenario.input(Input::Model { model: Ok(facts) }).score(0.9).for_secs(60);
    assert_eq!(scenario.state()["evidence"], 0.0);
}

#[test]
fn what_is_no_score_never_counts_as_a_good_frame() {
    type Spoil = fn(&mut crate::core::types::FrameScore);
    let spoilt: [Spoil; 9] = [
        |s| s.map.cells[3] = f32::NAN,
        |s| s.map.cells[3] = f32::INFINITY,
        |s| s.map.cells[3] = -1.0,
        |s| s.score = f32::NAN,
        |s| s.boxes[0].p = f32::NAN,
        |s| s.map.content = [f32::NAN; 4],
        |s| s.map.content = [0.0; 4],
        |s| s.map.cells.truncate(15),
        |s| (s.map.columns, s.map.rows, s.map.cells) = (0, 0, vec![]),
    ];
    for (index, spoil) in spoilt.into_iter().enumerate() {
        let mut bad = frame(0.0, 1, 1);
        spoil(&mut bad);
        let mut scenario = Scenario::printing();
        scenario.frames(bad.clone()).for_secs(60);
        assert_eq!(scenario.state()["watch"], "blind", "{index}");
        let mut scenario = Scenario::in_veto();
        let evidence = scenario.state()["evidence"].clone();
        scenario.frames(bad).for_secs(30);
        assert_eq!(scenario.state()["evidence"], evidence, "{index}");
        scenario.score(0.9).for_secs(30);
        assert_eq!(scenario.actions().len(), 1, "{index}: good frames afterwards still count");
    }
}

#[test]
fn a_score_above_one_counts_as_one() {
    let mut scenario = Scenario::printing();
    scenario.score(7.0).for_secs(12);
    assert_eq!(scenario.state()["score"], 1.0);
}

#[test]
fn a_pause_is_not_watched_and_a_resumed_print_must_be_seen_anew() {
    let mut scenario = Scenario::printing();
    scenario.print_state(PrintState::Paused);
    assert_eq!(scenario.state()["watch"], "off");
    scenario.wait(600).print_state(PrintState::Printing);
    assert_eq!(scenario.state()["verdict"], "unknown");
    assert_eq!(scenario.state()["score"], serde_json::Value::Null, "the old score is old");
    scenario.score(0.0).for_secs(1);
    assert_eq!(scenario.state()["verdict"], "clear");
}

#[test]
fn whoever_asks_just_before_the_tick_hears_what_is_true_now() {
    let mut scenario = Scenario::printing();
    // No tick was delivered: the daemon was held up.
    scenario.now.mono_ms += 60_000;
    scenario.now.unix_ms += 60_000;
    let id = scenario.ask("observer", "status", serde_json::json!({}));
    let replies = scenario.replies();
    let reply = replies.iter().find(|reply| reply.body.id.as_deref() == Some(&id)).unwrap();
    assert_eq!(reply.body.data.as_ref().unwrap()["verdict"], "unknown");
}

fn alerted_of_blindness_after(seconds: u64, on_blind: OnBlind) -> Scenario {
    Scenario::printing_with(|setup| {
        let printer = setup.printers.get_mut(&name("voron")).unwrap();
        printer.watch.blind_alert_after_ms = seconds * 1_000;
        printer.act.on_blind = on_blind;
    })
}

#[test]
fn blindness_that_lasts_is_told_of_once_more_and_ends_by_itself() {
    let mut scenario = alerted_of_blindness_after(120, OnBlind::Nothing);
    scenario.camera(blind(SourceFault::Vanished)).wait(119);
    assert_eq!(scenario.event_names(), ["blind"]);
    assert_eq!(scenario.state()["problem"], false);
    scenario.wait(3_600);
    assert_eq!(scenario.event_names(), ["blind", "blind"]);
    let EventKind::Blind { for_s, .. } = &scenario.events()[1].kind else { panic!() };
    assert_eq!(*for_s, Some(120.0));
    assert_eq!(scenario.state()["problem"], true);
    assert_eq!(scenario.state()["verdict"], "unknown");
    scenario.camera(SourceHealth::Seeing).score(0.0).for_secs(2);
    assert_eq!(scenario.event_names(), ["blind", "blind", "watching"]);
    assert_eq!(scenario.state()["problem"], false);
    assert!(scenario.actions().is_empty());
}

#[test]
fn a_print_that_nobody_sees_is_paused_where_people_asked_for_it() {
    let mut scenario = alerted_of_blindness_after(120, OnBlind::Pause);
    scenario.camera(blind(SourceFault::Vanished)).wait(130);
    let actions = scenario.actions();
    assert!(actions.len() == 1 && actions[0].action == PrinterAction::Pause);
    scenario.answer_action(Ok(())).print_state(PrintState::Paused);
    assert!(
        matches!(scenario.event("paused"), EventKind::Paused { by, .. } if by == "strandwatch")
    );
    let mut disarmed = alerted_of_blindness_after(120, OnBlind::Pause);
    disarmed.ask("owner", "disarm", serde_json::json!({}));
    disarmed.camera(blind(SourceFault::Vanished)).wait(600);
    assert!(disarmed.actions().is_empty());
    let mut back = alerted_of_blindness_after(120, OnBlind::Pause);
    back.camera(blind(SourceFault::Vanished)).wait(121);
    back.camera(SourceHealth::Seeing).score(0.0).for_secs(300);
    assert_eq!(back.actions().len(), 1, "it sees again: the pause is not tried again");
}

#[test]
fn scores_that_come_much_too_slowly_degrade() {
    let mut scenario = Scenario::printing();
    for _ in 0..6 {
        scenario.wait(13).score(0.0).for_secs(1);
    }
    assert_eq!(scenario.state()["watch"], "degraded");
    assert!(scenario.state()["why"].as_str().unwrap().contains("every 14 s instead of every 5 s"));
    scenario.score(0.0).for_secs(90);
    assert_eq!(scenario.state()["watch"], "watching");
}

#[test]
fn a_cloth_over_the_camera_degrades() {
    let looking =
        |signs: Vec<i8>| FrameScore { view: ViewSignature::new(signs), ..frame(0.0, 1, 1) };
    let still = looking((0..VIEW_COLUMNS * VIEW_ROWS).map(|at| (at % 3) as i8 - 1).collect());
    let covered = looking(vec![0; VIEW_COLUMNS * VIEW_ROWS]);
    let mut scenario = Scenario::printing();
    scenario.frames(still.clone()).for_secs(60);
    assert_eq!(scenario.state()["watch"], "watching");
    scenario.frames(covered).for_secs(5);
    assert!(matches!(
        scenario.event("degraded"),
        EventKind::Degraded { fault: Some(SourceFault::Occluded), .. }
    ));
    assert_eq!(scenario.state()["verdict"], "unknown");
    scenario.frames(still).for_secs(5);
    assert_eq!(scenario.state()["verdict"], "clear");
}

#[test]
fn quantised_scores_come_back_as_they_are() {
    for step in 0..=1_000u16 {
        let exact = f32::from(step) / 1_000.0 + 0.000_3;
        let score = frame(exact, 1, 1).quantised();
        let text = serde_json::to_string(&score).unwrap();
        assert_eq!(serde_json::from_str::<FrameScore>(&text).unwrap(), score);
        assert!((score.score - exact).abs() < 0.000_51);
        assert_eq!(score.clone().quantised(), score, "rounding twice is rounding once");
    }
    let mut odd = frame(0.5, 1, 1);
    odd.map.cells[0] = f32::NAN;
    odd.score = f32::INFINITY;
    let odd = odd.quantised();
    assert_eq!((odd.map.cells[0], odd.score), (-1.0, -1.0));
}
