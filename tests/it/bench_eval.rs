//! `strandwatch eval` and `strandwatch bench`.

use std::fmt::Write;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::models::{self, REDDISH};

const WHOLE: [f32; 4] = [0.2, 0.2, 0.8, 0.8];

/// A labelled set: 6 failing (red, but for one that is missed), 6 good (grey, but for two red frames of one sequence),
/// one ignored, and a model that sees red.
fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    models::write_folder(&folder.path().join("models"), "reddish", REDDISH);
    let mut labels = String::new();
    let mut add = |name: &str, red: bool, label: &str, more: &str| {
        let size = if red { WHOLE } else { [0.0; 4] };
        let file = format!("images/{name}.png");
        models::save(&models::picture(160, 120, size), &folder.path().join(&file));
        writeln!(labels, r#"{{"file":"{file}","label":"{label}","boxes":null,{more}}}"#).unwrap();
    };
    for i in 0..6 {
        let more = format!(r#""split":"dev","source":"photos","view":"photo","group":{i}"#);
        add(&format!("failing{i}"), i > 0, "failing", &more);
        let sequence = if i < 3 { "tower" } else { "boat" };
        let more = format!(
            r#""split":"dev","source":"cam","view":"webcam","group":"g{i}","sequence":"{sequence}""#
        );
        add(&format!("good{i}"), i < 2, "good", &more);
    }
    add("stringing", true, "ignore", r#""split":"dev","source":"photos","view":"photo","group":9"#);
    add("other", true, "failing", r#""split":"train","source":"photos","view":"photo","group":8"#);
    std::fs::write(folder.path().join("labels.jsonl"), labels).unwrap();
    folder
}

fn strandwatch(folder: &Path, command: &str) -> Command {
    let mut run = Command::cargo_bin("strandwatch").unwrap();
    run.env("ORT_DYLIB_PATH", models::onnxruntime()).current_dir(folder);
    run.args([command, "--models", "models"]);
    run
}

fn json(command: &mut Command, code: i32) -> Value {
    let run = command.arg("--json").assert().code(code);
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

#[track_caller]
fn assert_close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((found - expected).abs() < 1e-6, "found {found}, expected {expected}");
}

#[test]
fn eval_reports_the_figures_of_a_set_counted_by_hand() {
    let folder = workplace();
    let report = json(strandwatch(folder.path(), "eval").args([".", "--split", "dev"]), 0);
    let all = &report["all"];
    assert_eq!((&all["failing"], &all["good"]), (&6.into(), &6.into()));
    assert_eq!(report["ignored"], 1);
    // Five red against four grey won, five red against two red tied, one grey against four grey tied: 20 + 5 + 2 of 36.
    assert_close(&all["auroc"]["value"], 27.0 / 36.0);
    // A threshold that no good picture exceeds is that of a red one, and no failing one exceeds it either.
    assert_close(&all["recall_at_0"]["value"], 0.0);
    assert_close(&report["at_alert_point"]["recall"], 5.0 / 6.0);
    assert_close(&report["at_alert_point"]["false_positives"], 2.0 / 6.0);
    assert_close(&report["by_view"]["webcam"]["at_alert_point"]["false_positives"], 2.0 / 6.0);
    assert_eq!(report["by_source"]["photos"]["good"], 0);
    assert_eq!(report["by_source"]["photos"]["auroc"], Value::Null);
    assert_eq!(report["good_sequences"], 2);
    let alarming = report["alarming_sequences"].as_array().unwrap();
    assert_eq!(alarming.len(), 1, "{alarming:?}");
    assert_eq!((&alarming[0]["name"], &alarming[0]["alarms"]), (&"tower".into(), &2.into()));
    // The calibration says 1 for red and 0 for grey: wrong for 1/6 of the failing and 2/6 of the good.
    let error = report["calibration"]["brier"].as_f64().unwrap();
    assert!((error - 0.25).abs() < 0.01, "{error}");
    let interval = &all["auroc"];
    assert!(interval["low"].as_f64() < interval["value"].as_f64());
    assert!(interval["high"].as_f64() > interval["value"].as_f64());
}

#[test]
fn eval_prints_tables_draws_its_plot_and_shows_the_mistakes() {
    let folder = workplace();
    let run = strandwatch(folder.path(), "eval")
        .args([".", "--plot", "plot.svg", "--mistakes", "mistakes.jpg"])
        .assert()
        .code(0);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    for needle in
        ["AUROC", "photos", "webcam", "tower: 2 of 3 frames", "the manifest's alert point"]
    {
        assert!(text.contains(needle), "{needle:?} is not in:\n{text}");
    }
    let svg = std::fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("ROC of reddish") && svg.contains("Reliability")
    );
    let sheet = image::open(folder.path().join("mistakes.jpg")).unwrap();
    assert!(sheet.width() > 1900 && sheet.height() > 1500);
}

#[test]
fn eval_takes_a_part_and_always_the_same_one() {
    let folder = workplace();
    let once = || json(strandwatch(folder.path(), "eval").args([".", "--limit", "7"]), 0);
    let report = once();
    let all = &report["all"];
    let counted = all["failing"].as_u64().unwrap() + all["good"].as_u64().unwrap();
    assert_eq!(counted + report["ignored"].as_u64().unwrap(), 7);
    assert_eq!(once()["all"], *all);
}

#[test]
fn eval_names_an_unreadable_picture_and_goes_on() {
    let folder = workplace();
    std::fs::write(folder.path().join("images/good3.png"), "not a picture").unwrap();
    let mut command = strandwatch(folder.path(), "eval");
    let report = json(command.args([".", "--split", "dev"]), 1);
    assert_eq!((&report["unreadable"], &report["all"]["good"]), (&1.into(), &5.into()));
}

#[test]
fn eval_says_what_is_wrong_with_a_set() {
    let folder = workplace();
    let complaint = |arguments: &[&str]| {
        let run = strandwatch(folder.path(), "eval").args(arguments).assert().code(2);
        String::from_utf8(run.get_output().stderr.clone()).unwrap()
    };
    assert!(complaint(&["models"]).contains("labels.jsonl"));
    assert!(complaint(&[".", "--split", "test"]).contains("\"test\""));
    let labels = folder.path().join("labels.jsonl");
    std::fs::write(
        &labels,
        "{\"file\":\"a.png\",\"label\":\"good\"}\n{\"file\":\"b.png\",\"label\":\"bad\"}\n",
    )
    .unwrap();
    let text = complaint(&["."]);
    assert!(text.contains("line 2") && text.contains("bad"), "{text}");
}

#[test]
fn bench_measures_every_stage_and_the_memory() {
    let folder = workplace();
    let report = json(strandwatch(folder.path(), "bench").args(["--frames", "5"]), 0);
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["fetch", "decode", "resize", "inference", "postprocess", "decision", "publish"]
    );
    for stage in stages {
        assert!(
            stage["wall_ms"].as_f64() >= Some(0.0) && stage["cpu_ms"].as_f64() >= Some(0.0),
            "{stage}"
        );
    }
    assert!(report["frames_per_second"].as_f64() > Some(0.0));
    assert!(report["peak_memory_mib"].as_f64() > Some(5.0));
}

#[test]
fn bench_compares_networks_with_the_first() {
    let folder = workplace();
    let boxes = models::network("boxes");
    let mut command = strandwatch(folder.path(), "bench");
    command.args(["--frames", "9", "--threads", "1", "--model", "reddish", "--model"]).arg(&boxes);
    let report = json(&mut command, 0);
    let networks = report["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 2);
    assert_close(&networks[0]["cpu_ratio"], 1.0);
    assert_eq!(networks[1]["input"], serde_json::json!([1, 3, 416, 416]));
    assert!(networks[1]["cpu_ratio"].as_f64() > Some(0.0));
    let run = strandwatch(folder.path(), "bench").args(["--model", "gone.onnx"]).assert().code(2);
    assert!(String::from_utf8_lossy(&run.get_output().stderr).contains("gone.onnx"));
}
