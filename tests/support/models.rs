//! Model folders made of the tiny networks of `tests/fixtures/onnx`, and pictures to try them on.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use strandwatch::core::types::Now;
use strandwatch::ports::Frame;

/// The real ONNX Runtime.
pub fn onnxruntime() -> PathBuf {
    super::rig().join("onnxruntime/libonnxruntime.so")
}

/// A network of `tests/fixtures/onnx`.
pub fn network(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    folder.join(format!("{name}.onnx"))
}

/// The models folder of the repository.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The labelled pictures, which are not in the repository: `../shared/data` unless `STRANDWATCH_TEST_PICTURES` names
/// another folder. `None` where there are none.
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("STRANDWATCH_TEST_PICTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    folder.join("labels.jsonl").is_file().then_some(folder)
}

/// A manifest with one model of kind `failure_map` that fires where the picture is red.
pub const REDDISH: &str = r#"
schema = 1
default = "reddish"
self_test = "self-test.png"

[[model]]
name = "reddish"
file = "reddish.onnx"
sha256 = "HASH"
kind = "failure_map"
licence = "MIT OR Apache-2.0"
provenance = "tests/fixtures/onnx/make.py"
[model.input]
name = "frame"
width = 320
height = 320
layout = "nchw"
colour = "rgb"
resize = "letterbox"
pad = 114
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[model.output]
map = "map"
[model.score]
rule = "top_k_mean"
k = 3
box_threshold = 0.5
alert_point = 0.6
[model.calibration]
score = [0.0, 0.5, 1.0]
log_likelihood_ratio = [-4.0, 0.0, 4.0]
probability = [0.0, 0.5, 1.0]
[model.metrics]
"#;

/// A manifest with one model of kind `yolo_boxes`, as a user would write it for Obico's exported detector.
pub const BOXES: &str = r#"
schema = 1
default = "boxes"
self_test = "self-test.png"

[[model]]
name = "boxes"
file = "boxes.onnx"
sha256 = "HASH"
kind = "yolo_boxes"
licence = "MIT OR Apache-2.0"
provenance = "tests/fixtures/onnx/make.py"
[model.input]
name = "input"
width = 416
height = 416
layout = "nchw"
colour = "rgb"
resize = "stretch"
antialias = false
pad = 0
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[model.output]
boxes = "boxes"
confidences = "confs"
failure_class = 0
box_format = "xyxy"
overlap = 0.45
[model.score]
rule = "sum_of_confidences"
box_threshold = 0.2
alert_point = 0.5
[model.calibration]
score = [0.0, 1.0]
log_likelihood_ratio = [-2.0, 2.0]
"#;

/// Writes a models folder: the network `name`, `manifest` with the network's true hash for `HASH`, and a self-test
/// picture that is red.
pub fn write_folder(folder: &Path, name: &str, manifest: &str) {
    let bytes = std::fs::read(network(name)).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(folder.join(format!("{name}.onnx")), bytes).unwrap();
    std::fs::write(folder.join("manifest.toml"), manifest.replace("HASH", &hash)).unwrap();
    save(&picture(320, 240, [0.3, 0.3, 0.7, 0.7]), &folder.join("self-test.png"));
}

/// A grey picture with a red rectangle, corners as fractions.
pub fn picture(width: u32, height: u32, red: [f32; 4]) -> Frame {
    let inside = |at: u32, size: u32, from: f32, to: f32| {
        (from..to).contains(&((at as f32 + 0.5) / size as f32))
    };
    let pixel = |x: u32, y: u32| {
        let hot = inside(x, width, red[0], red[2]) && inside(y, height, red[1], red[3]);
        if hot { [255, 0, 0] } else { [90, 90, 90] }
    };
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    frame(width, height, rgb)
}

/// A frame of these bytes.
pub fn frame(width: u32, height: u32, rgb: Vec<u8>) -> Frame {
    Frame { width, height, rgb, taken_at: Now { mono_ms: 0, unix_ms: 0 }, sequence: 0 }
}

/// Writes a frame as a picture file; the extension says which kind.
pub fn save(frame: &Frame, path: &Path) {
    image::RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone())
        .unwrap()
        .save(path)
        .unwrap();
}
