//! `strandwatch simulate`, `replay` and `tune`. The prints are few and short: that the command works, not how well rules do.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::models;

fn strandwatch(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("strandwatch").unwrap();
    command.env("ORT_DYLIB_PATH", models::onnxruntime()).args(arguments);
    command
}

fn stdout(command: &mut Command, code: i32) -> String {
    let run = command.assert().code(code);
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

fn stderr(command: &mut Command, code: i32) -> String {
    let run = command.assert().code(code);
    String::from_utf8(run.get_output().stderr.clone()).unwrap()
}

fn recorded(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn rendered_prints_are_judged_the_same_every_time() {
    let folder = TempDir::new().unwrap();
    let plot = folder.path().join("plot.svg");
    let simulate = |more: &[&str]| {
        let models = models::shipped();
        let mut command = strandwatch(&["simulate", "--coarse", "--json", "--seed", "2"]);
        command.args(["--prints", "6", "--printers", "2", "--hours", "0.5..1", "--failing", "0.5"]);
        command.arg("--models").arg(models).arg("--cache").arg(folder.path()).args(more);
        stdout(&mut command, 0)
    };
    let first = simulate(&["--alerts", "5", "--plot", plot.to_str().unwrap()]);
    // From what was scored the first time.
    assert_eq!(simulate(&["--alerts", "5"]), first);
    let report: Value = serde_json::from_str(&first).unwrap();
    let entries = report["entries"].as_array().unwrap();
    let rules: Vec<&str> = entries.iter().map(|entry| entry["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["evidence", "tsd", "tsd", "consecutive", "consecutive"]);
    let ours = &entries[0];
    assert_eq!(
        (ours["prints"].as_u64(), report["newborn"]["printers"].as_u64()),
        (Some(6), Some(2))
    );
    assert!(ours["failures"].as_u64() > Some(0), "{ours}");
    assert_eq!(ours["recall"]["value"], 1.0, "strands all over the bed are found: {ours}");
    assert_eq!(
        report["newborn"]["from_the_start"], 2,
        "also in a new printer's first frame: {report}"
    );
    // At equal false alarms the other rules have no more of them.
    let wrong = |entry: &Value| entry["false_alerts_per_100h"]["value"].as_f64().unwrap();
    let hours = ours["good_h"].as_f64().unwrap();
    assert!(wrong(&entries[2]) <= wrong(ours).max(100.0 / hours), "{report}");
    // What clutter does is told apart: its prints are lived once more without it.
    let told_apart = |entry: &Value| entry["false_alerts_by_clutter_per_100h"]["value"].is_number();
    assert!(entries.iter().all(told_apart), "{report}");
    let drawn = std::fs::read_to_string(plot).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("evidence, 5 wrong alerts"), "{drawn}");
}

#[test]
fn what_cannot_be_simulated_is_said() {
    for (arguments, expected) in [
        (vec!["--rate", "1..0.1"], "the smaller first"),
        (vec!["--alerts", "0"], "0.01 to 5000"),
        (vec!["--pictures", "/nowhere"], "/nowhere/labels.jsonl"),
        (vec!["--split", "dev"], "--pictures"),
        (vec!["--rendered", "3"], "--pictures"),
    ] {
        let mut command = strandwatch(&["simulate", "--prints", "1", "--models"]);
        let told = stderr(command.arg(models::shipped()).args(arguments), 2);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_journal_is_judged_by_both_rules_side_by_side_the_same_every_time() {
    let folder = TempDir::new().unwrap();
    let plot = folder.path().join("plot.svg");
    let journal = recorded("failure.jsonl");
    let replay = ["replay", &journal, "--json", "--plot", plot.to_str().unwrap()];
    let first = stdout(&mut strandwatch(&replay), 0);
    assert_eq!(stdout(&mut strandwatch(&replay), 0), first);
    let recordings: Value = serde_json::from_str(&first).unwrap();
    let judged = recordings[0]["judged"].as_array().unwrap();
    let count = |judged: &Value, what: &str| {
        let happenings = judged["happenings"].as_array().unwrap();
        happenings.iter().filter(|happening| happening["what"] == what).count()
    };
    assert_eq!((judged[0]["rule"].as_str(), count(&judged[0], "alert")), (Some("evidence"), 1));
    assert_eq!((judged[1]["rule"].as_str(), count(&judged[1], "alert")), (Some("tsd"), 0));
    assert!(std::fs::read_to_string(plot).unwrap().contains("evidence: failure.jsonl"));
}

#[test]
fn other_settings_change_what_a_replay_decides() {
    let journal = recorded("failure.jsonl");
    let first_alert = |settings: &[&str]| {
        let text = stdout(
            strandwatch(&["replay", &journal, "--json", "--rule", "evidence"]).args(settings),
            0,
        );
        let recordings: Value = serde_json::from_str(&text).unwrap();
        let happenings = recordings[0]["judged"][0]["happenings"].as_array().unwrap().clone();
        let alert = happenings.iter().find(|happening| happening["what"] == "alert");
        alert.map(|alert| alert["at_s"].as_f64().unwrap())
    };
    let eager = first_alert(&["--alert-false-alarms-per-100h", "1000"]).unwrap();
    let patient = first_alert(&["--alert-false-alarms-per-100h", "0.05"]).unwrap();
    assert!(eager < patient, "{eager} {patient}");
}

#[test]
fn a_folder_of_pictures_is_one_print() {
    let folder = TempDir::new().unwrap();
    let failing = models::shipped().join("self-test.png");
    for index in 0..12 {
        std::fs::copy(&failing, folder.path().join(format!("{index:02}.png"))).unwrap();
    }
    let mut command = strandwatch(&["replay", "--rule", "evidence", "--config", "/dev/null"]);
    command.arg("--models").arg(models::shipped()).arg(folder.path());
    let table = stdout(&mut command, 0);
    let line = table.lines().find(|line| line.contains(folder.path().to_str().unwrap())).unwrap();
    let columns: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(columns[3], "1", "one alert: {table}");
}

#[test]
fn a_damaged_journal_is_named_and_the_others_are_replayed() {
    let folder = TempDir::new().unwrap();
    let damaged = folder.path().join("a.jsonl");
    std::fs::write(&damaged, "not a journal\n").unwrap();
    std::fs::copy(recorded("failure.jsonl"), folder.path().join("b.jsonl")).unwrap();
    let mut command = strandwatch(&["replay", folder.path().to_str().unwrap()]);
    let run = command.assert().code(1);
    let told = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(told.contains("a.jsonl") && told.contains("not a journal"), "{told}");
    let table = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(table.contains("b.jsonl"), "{table}");
}

#[test]
fn tune_shows_what_settings_would_change_and_proposes_nothing_from_minutes() {
    let folder = recorded("");
    let table = stdout(&mut strandwatch(&["tune", &folder, "--config", "/dev/null"]), 0);
    assert!(table.contains("alert_false_alarms_per_100h"), "{table}");
    assert!(table.contains("nothing is proposed"), "{table}");
    let empty = TempDir::new().unwrap();
    let nothing = ["tune", empty.path().to_str().unwrap(), "--config", "/dev/null"];
    assert!(stderr(&mut strandwatch(&nothing), 2).contains("no recorded print yet"));
}
