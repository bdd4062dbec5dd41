//! Whoever asks without end is answered, and neither heard nor announced without end; what nobody vouches for is refused.

use serde_json::json;

use super::scenario::{Scenario, name};
use crate::core::contract::{Decision, Input, Output, ReplyStatus};

fn decisions(scenario: &Scenario) -> Vec<&Decision> {
    scenario
        .fresh()
        .filter_map(|output| if let Output::Decided(d) = output { Some(d) } else { None })
        .collect()
}

fn unverified(claimed: &str, printer: &str) -> Input {
    Input::Unverified {
        claimed: name(claimed),
        printer: printer.to_owned(),
        command: "pause".to_owned(),
        id: Some("q".to_owned()),
        why: "the signature is another's".to_owned(),
    }
}

#[test]
fn a_client_that_asks_without_end_is_held_to_its_rate_and_the_others_are_not() {
    let mut scenario = Scenario::printing();
    for _ in 0..20 {
        let id = scenario.ask("owner", "snooze", json!({ "minutes": 1 }));
        assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok);
    }
    let id = scenario.ask("owner", "pause", json!({}));
    let (status, reason) = scenario.answer(&id);
    assert_eq!(status, ReplyStatus::Refused);
    assert!(reason.contains("too many requests: 20 at once and one each 1 s"), "{reason}");
    assert!(scenario.actions().is_empty());
    let id = scenario.ask("household", "snooze", json!({ "minutes": 0 }));
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok, "another's limit is its own");
    scenario.wait(1).forget();
    let id = scenario.ask("owner", "snooze", json!({ "minutes": 0 }));
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Ok, "a second later there is one more");
}

#[test]
fn refusals_without_end_are_answered_and_neither_announced_nor_logged_without_end() {
    let mut scenario = Scenario::printing();
    for _ in 0..1_000 {
        scenario.ask("observer", "pause", json!({}));
    }
    assert_eq!(scenario.replies().len(), 1_000, "each has its answer");
    assert_eq!(scenario.event_names(), ["command_refused"; 10]);
    assert_eq!(decisions(&scenario).len(), 10);
    scenario.wait(30).forget();
    scenario.ask("observer", "pause", json!({}));
    let reason = decisions(&scenario)[0].reason.clone().unwrap();
    assert!(reason.contains("lacks the right pause (990 refusals before it"), "{reason}");
}

#[test]
fn strangers_of_any_number_share_one_limit() {
    let mut scenario = Scenario::printing();
    for n in 0..1_000 {
        scenario.ask(&format!("stranger{n}"), "pause", json!({}));
    }
    assert_eq!(scenario.event_names(), ["command_refused"; 10]);
    let known = scenario.ask("owner", "snooze", json!({ "minutes": 1 }));
    assert_eq!(scenario.answer(&known).0, ReplyStatus::Ok);
}

#[test]
fn what_nobody_vouches_for_is_refused_announced_and_uses_up_nothing_of_the_client_it_names() {
    let mut scenario = Scenario::printing();
    for _ in 0..100 {
        scenario.input(unverified("owner", "voron"));
    }
    let body = &scenario.replies()[0].body;
    assert_eq!((body.id.as_deref(), body.status), (Some("q"), ReplyStatus::Refused));
    let reason = body.reason.clone().unwrap();
    assert_eq!(reason, "not verified: the signature is another's");
    assert_eq!(scenario.replies().len(), 100);
    assert_eq!(scenario.event_names(), ["command_refused"; 10]);
    assert!(!decisions(&scenario)[0].verified);
    assert!(scenario.actions().is_empty());
    scenario.forget();
    let id = scenario.ask("owner", "gcode", json!({}));
    assert_eq!(scenario.answer(&id).0, ReplyStatus::Refused);
    assert_eq!(scenario.event_names(), ["command_refused"], "the owner's own are still announced");
    scenario.input(unverified("owner", "no such printer"));
    assert_eq!(scenario.replies().len(), 2);
}

#[test]
fn everything_decided_is_logged_with_who_and_why_but_for_reading() {
    let mut scenario = Scenario::printing();
    scenario.ask("owner", "status", json!({}));
    scenario.ask("owner", "disarm", json!({}));
    scenario.ask("stranger", "disarm", json!({}));
    let pause = scenario.ask("owner", "pause", json!({}));
    scenario.print_state(crate::core::types::PrintState::Paused);
    let told: Vec<_> = decisions(&scenario)
        .iter()
        .map(|d| (d.client.as_str(), d.command.as_str(), d.status, d.verified))
        .collect();
    assert_eq!(
        told,
        [
            ("owner", "disarm", ReplyStatus::Ok, true),
            ("stranger", "disarm", ReplyStatus::Refused, true),
            ("owner", "pause", ReplyStatus::Ok, true),
        ]
    );
    let paused = decisions(&scenario)[2].clone();
    assert_eq!((paused.request, paused.printer.as_str()), (Some(pause), "voron"));
    assert_eq!(paused.at, scenario.now.unix_ms as f64 / 1e3);
}
