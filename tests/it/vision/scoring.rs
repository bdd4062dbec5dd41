//! Frames through both kinds of model, alone and behind the scorer's thread.

use std::sync::Arc;

use strandwatch::core::types::ScoreRule;
use strandwatch::ports::Scorer;
use strandwatch::vision::{Detector, Manifest, ModelOptions, OnnxScorer, VisionError};
use tempfile::TempDir;

use crate::support::models::{self, BOXES, REDDISH};

fn detector(name: &str, manifest: &str) -> Detector {
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), name, manifest);
    let manifest = Manifest::find(Some(folder.path())).unwrap();
    Detector::load(manifest.model(None).unwrap(), Some(&models::onnxruntime()), 1).unwrap()
}

#[test]
fn a_red_patch_fires_where_it_is_and_nowhere_else() {
    let mut detector = detector("reddish", REDDISH);
    // 640 x 480 shrinks by 2 and lies between bars of 40 px: the patch covers cells 10..15 x 5..10 of the frame's 20 x 15.
    let frame = models::picture(640, 480, [0.5, 1.0 / 3.0, 0.75, 2.0 / 3.0]);
    let score = detector.score(&frame).unwrap();
    assert!(score.score > 0.99, "{}", score.score);
    assert_eq!(score.map.content, [0.0, 0.125, 1.0, 0.875]);
    let [found] = score.boxes.as_slice() else { panic!("{:?}", score.boxes) };
    let close = |a: f32, b: f32| (a - b).abs() < 0.06;
    let fits = close(found.x0, 0.5) && close(found.x1, 0.75);
    assert!(fits && close(found.y0, 0.33) && close(found.y1, 0.67), "{found:?}");
    assert!(score.infer_ms > 0.0);
}

#[test]
fn a_network_that_need_not_see_the_bars_finds_the_same_in_fewer_cells() {
    let open = REDDISH
        .replace("reddish", "reddish-open")
        .replace("pad = 114", "pad = 114\ntrim_bars = 32");
    let (mut whole, mut trimming) = (detector("reddish", REDDISH), detector("reddish-open", &open));
    for (width, height, cells) in
        [(640, 480, 20 * 16), (480, 640, 16 * 20), (1280, 720, 20 * 12), (99, 99, 400)]
    {
        let frame = models::picture(width, height, [0.5, 0.25, 0.75, 0.75]);
        let (with_bars, without) = (whole.score(&frame).unwrap(), trimming.score(&frame).unwrap());
        assert_eq!((with_bars.map.cells.len(), without.map.cells.len()), (400, cells));
        assert_eq!(
            (with_bars.score, with_bars.boxes),
            (without.score, without.boxes),
            "{width}x{height}"
        );
    }
}

#[test]
fn a_grey_frame_stays_cold_whatever_its_shape() {
    let mut detector = detector("reddish", REDDISH);
    for (width, height) in [(640, 480), (480, 640), (1, 1), (3, 700), (1920, 1080)] {
        let score = detector.score(&models::picture(width, height, [0.0; 4])).unwrap();
        assert!(score.score < 0.01 && score.boxes.is_empty(), "{width}x{height}: {score:?}");
    }
}

#[test]
fn bars_of_a_former_frame_do_not_shine_through() {
    let mut detector = detector("reddish", REDDISH);
    let red = models::picture(320, 320, [0.0, 0.0, 1.0, 1.0]);
    let wide = models::picture(640, 200, [0.0; 4]);
    let before = detector.score(&wide).unwrap();
    assert!(detector.score(&red).unwrap().score > 0.99);
    let after = detector.score(&wide).unwrap();
    assert_eq!(before.map, after.map);
}

#[test]
fn colour_order_is_the_manifests() {
    let red = models::picture(320, 320, [0.0, 0.0, 1.0, 1.0]);
    let blue = {
        let mut rgb = red.rgb.clone();
        rgb.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        models::frame(320, 320, rgb)
    };
    let mut bgr = detector("reddish", &REDDISH.replace("\"rgb\"", "\"bgr\""));
    assert!(bgr.score(&blue).unwrap().score > 0.99);
    assert!(bgr.score(&red).unwrap().score < 0.01);
}

#[test]
fn a_frame_that_contradicts_itself_is_refused_and_the_next_one_scored() {
    let mut detector = detector("reddish", REDDISH);
    for (width, height, bytes) in [(0, 0, 0), (0, 10, 0), (10, 10, 299), (10, 10, 0)] {
        let broken = models::frame(width, height, vec![0; bytes]);
        let Err(error) = detector.score(&broken) else { panic!("{broken:?} was scored") };
        assert!(matches!(error, VisionError::BadFrame { .. }), "{error}");
    }
    assert!(detector.score(&models::picture(64, 64, [0.0; 4])).is_ok());
}

#[test]
fn a_box_model_keeps_the_stronger_of_two_overlapping_boxes_of_its_class() {
    let mut detector = detector("boxes", BOXES);
    // All red: confidences as the network has them. Box 0 (0.6) yields to box 1 (0.8); box 3 is of the other class.
    let score = detector.score(&models::picture(400, 300, [0.0, 0.0, 1.0, 1.0])).unwrap();
    let found: Vec<[f32; 5]> = score.boxes.iter().map(|b| [b.x0, b.y0, b.x1, b.y1, b.p]).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    let expected = [[0.12, 0.12, 0.52, 0.52, 0.8], [0.6, 0.6, 0.9, 1.0, 0.3]];
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    }
    // 0.8 + 0.3, cut at 1.
    assert_eq!(score.score, 1.0);
    let cell = |column: usize, row: usize| score.map.cells[row * 20 + column];
    assert_eq!((score.map.columns, score.map.rows), (20, 20));
    assert!((cell(5, 5) - 0.8).abs() < 1e-3 && (cell(14, 19) - 0.3).abs() < 1e-3);
    assert_eq!(cell(0, 0), 0.0);
}

#[test]
fn a_box_model_is_silent_below_its_threshold() {
    let mut detector = detector("boxes", BOXES);
    // No red at all.
    let black = models::frame(64, 64, vec![0; 64 * 64 * 3]);
    let score = detector.score(&black).unwrap();
    assert!(score.boxes.is_empty() && score.score == 0.0, "{score:?}");
    assert!(score.map.cells.iter().all(|p| *p == 0.0));
    assert_eq!(detector.model().facts().score_rule, ScoreRule::SumOfConfidences);
}

fn scorer() -> OnnxScorer {
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), "reddish", REDDISH);
    let options = ModelOptions {
        models: Some(folder.path().to_owned()),
        library: Some(models::onnxruntime()),
        ..ModelOptions::default()
    };
    OnnxScorer::start(&options).unwrap()
}

#[tokio::test]
async fn the_scorer_answers_everyone_who_asks_at_once_with_their_own_score() {
    let scorer = Arc::new(scorer());
    let red = Arc::new(models::picture(320, 320, [0.0, 0.0, 1.0, 1.0]));
    let grey = Arc::new(models::picture(320, 320, [0.0; 4]));
    let asked = (0..24).map(|i| {
        let (scorer, frame) = (scorer.clone(), if i % 3 == 0 { red.clone() } else { grey.clone() });
        tokio::spawn(async move { scorer.score(frame).await.unwrap().score })
    });
    for (i, answer) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap() > 0.5, i % 3 == 0, "frame {i}");
    }
}

#[tokio::test]
async fn the_scorer_survives_a_broken_frame_and_an_asker_who_left() {
    let scorer = scorer();
    let broken = Arc::new(models::frame(10, 10, Vec::new()));
    let error = scorer.score(broken).await.unwrap_err();
    assert!(error.to_string().contains("10x10"), "{error}");
    let red = Arc::new(models::picture(320, 320, [0.0, 0.0, 1.0, 1.0]));
    for _ in 0..8 {
        let left = tokio::time::timeout(std::time::Duration::ZERO, scorer.score(red.clone()));
        let _ = left.await;
    }
    assert!(scorer.score(red).await.unwrap().score > 0.99);
}

#[tokio::test]
async fn the_self_test_tells_whether_the_known_failure_is_seen() {
    let test = scorer().self_test().await.unwrap();
    assert!(test.fired() && test.score > 0.99 && test.alert_point == 0.6, "{test:?}");
    let facts = scorer().facts();
    assert_eq!((facts.name.as_str(), facts.sha256.len()), ("reddish", 64));
    assert_eq!(facts.calibration.score, [0.0, 0.5, 1.0]);
}

#[test]
fn what_is_kept_of_each_frame_does_not_make_memory_grow() {
    let manifest = Manifest::find(Some(&models::shipped())).unwrap();
    let model = manifest.model(None).unwrap();
    let mut detector = Detector::load(model, Some(&models::onnxruntime()), 2).unwrap();
    let mut kept = Vec::new();
    let mut score = |frames: u32| {
        for _ in 0..frames {
            let (width, height) = (1_600, 1_200);
            let grey = vec![90; width * height * 3];
            let frame = models::frame(width as u32, height as u32, grey);
            kept.push(detector.score(&frame).unwrap());
        }
        resident_mib()
    };
    let before = score(20);
    let after = score(100);
    assert!(after < before + 16, "from {before} MiB to {after} MiB in 100 frames");
}

/// Memory that this process has in use.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}
