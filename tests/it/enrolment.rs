//! Enrolment by a one-time code, at the broker of our own: a newcomer over TLS, the owner at the command line.

use std::time::Duration;

use serde_json::Value;
use strandwatch::core::event::{EnrolmentStep, Event, EventKind};
use strandwatch::mqtt::client::Received;
use strandwatch::mqtt::enrolment::{Code, Message};
use strandwatch::mqtt::fault::Fault;
use strandwatch::sim::newcomer::NewcomerError;
use tokio::sync::broadcast::Receiver;

use crate::support::mqtt::{LONG, soon};
use crate::support::newcomer::{arrives, as_printed, code};
use crate::support::own::{Own, base, files_with};
use crate::support::stage::{Printer, ask, fresh};
use crate::support::wait_for;

/// What an event says of an invitation: the step, the newcomer's name, the reason.
type Step = (EnrolmentStep, Option<String>, Option<String>);

async fn next_step(messages: &mut Receiver<Received>) -> Step {
    loop {
        let seen = messages.recv().await.unwrap();
        if let Ok(event) = serde_json::from_slice::<Event>(&seen.payload)
            && let EventKind::Enrolment { step, client, why, .. } = event.kind
        {
            return (step, client, why);
        }
    }
}

/// The next event of an invitation, which comes soon.
async fn step(messages: &mut Receiver<Received>) -> Step {
    soon("an event of an invitation", next_step(messages)).await
}

/// A daemon, its owner's client, and the events that it sees.
async fn set() -> (Own, strandwatch::sim::stage::Daemon, Receiver<Received>, impl Sized) {
    let own = Own::new("");
    let owner = own.client("add owner --rights owner");
    let daemon = own.daemon();
    let first = own.connect(&owner).await;
    let filters = base().printer_filters(None);
    let (requester, events) = own.try_connect(&owner, &filters).await.unwrap();
    (own, daemon, events, (first, requester))
}

fn refused(result: Result<impl Sized, NewcomerError>, why: &str) {
    match result {
        Err(NewcomerError::Refused(reason)) => assert!(reason.contains(why), "{reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused: {why}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_with_the_code_is_compared_confirmed_and_given_a_credential() {
    let (own, daemon, mut events, _held) = set().await;
    let invitation = own.client("invite --rights household --minutes 10");
    assert_eq!(step(&mut events).await.0, EnrolmentStep::Invited);
    let code = code(&invitation);
    let mut newcomer = arrives(&own, &invitation, &code).await.unwrap();
    let number = newcomer.present("tablet").await.unwrap();
    assert_eq!(
        step(&mut events).await,
        (EnrolmentStep::Presented, Some("tablet".to_owned()), None)
    );
    let waiting = own.client("confirm");
    assert_eq!(waiting["waiting"][0]["number"], number.as_str());
    assert_eq!(waiting["waiting"][0]["client"], "tablet");

    // A slip of the owner's costs nothing.
    let slip = if number == "0000" { "0001" } else { "0000" };
    let (exit, told) = own.strandwatch(&format!("client confirm {slip}"));
    assert_eq!(exit, Some(1), "{told}");
    assert!(told.contains("nobody waits with the number"), "{told}");

    let told = own.client(&format!("confirm {number}"));
    assert_eq!(told["client"], "tablet");
    let credential = newcomer.welcome().await.unwrap();
    assert_eq!(credential.rights, ["view", "vote", "pause"]);
    assert_eq!(step(&mut events).await, (EnrolmentStep::Admitted, Some("tablet".to_owned()), None));
    let (tablet, _) = own.connect(&as_printed(&own, &credential)).await;
    assert_eq!(ask(&tablet, "printer", "status", &fresh("1")).await["status"], "ok");
    let refused = ask(&tablet, "printer", "cancel", &fresh("2")).await;
    assert!(refused["reason"].as_str().unwrap().contains("lacks the right"), "{refused}");

    // The invitation is gone: the same code lets nobody in again.
    soon("the invitation's account is gone", async {
        while !matches!(
            arrives(&own, &invitation, &code).await,
            Err(NewcomerError::Fault(Fault::Login { .. }))
        ) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(daemon.stop(Duration::from_secs(5)).await.is_some_and(|status| status.success()));
    let shown = invitation["code"].as_str().unwrap();
    for secret in [credential.secret.as_str(), shown] {
        assert_eq!(files_with(own.folder.path(), secret), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_burns_the_invitation() {
    let (own, _daemon, mut events, _held) = set().await;
    let invite = |own: &Own| {
        let invitation = own.client("invite --rights observer");
        (code(&invitation), invitation)
    };
    let burned = async |events: &mut Receiver<Received>, because: &str| {
        loop {
            if let (EnrolmentStep::Burned, _, Some(why)) = step(events).await {
                assert!(why.contains(because), "{why}");
                return;
            }
        }
    };

    // Half a code: enough for the account, and wrong.
    let (right, invitation) = invite(&own);
    let last = if right.to_string().ends_with('0') { '1' } else { '0' };
    let mut wrong = right.to_string();
    wrong.pop();
    wrong.push(last);
    let wrong = Code::parse(&wrong).unwrap();
    let mut newcomer = arrives(&own, &invitation, &wrong).await.unwrap();
    refused(newcomer.present("tablet").await, "wrong code");
    burned(&mut events, "wrong code").await;
    soon("the right code is of no use any more", async {
        while arrives(&own, &invitation, &right).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;

    // A name that somebody has.
    let (right, invitation) = invite(&own);
    let mut newcomer = arrives(&own, &invitation, &right).await.unwrap();
    refused(newcomer.present("owner").await, "there is a client owner already");
    burned(&mut events, "already").await;

    // A second newcomer with the same code.
    let (right, invitation) = invite(&own);
    let mut first = arrives(&own, &invitation, &right).await.unwrap();
    let number = first.present("tablet").await.unwrap();
    let mut second = arrives(&own, &invitation, &right).await.unwrap();
    refused(second.present("other").await, "second newcomer");
    refused(first.welcome().await, "second newcomer");
    burned(&mut events, "second newcomer").await;
    let (exit, told) = own.strandwatch(&format!("client confirm {number}"));
    assert_eq!(exit, Some(1), "{told}");

    // The owner says no.
    let (right, invitation) = invite(&own);
    let mut newcomer = arrives(&own, &invitation, &right).await.unwrap();
    let number = newcomer.present("tablet").await.unwrap();
    own.client(&format!("refuse {number}"));
    refused(newcomer.welcome().await, "the owner refused");
    burned(&mut events, "the owner refused").await;

    // Out of turn.
    let (right, invitation) = invite(&own);
    let mut newcomer = arrives(&own, &invitation, &right).await.unwrap();
    newcomer.say(&Message::Done).await.unwrap();
    refused(newcomer.hear().await, "out of turn");
    burned(&mut events, "out of turn").await;

    // At most three at a time; each can be withdrawn by its label.
    let open: Vec<Value> = (0..3).map(|_| own.client("invite --rights observer")).collect();
    let (exit, told) = own.strandwatch("client invite --rights observer");
    assert_eq!(exit, Some(1), "{told}");
    assert!(told.contains("3 invitations are open already"), "{told}");
    own.client(&format!("refuse {}", open[0]["invitation"].as_str().unwrap()));
    own.client("invite --rights observer");
    assert!(own.client("list")["clients"].as_array().unwrap().len() == 1, "nobody came in");
}

/// Takes a minute, which is the shortest invitation there is.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_nobody_confirms_burns_at_its_deadline() {
    let (own, _daemon, mut events, _held) = set().await;
    let invitation = own.client("invite --rights observer --minutes 1");
    let code = code(&invitation);
    let mut newcomer = arrives(&own, &invitation, &code).await.unwrap();
    newcomer.present("tablet").await.unwrap();
    assert_eq!(step(&mut events).await.0, EnrolmentStep::Invited);
    assert_eq!(step(&mut events).await.0, EnrolmentStep::Presented);
    let burned = tokio::time::timeout(Duration::from_secs(90), next_step(&mut events));
    let (step, client, why) = burned.await.expect("it burns within its minute, or soon after");
    assert_eq!((step, client.as_deref()), (EnrolmentStep::Burned, Some("tablet")), "{why:?}");
    refused(newcomer.welcome().await, "time");
    soon("its account is gone", async {
        while arrives(&own, &invitation, &code).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_needs_our_own_broker_and_a_running_daemon() {
    let own = Own::new("");
    let (exit, told) = own.strandwatch("client invite --rights observer");
    assert_eq!(exit, Some(3), "{told}");
    assert!(told.contains("strandwatch must be running for this"), "{told}");
    let text = std::fs::read_to_string(&own.config).unwrap();
    let foreign: String = text
        .lines()
        .filter(|line| !line.contains("port") && !line.contains("public_host"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&own.config, format!("{foreign}host = \"127.0.0.1\"\n")).unwrap();
    let (exit, told) = own.strandwatch("client invite --rights observer");
    assert_eq!(exit, Some(2), "{told}");
    assert!(told.contains("invitations need Strandwatch's own broker"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printers_own_screens_show_the_code_and_its_dialog_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let printer = Printer::start(&folder, "voron", 7).await;
    let own = Own::new(&format!(
        "[[printer]]\nname = \"voron\"\nmoonraker = {:?}\n",
        printer.rig.moonraker.options().url()
    ));
    let owner = own.client("add owner --rights owner");
    let _daemon = own.daemon();
    let _owner = own.connect(&owner).await;
    let klippy = &printer.rig.klippy;
    wait_for("the macros know", LONG, || {
        klippy.gcode_log().iter().any(|line| line.contains("VARIABLE=here VALUE=1")).then_some(())
    });
    let shows = |text: String| {
        wait_for(&text, LONG, || klippy.console().iter().find(|line| line.contains(&text)).cloned())
    };
    let invitation = own.client("invite --rights pause --printer voron");
    shows(format!("prompt_text Code: {}", invitation["code"].as_str().unwrap()));
    let mut newcomer = arrives(&own, &invitation, &code(&invitation)).await.unwrap();
    let number = newcomer.present("tablet").await.unwrap();
    let button = shows(format!("Yes, {number}: let it in|"));
    let pressed = button.split('|').nth(1).unwrap().to_owned();
    klippy.type_gcode(&pressed).unwrap();
    let credential = newcomer.welcome().await.unwrap();
    assert_eq!(
        (credential.rights, credential.printers),
        (vec!["pause".to_owned()], Some(vec!["voron".to_owned()]))
    );
}
