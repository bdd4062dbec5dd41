//! Nothing happens but by a verified principal that holds the right for that printer, job and moment: random clients,
//! grants, printers and requests against an oracle that knows nothing of the core.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::scenario::{Scenario, name, printer_setup};
use crate::core::authz::{Grant, Grants, Right};
use crate::core::command::{COMMANDS, CommandRow};
use crate::core::contract::{Input, Output, ReplyStatus};
use crate::core::types::{KlippyState, LinkStatus, PrintState, PrinterStatus};

const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
const PRINTERS: [&str; 3] = ["left", "right", "elsewhere"];

#[derive(Debug, Clone)]
struct Asking {
    client: usize,
    printer: usize,
    row: usize,
    /// As many of the ids as are small have been used before.
    id: u8,
    age_s: i64,
    /// Without one, this one, another.
    job: u8,
    retained: bool,
    /// Whether anybody vouches for the sender.
    verified: bool,
    /// Whether the plane is open at that moment.
    open: bool,
    /// Whether the body names the client, and whom.
    says: Option<usize>,
}

fn grants() -> impl Strategy<Value = Vec<Option<Grant>>> {
    let rights = prop::sample::subsequence(Right::ALL.to_vec(), 0..=6);
    let printers = prop::option::of(prop::sample::subsequence(PRINTERS.to_vec(), 0..=3));
    let grant = (rights, printers).prop_map(|(rights, printers)| Grant {
        rights: rights.into_iter().collect(),
        printers: printers.map(|printers| printers.into_iter().map(name).collect()),
    });
    prop::collection::vec(prop::option::weighted(0.8, grant), CLIENTS.len())
}

fn asking() -> impl Strategy<Value = Asking> {
    let often = |p| prop::bool::weighted(p);
    let age = prop_oneof![8 => Just(0i64), 1 => -100..100i64];
    let says = prop::option::weighted(0.2, 0..CLIENTS.len());
    let where_to = (0..CLIENTS.len(), 0..PRINTERS.len(), 0..COMMANDS.len());
    let job = prop_oneof![3 => Just(0u8), 1 => Just(1u8), 1 => Just(2u8)];
    (where_to, any::<u8>(), age, job, often(0.05), often(0.9), often(0.9), says).prop_map(
        |((client, printer, row), id, age_s, job, retained, verified, open, says)| Asking {
            client,
            printer,
            row,
            id,
            age_s,
            job,
            retained,
            verified,
            open,
            says,
        },
    )
}

fn args(row: &CommandRow) -> serde_json::Value {
    match row.name {
        "snooze" => json!({ "minutes": 1 }),
        "exclude_object" => json!({ "object": "cube" }),
        "set" => json!({ "name": "action", "value": "nothing" }),
        _ => json!({}),
    }
}

/// Reasons that speak of authority, rather than of what the printer can do now.
const OF_AUTHORITY: [&str; 10] = [
    "not known here",
    "lacks the right",
    "has no rights on",
    "no printer",
    "retained",
    "replayed",
    "stale",
    "wrong job",
    "closed",
    "not verified",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_a_verified_principal_with_the_right_for_that_printer_job_and_moment_is_heard(
        granted in grants(), askings in prop::collection::vec(asking(), 1..30),
    ) {
        let grants: BTreeMap<_, _> = CLIENTS
            .iter()
            .zip(&granted)
            .filter_map(|(client, grant)| Some((name(client), grant.clone()?)))
            .collect();
        let mut scenario = Scenario::with(|setup| {
            setup.printers =
                ["left", "right"].map(|p| (name(p), printer_setup(&["cam"]))).into();
            setup.grants = Grants(grants);
        });
        for printer in ["left", "right"] {
            let status = PrinterStatus {
                klippy: KlippyState::Ready,
                print: PrintState::Printing,
                filename: Some("a.gcode".to_owned()),
                ..PrinterStatus::default()
            };
            let link = LinkStatus::Up(Box::new(status));
            scenario.input(Input::Printer { printer: name(printer), link });
        }
        let job = scenario.state()["job"].clone();
        // So that a request may be a little old and yet of this job.
        scenario.wait(60);
        let mut used = BTreeSet::new();
        for ask in askings {
            scenario.wait(2).forget();
            let closed = (!ask.open).then(|| "not shown".to_owned());
            scenario.input(Input::CommandPlane { closed });
            let row = &COMMANDS[ask.row];
            let (client, printer) = (CLIENTS[ask.client], PRINTERS[ask.printer]);
            let id = format!("{}", ask.id % 40);
            let mut body = args(row);
            body["id"] = json!(id);
            body["issued_at"] = json!(scenario.now.unix_ms as f64 / 1e3 - ask.age_s as f64);
            match ask.job {
                0 => {}
                1 => body["job"] = job.clone(),
                _ => body["job"] = json!("1-other.gcode"),
            }
            if let Some(said) = ask.says {
                body["client"] = json!(CLIENTS[said]);
            }
            let payload = body.to_string();
            if ask.verified {
                scenario.ask_raw(client, printer, row.name, ask.retained, payload.as_bytes());
            } else {
                scenario.input(Input::Unverified {
                    claimed: name(client),
                    printer: printer.to_owned(),
                    command: row.name.to_owned(),
                    id: Some(id.clone()),
                    why: "nobody vouches for it".to_owned(),
                });
            }
            let allowed = ask.verified
                && ask.open
                && !ask.retained
                && printer != "elsewhere"
                && granted[ask.client].as_ref().is_some_and(|grant| {
                    grant.rights.contains(&row.right)
                        && grant.printers.as_ref().is_none_or(|of| of.contains(&name(printer)))
                })
                && ask.says.is_none_or(|said| said == ask.client)
                && !used.contains(&(client, id.clone()))
                && ask.age_s.abs() <= 30
                && ask.job != 2;
            let touched = scenario.fresh().any(|output| {
                matches!(
                    output,
                    Output::Action(_)
                        | Output::Answered { .. }
                        | Output::Remember { .. }
                        | Output::Snapshot { .. }
                ) && !matches!(output, Output::Remember { .. } if announced(&scenario))
            });
            let replies = scenario.replies();
            if allowed {
                if row.name != "status" {
                    used.insert((client, id));
                }
                let reason = replies.first().and_then(|r| r.body.reason.clone()).unwrap_or_default();
                prop_assert!(!OF_AUTHORITY.iter().any(|why| reason.contains(why)), "{}", reason);
            } else {
                prop_assert!(!touched, "{ask:?} had an effect");
                prop_assert_eq!(replies.len(), 1);
                prop_assert_eq!(replies[0].body.status, ReplyStatus::Refused, "{:?}", ask);
            }
        }
    }
}

/// Whether an event was announced: its number is remembered then.
fn announced(scenario: &Scenario) -> bool {
    !scenario.events().is_empty()
}
