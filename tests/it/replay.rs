//! Recorded journals through the decision again. Each `tests/replay/*.jsonl` has a snapshot of everything that came out:
//! a changed line there is a changed decision, to be looked at.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;
use strandwatch::app::replay::replay_journal;
use strandwatch::core::contract::Output;
use strandwatch::core::types::Now;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/replay")
}

fn journals() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    found.sort();
    found
}

/// A line an output; of a document only what changed since the last.
fn tell(outputs: &[(Now, Output)]) -> String {
    let mut text = String::new();
    let mut states: BTreeMap<String, Value> = BTreeMap::new();
    for (now, output) in outputs {
        let mut line = serde_json::to_value(output).unwrap();
        if let Output::State { printer, .. } = output {
            let document = line["document"].take();
            let before = states.insert(printer.to_string(), document.clone());
            let changed = document.as_object().unwrap().iter().filter(|(key, value)| {
                before.as_ref().is_none_or(|before| before.get(key) != Some(value))
            });
            line["document"] = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        writeln!(text, "{:>7.1} {line}", now.mono_ms as f64 / 1e3).unwrap();
    }
    text
}

#[test]
fn recorded_journals_give_the_recorded_outputs() {
    assert!(journals().len() >= 4);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in journals() {
            let replayed = replay_journal(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(name, tell(&replayed.outputs));
        }
    });
}

#[test]
fn a_replay_is_the_same_every_time() {
    for path in journals() {
        let [first, second] = [0, 1].map(|_| {
            let outputs = replay_journal(&path).unwrap().outputs;
            serde_json::to_vec(&outputs).unwrap()
        });
        assert!(first == second, "{}", path.display());
    }
}

#[test]
fn recorded_journals_stay_small() {
    for path in journals() {
        let bytes = path.metadata().unwrap().len();
        assert!(bytes < 100_000, "{}: {bytes} bytes", path.display());
    }
}
