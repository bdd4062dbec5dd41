//! Whether the light has changed: on rendered prints, and on webcams of real bed slingers where the data is there.

use std::collections::BTreeMap;

use serde_json::Value;
use strandwatch::core::detect::light::Lights;
use strandwatch::core::types::FailureMap;
use strandwatch::ports::Frame;
use strandwatch::sim::scene::{SceneState, render};
use strandwatch::vision::picture;
use strandwatch::vision::view::brightness;

use crate::support::models;

/// Whether `now` is taken for another light than `before`.
fn changes(before: &Frame, now: &Frame) -> bool {
    let content = [0.0, 0.0, 1.0, 1.0];
    let map = FailureMap { columns: 1, rows: 1, content, cells: vec![0.0] };
    let mut lights = Lights::default();
    let mut follow = |at_ms: u64, frame: &Frame| {
        lights.follow(at_ms, &map, Some(&brightness(frame).unwrap()), "model")
    };
    follow(0, before);
    follow(1_000, now)
}

/// The same with a lamp that gives six tenths.
fn dimmed(frame: &Frame) -> Frame {
    let rgb = frame.rgb.iter().map(|level| (u16::from(*level) * 6 / 10) as u8).collect();
    Frame { rgb, ..frame.clone() }
}

#[test]
fn a_rendered_print_from_beginning_to_end_is_in_one_light_and_a_lamp_makes_another() {
    for seed in 1..=3 {
        let moment = |n: u64, light: f32| {
            let state = SceneState {
                seed,
                progress: n as f32 / 30.0,
                nozzle: [20.0 + (n * 67 % 180) as f32, 20.0 + (n * 41 % 180) as f32],
                frame: n,
                failure: n as f32 / 30.0,
                size: (320, 240),
                light,
                ..SceneState::default()
            };
            models::frame(320, 240, render(&state).into_raw())
        };
        let first = moment(0, 1.0);
        for n in (2..30).step_by(3) {
            assert!(!changes(&first, &moment(n, 1.0)), "seed {seed}, frame {n}");
            assert!(changes(&first, &moment(n, 0.6)), "seed {seed}, frame {n}, dimmed");
        }
    }
}

/// The pictures belong to others and are not here: without them this test has nothing to look at, and says so.
#[test]
fn beds_and_heads_that_move_before_a_webcam_are_no_other_light_and_a_lamp_is() {
    let Some(folder) = models::data() else {
        return eprintln!("not run: no labelled pictures, see tests/README.md");
    };
    let labels = std::fs::read_to_string(folder.join("labels.jsonl")).unwrap();
    let mut sequences = BTreeMap::<String, Vec<Frame>>::new();
    for line in labels.lines() {
        let label: Value = serde_json::from_str(line).unwrap();
        if let (Some(sequence), "webcam") =
            (label["sequence"].as_str(), label["view"].as_str().unwrap())
        {
            let frame = picture::read(&folder.join(label["file"].as_str().unwrap())).unwrap();
            sequences.entry(sequence.to_owned()).or_default().push(frame);
        }
    }
    assert!(sequences.len() >= 20, "{}", sequences.len());
    for (name, frames) in sequences {
        for pair in frames.windows(2) {
            assert!(!changes(&pair[0], &pair[1]), "{name}");
            assert!(changes(&pair[0], &dimmed(&pair[1])), "{name}, dimmed");
        }
    }
}
