//! The daemon at its default settings on real pictures, several prints at once: failing ones are paused, good ones are
//! left alone. The pictures are not part of the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use strandwatch::core::types::PrintState;
use strandwatch::sim::klippy::Print;
use strandwatch::sim::stage::{BrokerRig, Daemon, PrinterRig, write_config};

use crate::support::stage::program;
use crate::support::{models, rig};

/// How long the good prints are watched: twice what a failing one takes with the default veto window.
const WATCHED: Duration = Duration::from_secs(150);

/// Prints to be: a name and pictures, failing ones by source, good webcam ones by sequence; of the split `dev`.
fn prints(data: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let labels = std::fs::read_to_string(data.join("labels.jsonl")).expect("labels.jsonl");
    let mut prints: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for line in labels.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().unwrap_or("single").to_lowercase();
        if text("split") != "dev" {
            continue;
        }
        let name = match (text("label").as_str(), text("view").as_str()) {
            ("failing", _) => format!("failing-{}", text("source")),
            ("good", "webcam") => format!("good-{}-{}", text("source"), text("sequence")),
            _ => continue,
        };
        prints.entry(name).or_default().push(data.join(row["file"].as_str().unwrap()));
    }
    prints.retain(|_, pictures| pictures.len() >= 8);
    prints.values_mut().for_each(|pictures| pictures.truncate(40));
    prints
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs labelled pictures, which are other people's: see tests/README.md; takes three minutes"]
async fn failing_prints_are_paused_and_good_ones_never() {
    let prints = prints(&models::data().expect("labelled pictures, see tests/README.md"));
    let folder = tempfile::tempdir().unwrap();
    let python = rig().join("moonraker/bin/python");
    let mut rigs = Vec::new();
    for (name, pictures) in &prints {
        let shown = folder.path().join("pictures").join(name);
        std::fs::create_dir_all(&shown).unwrap();
        for picture in pictures {
            std::fs::copy(picture, shown.join(picture.file_name().unwrap())).unwrap();
        }
        let url = "http://127.0.0.1:9/stream";
        rigs.push(PrinterRig::start(folder.path(), name, &python, url, 1.0).await.unwrap());
    }
    let broker = BrokerRig::start(&folder.path().join("broker"), &[]).await.unwrap();
    let all: Vec<&PrinterRig> = rigs.iter().collect();
    let config = write_config(folder.path(), &all, &broker, "", &[]).unwrap();
    let mut text = std::fs::read_to_string(&config).unwrap();
    for rig in &rigs {
        let url = format!("moonraker = {:?}\n", rig.moonraker.options().url());
        let shown = folder.path().join("pictures").join(&rig.name);
        let camera = format!("{url}[[printer.camera]]\nname = \"folder\"\npath = {shown:?}\n");
        text = text.replace(&url, &camera);
    }
    std::fs::write(&config, text).unwrap();
    let log = folder.path().join("strandwatch.log");
    let daemon = Daemon::start(&program(), &config, &log).unwrap();
    let start = Instant::now();
    for rig in &rigs {
        let duration = Duration::from_secs(3_600);
        rig.klippy
            .start_print(Print { duration, ..Print::new(format!("{}.gcode", rig.name)) })
            .unwrap();
    }
    let mut paused: BTreeMap<&str, f64> = BTreeMap::new();
    while start.elapsed() < WATCHED {
        for rig in &rigs {
            if rig.klippy.snapshot().print == PrintState::Paused {
                paused.entry(&rig.name).or_insert_with(|| start.elapsed().as_secs_f64());
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    daemon.stop(Duration::from_secs(5)).await;
    for (name, pictures) in &prints {
        let after = paused.get(name.as_str()).map(|seconds| format!("paused after {seconds:.1} s"));
        println!("{name}: {} pictures, {}", pictures.len(), after.unwrap_or("not paused".into()));
    }
    let wrong: Vec<_> = prints
        .keys()
        .filter(|name| name.starts_with("failing") != paused.contains_key(name.as_str()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{}", std::fs::read_to_string(&log).unwrap_or_default());
}
