//! Rust computes what Python computed when the detector was trained: `models/golden/vectors.json`.

use base64::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use strandwatch::core::detect::statistic::{Lens, frame_score};
use strandwatch::core::types::ScoreRule;
use strandwatch::ports::Frame;
use strandwatch::vision::manifest::Input;
use strandwatch::vision::postprocess::{boxes_of_map, failure_map};
use strandwatch::vision::preprocess::{Placement, Preprocessor};
use strandwatch::vision::{Detector, Manifest, Model, picture};

use crate::support::models;

fn vectors() -> Value {
    let path = models::shipped().join("golden/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn model(file: &str) -> Model {
    let manifest = Manifest::find(Some(&models::shipped())).unwrap();
    let named = |model: &&Model| model.file.ends_with(file);
    manifest.models.iter().find(named).unwrap().clone()
}

fn input() -> Input {
    Manifest::find(Some(&models::shipped())).unwrap().models[0].input.clone()
}

fn list(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn size(vector: &Value) -> (u32, u32) {
    let size = list(&vector["frame"]);
    (size[0] as u32, size[1] as u32)
}

fn assert_placed(placement: &Placement, vector: &Value) {
    let Placement { left, top, width, height, .. } = *placement;
    let expected = list(&vector["placement"]);
    assert_eq!(vec![left as f32, top as f32, width as f32, height as f32], expected);
}

/// The picture that the vectors' formula describes.
fn generated((width, height): (u32, u32)) -> Frame {
    let pixel = |x: u32, y: u32| {
        let red = (7 * x + 3 * y) / 4 % 256;
        let green = (x * x / 64 + 5 * y) % 256;
        let blue = (x / 16 + y / 16) % 2 * 160 + (x + 2 * y) / 8 % 64;
        [red as u8, green as u8, blue as u8]
    };
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    models::frame(width, height, rgb)
}

#[test]
fn maps_give_the_scores_and_boxes_that_python_gave() {
    let vectors = vectors();
    let k = vectors["score"]["k"].as_u64().unwrap() as u16;
    let threshold = vectors["score"]["box_threshold"].as_f64().unwrap() as f32;
    let maps = vectors["maps"].as_array().unwrap();
    assert!(maps.len() >= 6);
    for vector in maps {
        let (width, height) = size(vector);
        let placement = Placement::of(width, height, &input());
        assert_placed(&placement, vector);
        let [columns, rows] = <[u32; 2]>::from(placement.input).map(|px| (px / 16) as u16);
        let map = failure_map(&list(&vector["map"]), columns, rows, &placement);
        let boxes = boxes_of_map(&map, threshold, &placement);
        let score = frame_score(ScoreRule::TopKMean { k }, &map, &boxes, &Lens::clear());
        let expected = vector["score"].as_f64().unwrap() as f32;
        assert!((score - expected).abs() < 1e-5, "{width}x{height}: {score}, Python {expected}");
        let expected: Vec<Vec<f32>> =
            vector["boxes"].as_array().unwrap().iter().map(list).collect();
        assert_eq!(boxes.len(), expected.len(), "{width}x{height}");
        for (found, expected) in boxes.iter().zip(expected) {
            let found = [found.x0, found.y0, found.x1, found.y1, found.p];
            let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close, "{width}x{height}: {found:?}, Python {expected:?}");
        }
    }
}

#[test]
fn generated_pictures_become_the_tensors_that_python_made() {
    let vectors = vectors();
    let input = input();
    for vector in vectors["generated"]["pictures"].as_array().unwrap() {
        let mut preprocessor = Preprocessor::new(&input);
        let placement = preprocessor.fill(&generated(size(vector))).unwrap();
        assert_placed(&placement, vector);
        let (width, height) = (placement.input.0 as usize, placement.input.1 as usize);
        for value in vector["values"].as_array().unwrap() {
            let value = list(value);
            let (colour, y, x) = (value[0] as usize, value[1] as usize, value[2] as usize);
            let found = preprocessor.tensor()[(colour * height + y) * width + x];
            let difference = (found - value[3]).abs();
            assert!(difference < 1e-5, "{:?} at {colour},{y},{x}: {found}", vector["frame"]);
        }
    }
}

#[test]
fn generated_pictures_score_as_in_python() {
    let vectors = vectors();
    let generated_ = &vectors["generated"];
    let tolerance = generated_["tolerance"].as_f64().unwrap() as f32;
    let model = model(generated_["model"].as_str().unwrap());
    let mut detector = Detector::load(&model, Some(&models::onnxruntime()), 2).unwrap();
    for vector in generated_["pictures"].as_array().unwrap() {
        let found = detector.score(&generated(size(vector))).unwrap().score;
        let expected = vector["score"].as_f64().unwrap() as f32;
        let difference = (found - expected).abs();
        assert!(difference <= tolerance, "{:?}: {found}, Python {expected}", vector["frame"]);
    }
}

#[test]
fn jpegs_decode_to_the_very_bytes_that_python_saw() {
    let vectors = vectors();
    let jpegs = vectors["jpegs"].as_array().unwrap();
    assert_eq!(jpegs.len(), 4);
    for vector in jpegs {
        let jpeg = BASE64_STANDARD.decode(vector["jpeg"].as_str().unwrap()).unwrap();
        let frame = picture::decode(&jpeg).unwrap();
        let found: String = Sha256::digest(&frame.rgb).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, vector["rgb_sha256"].as_str().unwrap(), "{}", vector["subsampling"]);
    }
}

/// The pictures belong to others and are not here: without them this test has nothing to look at, and says so.
#[test]
fn pictures_of_the_data_score_as_in_python() {
    let Some(folder) = models::data() else {
        return eprintln!("not run: no labelled pictures, see tests/README.md");
    };
    let vectors = vectors();
    let pictures = vectors["data"].as_array().unwrap();
    assert_eq!(pictures.len(), 200);
    for file in ["strandwatch-s.int8.onnx", "strandwatch-s.onnx"] {
        let mut detector = Detector::load(&model(file), Some(&models::onnxruntime()), 2).unwrap();
        for vector in pictures {
            let name = vector["file"].as_str().unwrap();
            let frame = picture::read(&folder.join(name)).unwrap();
            let found = detector.score(&frame).unwrap().score;
            let expected = vector["scores"][file].as_f64().unwrap() as f32;
            assert!((found - expected).abs() < 0.01, "{name}, {file}: {found}, Python {expected}");
        }
    }
}

#[test]
fn the_self_test_picture_gives_the_map_that_python_saw_and_fires() {
    let vectors = vectors();
    let manifest = Manifest::find(Some(&models::shipped())).unwrap();
    let known = picture::read(&manifest.self_test).unwrap();
    for (file, expected) in vectors["self_test"].as_object().unwrap() {
        let model = model(file);
        let mut detector = Detector::load(&model, Some(&models::onnxruntime()), 2).unwrap();
        let found = detector.score(&known).unwrap();
        let score = expected["score"].as_f64().unwrap() as f32;
        assert!((found.score - score).abs() < 0.01, "{file}: {}, Python {score}", found.score);
        assert!(found.score >= model.alert_point, "{file} does not fire: {}", found.score);
        let far = found.map.cells.iter().zip(list(&expected["map"])).map(|(a, b)| (a - b).abs());
        let mean = far.sum::<f32>() / found.map.cells.len() as f32;
        assert!(mean < 0.01, "{file}: the map differs by {mean}");
    }
}
