//! What is wrong with a model, its manifest or the library is said so that people can mend it.

use std::path::Path;

use strandwatch::vision::{Detector, Manifest, ModelOptions, OnnxScorer, VisionError};
use tempfile::TempDir;

use crate::support::models::{self, BOXES, REDDISH};

/// A models folder with a manifest changed by replacing `from` with `to`.
fn changed(name: &str, manifest: &str, from: &str, to: &str) -> TempDir {
    assert!(manifest.contains(from), "{from:?} is not in the manifest");
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), name, &manifest.replace(from, to));
    folder
}

fn load(folder: &Path) -> Result<Detector, VisionError> {
    let manifest = Manifest::find(Some(folder))?;
    Detector::load(manifest.model(None)?, Some(&models::onnxruntime()), 1)
}

#[track_caller]
fn assert_refused(folder: &TempDir, needles: &[&str]) {
    let Err(error) = load(folder.path()) else { panic!("it was loaded") };
    let text = error.to_string();
    for needle in needles {
        assert!(text.contains(needle), "{needle:?} is not in: {text}");
    }
}

#[test]
fn a_file_that_is_not_the_described_one_is_refused() {
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), "reddish", REDDISH);
    let path = folder.path().join("reddish.onnx");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_refused(&folder, &["reddish.onnx", "sha256", "install the models folder again"]);
}

#[test]
fn a_missing_model_file_is_named() {
    let folder = changed("reddish", REDDISH, "file = \"reddish.onnx\"", "file = \"gone.onnx\"");
    assert_refused(&folder, &["gone.onnx"]);
}

#[test]
fn inputs_and_outputs_must_be_those_of_the_manifest() {
    let folder = changed("reddish", REDDISH, "name = \"frame\"", "name = \"picture\"");
    assert_refused(&folder, &["no input \"picture\"", "\"frame\"", "[model.input]"]);
    let folder = changed("reddish", REDDISH, "width = 320", "width = 300");
    assert_refused(&folder, &["input \"frame\"", "[1, 3, 320, 300]"]);
    let folder = changed("reddish", REDDISH, "layout = \"nchw\"", "layout = \"nhwc\"");
    assert_refused(&folder, &["input \"frame\"", "[1, 320, 320, 3]"]);
    let folder = changed("reddish", REDDISH, "pad = 114", "pad = 114\ntrim_bars = 32");
    assert_refused(&folder, &["input \"frame\"", "320", "trim_bars", "left open"]);
    let half = REDDISH.replace("reddish", "reddish-half-open");
    let folder = changed("reddish-half-open", &half, "pad = 114", "pad = 114\ntrim_bars = 32");
    assert_refused(&folder, &["input \"frame\"", "320", "trim_bars", "left open"]);
    let folder = changed("reddish", REDDISH, "map = \"map\"", "map = \"heat\"");
    assert_refused(&folder, &["no output \"heat\"", "\"map\"", "\"logits\""]);
}

#[test]
fn an_output_that_is_no_probability_is_refused_before_any_frame() {
    let folder = changed("reddish", REDDISH, "map = \"map\"", "map = \"logits\"");
    assert_refused(&folder, &["reddish", "\"logits\"", "-12", "sigmoid"]);
}

#[test]
fn boxes_of_the_wrong_shape_or_class_are_refused() {
    let folder = changed("boxes", BOXES, "failure_class = 0", "failure_class = 2");
    assert_refused(&folder, &["[1, 4, 2]", "class 2"]);
    let folder = changed("boxes", BOXES, "boxes = \"boxes\"", "boxes = \"confs\"");
    assert_refused(&folder, &["[1, N, 1, 4]"]);
}

#[test]
fn a_network_that_the_runtime_does_not_know_is_refused_with_its_reason() {
    let folder = changed("from-the-future", REDDISH, "reddish.onnx", "from-the-future.onnx");
    assert_refused(&folder, &["from-the-future.onnx", "pset 999"]);
}

#[test]
fn a_missing_self_test_picture_stops_the_start() {
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), "reddish", REDDISH);
    std::fs::remove_file(folder.path().join("self-test.png")).unwrap();
    let options = ModelOptions {
        models: Some(folder.path().to_owned()),
        library: Some(models::onnxruntime()),
        ..ModelOptions::default()
    };
    let Err(error) = OnnxScorer::start(&options) else { panic!("it was started") };
    assert!(error.to_string().contains("self-test.png"), "{error}");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let folder = TempDir::new().unwrap();
    models::write_folder(folder.path(), "reddish", REDDISH);
    let manifest = Manifest::find(Some(folder.path())).unwrap();
    let error = manifest.model(Some("greenish")).unwrap_err().to_string();
    assert!(error.contains("greenish") && error.contains("reddish"), "{error}");
}

#[test]
fn a_missing_manifest_lists_where_it_was_looked_for() {
    let folder = TempDir::new().unwrap();
    let error = Manifest::find(Some(folder.path())).unwrap_err();
    assert!(matches!(error, VisionError::ManifestMissing { .. }), "{error}");
    assert!(error.to_string().contains("manifest.toml"), "{error}");
}

#[test]
fn the_shipped_models_are_found_loaded_and_see_the_known_failure() {
    // Found without being told where: the test runs from a checkout.
    let manifest = Manifest::find(None).unwrap();
    assert!(manifest.path.ends_with("models/manifest.toml"), "{}", manifest.path.display());
    for model in &manifest.models {
        let options = ModelOptions {
            name: Some(model.name.clone()),
            library: Some(models::onnxruntime()),
            ..ModelOptions::default()
        };
        let scorer = OnnxScorer::start(&options).unwrap();
        let test = runtime().block_on(scorer.self_test()).unwrap();
        assert!(test.fired(), "{}: {test:?}", model.name);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
