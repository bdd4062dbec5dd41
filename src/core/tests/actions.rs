//! Actions: done is what the printer reports; what fails is tried again, within bounds, and then said aloud.

use serde_json::json;

use super::scenario::{ATTEMPTS, CONFIRM_S, Scenario, VETO_S};
use crate::core::contract::ReplyStatus;
use crate::core::event::EventKind;
use crate::core::types::{KlippyState, PrintState, PrinterAction};

#[test]
fn an_action_the_printer_ignores_is_tried_again_and_then_given_up_loudly() {
    let mut scenario = Scenario::acting();
    scenario.forget().wait(CONFIRM_S * 10);
    assert_eq!(scenario.event_names().iter().filter(|&&name| name == "acting").count(), 2);
    let EventKind::ActFailed { attempts, incident, reason, .. } = scenario.event("act_failed")
    else {
        unreachable!()
    };
    assert_eq!(attempts, ATTEMPTS);
    assert!(incident.is_some());
    assert_eq!(reason, "the printer did not report the new state in time");
    assert_eq!(scenario.state()["verdict"], "failing", "still a problem");
    scenario.forget().wait(3_600);
    assert!(scenario.actions().is_empty());
}

#[test]
fn a_refused_action_is_tried_again_soon() {
    let mut scenario = Scenario::acting();
    for _ in 0..ATTEMPTS {
        scenario.answer_action(Err("PAUSE macro: Must home first")).wait(3);
    }
    let EventKind::ActFailed { attempts, reason, .. } = scenario.event("act_failed") else {
        unreachable!()
    };
    assert_eq!((attempts, reason.as_str()), (ATTEMPTS, "PAUSE macro: Must home first"));
}

#[test]
fn an_answer_that_comes_twice_or_late_changes_nothing() {
    let mut scenario = Scenario::acting();
    for _ in 0..50 {
        scenario.answer_action(Err("busy"));
    }
    scenario.forget().wait(2);
    assert_eq!(scenario.actions().len(), 1);
    scenario
        .input(crate::core::contract::Input::ActionAnswered { id: 1, outcome: Err("late".into()) });
    scenario
        .input(crate::core::contract::Input::ActionAnswered { id: 0, outcome: Err("odd".into()) });
    scenario.forget().wait(3);
    assert!(scenario.actions().is_empty());
}

#[test]
fn a_pause_reported_after_we_were_refused_is_not_ours() {
    let mut scenario = Scenario::acting();
    scenario.answer_action(Err("refused")).forget().print_state(PrintState::Paused);
    let EventKind::Paused { by, .. } = scenario.event("paused") else { unreachable!() };
    assert_eq!(by, "printer");
    scenario.wait(60);
    assert!(scenario.actions().is_empty(), "and needs no repeating");
}

#[test]
fn what_was_called_off_is_not_repeated() {
    for (command, args) in [
        ("disarm", json!({})),
        ("dismiss", json!({})),
        ("snooze", json!({ "minutes": 1 })),
        ("set", json!({ "name": "action", "value": "nothing" })),
    ] {
        let mut scenario = Scenario::acting();
        scenario.ask("owner", command, args);
        scenario.forget().answer_action(Err("refused")).wait(CONFIRM_S * 5);
        assert!(scenario.actions().is_empty(), "{command}");
        assert!(!scenario.event_names().contains(&"act_failed"), "{command}: nothing is owed");
    }
}

#[test]
fn what_was_called_off_too_late_is_still_owned_up_to() {
    let mut scenario = Scenario::acting();
    scenario.ask("owner", "disarm", json!({}));
    scenario.forget().print_state(PrintState::Paused);
    let EventKind::Paused { by, .. } = scenario.event("paused") else { unreachable!() };
    assert_eq!(by, "strandwatch");
}

#[test]
fn attempts_are_not_spent_on_a_link_that_is_down() {
    let mut scenario = Scenario::acting();
    scenario.link_down().forget().wait(3_600);
    assert!(scenario.actions().is_empty());
    scenario.report(|_| {});
    assert_eq!(scenario.actions().len(), 1, "tried again when the link is back");
}

#[test]
fn a_pause_seen_when_the_link_is_back_is_ours() {
    let mut scenario = Scenario::acting();
    scenario.link_down().wait(300).forget().print_state(PrintState::Paused);
    let EventKind::Paused { by, .. } = scenario.event("paused") else { unreachable!() };
    assert_eq!(by, "strandwatch");
    assert!(scenario.actions().is_empty());
}

#[test]
fn an_action_never_reaches_the_next_job() {
    let mut scenario = Scenario::acting();
    scenario.answer_action(Err("busy"));
    scenario.print_state(PrintState::Complete).start_print("next.gcode").forget().wait(600);
    assert!(scenario.actions().is_empty());
    assert!(scenario.incident().is_null());
}

#[test]
fn klipper_starting_up_does_not_read_as_cancelled() {
    let mut scenario = Scenario::printing();
    let id = scenario.ask("owner", "cancel", json!({}));
    scenario.report(|status| {
        status.klippy = KlippyState::Startup;
        status.print = PrintState::Standby;
    });
    assert!(scenario.replies().is_empty(), "Klipper has not said anything yet");
    scenario.report(|status| status.klippy = KlippyState::Ready);
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok, "there is no print any more");
}

#[test]
fn a_clients_action_is_answered_when_the_printer_reports_it() {
    let mut scenario = Scenario::printing();
    let id = scenario.ask("household", "pause", json!({}));
    scenario.answer_action(Ok(()));
    assert!(scenario.replies().is_empty(), "accepted is not done");
    scenario.print_state(PrintState::Paused);
    assert_eq!(scenario.answer(&id), (ReplyStatus::Ok, String::new()));
    let EventKind::Paused { by, incident, .. } = scenario.event("paused") else { unreachable!() };
    assert_eq!((by.as_str(), incident), ("household", None));

    let id = scenario.ask("owner", "resume", json!({}));
    scenario.print_state(PrintState::Printing);
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok);
    let id = scenario.ask("owner", "exclude_object", json!({ "object": "cube" }));
    scenario.report(|status| {
        status.objects.as_mut().unwrap().excluded.push("cube".to_owned());
    });
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok);
    let id = scenario.ask("owner", "cancel", json!({}));
    scenario.print_state(PrintState::Cancelled);
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok);
}

#[test]
fn a_clients_action_is_tried_once_and_answered_at_once_when_refused() {
    let mut scenario = Scenario::printing();
    let id = scenario.ask("owner", "pause", json!({}));
    scenario.answer_action(Err("Klippy is busy"));
    assert_eq!(scenario.answer(&id), (ReplyStatus::Failed, "Klippy is busy".to_owned()));
    scenario.forget().wait(600);
    assert!(scenario.actions().is_empty() && scenario.replies().is_empty());
}

#[test]
fn a_clients_action_is_answered_whatever_becomes_of_it() {
    let ends: [(&str, fn(&mut Scenario), ReplyStatus); 4] = [
        (
            "silence",
            |s| {
                s.wait(CONFIRM_S);
            },
            ReplyStatus::Failed,
        ),
        (
            "link down",
            |s| {
                s.link_down().wait(CONFIRM_S);
            },
            ReplyStatus::Failed,
        ),
        (
            "print over",
            |s| {
                s.print_state(PrintState::Complete);
            },
            ReplyStatus::Failed,
        ),
        (
            "fault",
            |s| {
                s.report(|st| st.klippy = KlippyState::Shutdown);
            },
            ReplyStatus::Failed,
        ),
    ];
    for (what, end, status) in ends {
        let mut scenario = Scenario::printing();
        let id = scenario.ask("owner", "pause", json!({}));
        end(&mut scenario);
        assert_eq!(scenario.answer(&id).0, status, "{what}");
        scenario.forget().wait(600);
        assert!(scenario.replies().is_empty(), "{what}: one answer");
    }
}

#[test]
fn what_makes_no_sense_now_is_refused() {
    let cases = [
        ("pause", json!({}), PrintState::Paused, "nothing to pause"),
        ("resume", json!({}), PrintState::Printing, "nothing to resume"),
        ("cancel", json!({}), PrintState::Complete, "nothing to cancel"),
        ("exclude_object", json!({ "object": "cone" }), PrintState::Printing, "no object"),
        ("exclude_object", json!({ "object": "cube" }), PrintState::Complete, "no print with"),
    ];
    for (command, args, state, reason) in cases {
        let mut scenario = Scenario::printing();
        scenario.print_state(state);
        let id = scenario.ask("owner", command, args);
        let (status, why) = scenario.answer(&id);
        assert_eq!(status, ReplyStatus::Refused, "{command}");
        assert!(why.starts_with(reason), "{command}: {why}");
        assert!(scenario.event_names().contains(&"command_refused"));
        assert!(scenario.actions().is_empty());
    }
}

#[test]
fn without_a_link_or_klipper_an_action_is_refused() {
    let mut scenario = Scenario::printing();
    scenario.link_down();
    let id = scenario.ask("owner", "pause", json!({}));
    assert!(scenario.answer(&id).1.contains("cannot be reached"));
    scenario.report(|status| status.klippy = KlippyState::Startup);
    let id = scenario.ask("owner", "pause", json!({}));
    assert!(scenario.answer(&id).1.contains("not ready"));
}

#[test]
fn the_same_action_is_not_begun_twice() {
    let mut scenario = Scenario::printing();
    scenario.ask("owner", "pause", json!({}));
    let second = scenario.ask("household", "pause", json!({}));
    assert_eq!(
        scenario.answer(&second),
        (ReplyStatus::Refused, "pause is under way already".into())
    );
    assert_eq!(scenario.actions().len(), 1);
}

#[test]
fn a_persons_pause_that_fails_leaves_the_daemon_its_own() {
    let mut scenario = Scenario::in_veto();
    scenario.score(0.9).for_secs(VETO_S - 12);
    assert_eq!(scenario.incident()["stage"], "veto");
    let id = scenario.ask("household", "pause", json!({}));
    scenario.wait(CONFIRM_S / 2);
    assert_eq!(scenario.actions().len(), 1, "theirs is under way");
    scenario.answer_action(Err("macro failed"));
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Failed);
    let ours = scenario.actions().into_iter().filter(|action| action.by_policy).count();
    assert_eq!(ours, 1, "now it is the daemon's turn");
    assert_eq!(scenario.actions()[1].action, PrinterAction::Pause);
}

#[test]
fn a_snapshot_is_answered_when_taken_and_when_not() {
    use crate::core::contract::{Input, Output};
    let mut scenario = Scenario::printing();
    let taken = scenario.ask("observer", "snapshot", json!({}));
    let ticket = scenario.fresh().find_map(|output| {
        if let Output::Snapshot { ticket, .. } = output { Some(*ticket) } else { None }
    });
    let ticket = ticket.unwrap();
    for _ in 0..2 {
        scenario.input(Input::SnapshotTaken { ticket, outcome: Ok(()) });
    }
    assert_eq!(scenario.answer(&taken).0, ReplyStatus::Ok);
    let forgotten = scenario.ask("observer", "snapshot", json!({}));
    scenario.score(0.0).for_secs(30);
    assert_eq!(
        scenario.answer(&forgotten),
        (ReplyStatus::Failed, "no picture came in time".into())
    );
}

#[test]
fn snapshots_under_way_are_bounded() {
    let mut scenario = Scenario::printing();
    let last = (0..9).map(|_| scenario.ask("observer", "snapshot", json!({}))).last().unwrap();
    assert_eq!(scenario.answer(&last).0, ReplyStatus::Refused);
}
