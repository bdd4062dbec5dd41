//! What people see of a camera's view: `mask`, `calibrate`, `score --clutter`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use strandwatch::app::persist::keys;
use strandwatch::core::detect::clutter::Background;
use strandwatch::core::types::Name;
use strandwatch::ports::Store;
use strandwatch::store::SqliteStore;
use strandwatch::vision::{Detector, Manifest};

use crate::support::config::Home;
use crate::support::models::{self, REDDISH};

/// A printer whose camera shows a folder of one grey picture.
fn home(camera: &str) -> Home {
    let home = Home::new();
    std::fs::create_dir(home.path("pictures")).unwrap();
    models::save(&models::picture(320, 240, [0.0; 4]), &home.path("pictures/a.png"));
    let config = format!(
        "[[printer]]\nname = \"voron\"\n[[printer.camera]]\nname = \"cam\"\npath = \"pictures\"\n{camera}\n\
         [store]\npath = \"strandwatch.db\"\n"
    );
    home.write("strandwatch.toml", &config);
    home
}

fn strandwatch(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.strandwatch();
    command.current_dir(home.0.path()).args(arguments);
    command.args(["--config", "strandwatch.toml"]).env("ORT_DYLIB_PATH", models::onnxruntime());
    command
}

fn run(home: &Home, arguments: &[&str]) -> Output {
    strandwatch(home, arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The colour at a point of a picture, fractions.
fn colour(file: &Path, x: f32, y: f32) -> [u8; 3] {
    let picture = image::open(file).unwrap().into_rgb8();
    let at = |part: f32, size: u32| (part * size as f32) as u32;
    picture.get_pixel(at(x, picture.width()), at(y, picture.height())).0
}

#[test]
fn what_is_masked_out_is_dark_in_a_fresh_picture_of_the_camera() {
    let home = home("masks = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]");
    let output = run(&home, &["mask", "--preview", "mask.jpg"]);
    assert!(output.status.success(), "{}", said(&output));
    let [counts, does_not] = [0.25, 0.75].map(|x| colour(&home.path("mask.jpg"), x, 0.55)[0]);
    assert!(counts > 75 && does_not < 50, "{counts} {does_not}");
}

#[test]
fn masks_and_corners_that_make_no_sense_are_named_with_their_key() {
    let home = home(
        "masks = [[[0.0, 0.0], [1.0, 1.0]], [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]], [[0.1, 0.1], [2.0, 0.2], [0.3]]]\n\
         bed_corners = [[0.2, 0.9], [0.8, 0.4], [0.8, 0.9], [0.2, 0.4]]\nbed_mm = [0.0, 0.0, 200.0, 200.0]",
    );
    let (code, answer) = home.check(&home.path("strandwatch.toml"));
    let found = answer.to_string();
    assert_eq!(code, 1, "{found}");
    for expected in ["masks[0]", "masks[1]", "masks[2]", "bed_corners", "calibrate"] {
        assert!(found.contains(expected), "{expected} is not in {found}");
    }
}

#[test]
fn a_bed_is_marked_drawn_and_what_is_printed_can_be_written_down() {
    let home = home("");
    let output = run(&home, &["calibrate"]);
    assert!(output.status.success() && said(&output).contains("--corners"), "{}", said(&output));
    let corners = ["0.2,0.9", "0.8,0.9", "0.7,0.4", "0.3,0.4"];
    let marked = [&["calibrate", "--corners"], &corners[..], &["--bed-mm", "0,0,200,200"]].concat();
    let output = run(&home, &marked);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("  bed_")).collect();
    assert_eq!(keys.len(), 2, "{text}");
    let [red, _, blue] = colour(&home.path("calibration.jpg"), 0.5, 0.9);
    assert!(blue > red, "the bed's front edge is drawn");
    let home = self::home(&keys.join("\n"));
    let (code, answer) = home.check(&home.path("strandwatch.toml"));
    assert_eq!(code, 0, "{answer}");
    let crossed = ["calibrate", "--corners", "0.2,0.9", "0.7,0.4", "0.8,0.9", "0.3,0.4"];
    let output = run(&home, &[&crossed[..], &["--bed-mm", "0,0,200,200"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("front left, front right"), "{}", said(&output));
}

#[tokio::test]
async fn clutter_that_was_learned_is_told_of_counted_and_tinted() {
    let home = home("");
    std::fs::create_dir(home.path("models")).unwrap();
    models::write_folder(&home.path("models"), "reddish", REDDISH);
    let cable = models::picture(320, 240, [0.6, 0.2, 0.9, 0.5]);
    models::save(&cable, &home.path("cable.png"));
    let score = ["score", "--models", "models", "--clutter", "--json", "cable.png"];
    let before = run(&home, &score);
    assert!(said(&before).contains("no clutter is known"), "{}", said(&before));

    let manifest = Manifest::find(Some(&home.path("models"))).unwrap();
    let model = manifest.model(None).unwrap();
    let library = models::onnxruntime();
    let seen = Detector::load(model, Some(&library), 1).unwrap().score(&cable).unwrap();
    let mut background = Background::new(None);
    for at in 0..1_000 {
        background.learn(at * 10_000, &seen.map, &model.sha256);
    }
    let clutter = background.settle(None).unwrap();
    let store = SqliteStore::open(&home.path("strandwatch.db"), 10).unwrap();
    let [printer, camera] = ["voron", "cam"].map(|name| Name::parse(name).unwrap());
    let value = serde_json::to_value(clutter).unwrap();
    store.put(keys::clutter(&printer, &camera), value).await.unwrap();
    store.close().await;

    let after = run(&home, &[&score[..], &["--annotate", "drawn"]].concat());
    assert!(after.status.success(), "{}", said(&after));
    assert!(said(&after).contains("learned from 1 good prints"), "{}", said(&after));
    let line: Value = serde_json::from_slice(&after.stdout).unwrap();
    let [raw, counted] = ["score", "counted"].map(|key| line[key].as_f64().unwrap());
    assert!(raw > 0.6 && counted < 0.5, "{line}");
    let plain = run(&home, &["score", "--models", "models", "cable.png", "--annotate", "plain"]);
    assert!(plain.status.success(), "{}", said(&plain));
    let [tinted, plain] =
        ["drawn", "plain"].map(|folder| colour(&home.path(folder).join("cable.jpg"), 0.75, 0.3));
    assert!(tinted[2] > plain[2], "{tinted:?} {plain:?}");
}
