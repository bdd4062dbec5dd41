//! What the daemon says when its camera shows nothing: never "clear", soon, and no longer than it is so.

use std::time::{Duration, Instant};

use serde_json::Value;
use strandwatch::core::event::EventKind;
use strandwatch::core::types::SourceFault;

use crate::daemon::ends_well;
use crate::support::stage::{Stage, Trouble};

/// For the record (`cargo nextest run blind:: --no-capture`): how long it took until the bus knew. Asked for are
/// twice the interval and ten seconds, here eleven seconds.
fn told_of(trouble: &str, since: Instant) {
    println!("{trouble}: told of after {:.1} s", since.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_goes_away_reads_blind_never_clear_and_comes_back_by_itself() {
    let mut stage = Stage::set(&["voron"], &[]).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    stage.printers[0].prints("part.gcode");
    watcher.state("voron", "clear while watched", |state| state["verdict"] == "clear").await;
    stage.printers[0].camera_off();
    let since = Instant::now();
    let blind = watcher.event("voron", "blind").await;
    told_of("a camera switched off", since);
    let EventKind::Blind { why, .. } = &blind else { panic!("{blind:?}") };
    assert!(why.contains("camera"), "{why}");
    let state = watcher.state("voron", "the state says so", |state| state["watch"] == "blind");
    let state = state.await;
    assert_eq!(state["verdict"], "unknown", "{state}");
    assert_eq!(state["score"], Value::Null, "{state}");
    stage.printers[0].camera_on().await;
    watcher.event("voron", "watching").await;
    watcher.state("voron", "clear again", |state| state["verdict"] == "clear").await;
    ends_well(daemon, &stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_freezes_or_goes_black_is_said_to_show_nothing_and_recovers_by_itself() {
    let stage = Stage::set(&["voron"], &[]).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let printer = &stage.printers[0];
    printer.prints("part.gcode");
    watcher.state("voron", "clear while watched", |state| state["verdict"] == "clear").await;
    for (trouble, expected) in
        [(Trouble::Frozen(None), SourceFault::Frozen), (Trouble::Dark, SourceFault::Dark)]
    {
        printer.camera_has(trouble);
        let since = Instant::now();
        let blind = watcher.event("voron", "blind").await;
        told_of(&format!("{expected:?}"), since);
        let EventKind::Blind { fault, .. } = &blind else { panic!("{blind:?}") };
        assert_eq!(*fault, Some(expected), "{blind:?}");
        let state = watcher.state("voron", "the state says so", |state| state["watch"] == "blind");
        assert_eq!(state.await["verdict"], "unknown");
        printer.camera_has(Trouble::None);
        watcher.event("voron", "watching").await;
        watcher.state("voron", "clear again", |state| state["verdict"] == "clear").await;
    }
    let named = watcher.names_of("voron");
    assert!(!named.contains(&"suspect"), "{named:?}");
    ends_well(daemon, &stage).await;
}

/// An encoder that hangs and sends its last picture again and again, noise and all: nothing in it moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_in_which_only_noise_changes_while_the_printer_extrudes_shows_nothing() {
    let stage = Stage::set(&["voron"], &[]).await;
    let mut watcher = stage.watcher().await;
    let daemon = stage.daemon(&mut watcher).await;
    let printer = &stage.printers[0];
    printer.prints("part.gcode");
    watcher.event("voron", "watching").await;
    // A minute of extruding has to pass before it is noticed.
    watcher.patience += Duration::from_secs(60);
    let blind = watcher.event("voron", "blind").await;
    let EventKind::Blind { fault, .. } = &blind else { panic!("{blind:?}") };
    assert_eq!(*fault, Some(SourceFault::Still), "{blind:?}");
    let moves_again = async {
        watcher.event("voron", "watching").await;
        watcher.state("voron", "clear again", |state| state["verdict"] == "clear").await;
    };
    tokio::select! {
        () = moves_again => {}
        () = printer.film.follow(&printer.rig.klippy) => {}
    }
    ends_well(daemon, &stage).await;
}
