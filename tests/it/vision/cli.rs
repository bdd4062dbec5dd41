//! `strandwatch score`.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::models::{self, REDDISH};

/// A folder with `models/` and `pictures/`: one red, one grey, one small red in a folder below.
fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["models", "pictures", "pictures/below"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    models::write_folder(&at("models"), "reddish", REDDISH);
    let whole = [0.2, 0.2, 0.8, 0.8];
    models::save(&models::picture(320, 240, whole), &at("pictures/a-red.png"));
    models::save(&models::picture(320, 240, [0.0; 4]), &at("pictures/b-grey.jpg"));
    models::save(&models::picture(200, 300, whole), &at("pictures/below/c-red.JPEG"));
    folder
}

fn score(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("strandwatch").unwrap();
    command.env("ORT_DYLIB_PATH", models::onnxruntime()).current_dir(folder);
    command.args(["score", "--models", "models"]);
    command
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_has_one_line_a_frame_of_the_promised_shape() {
    let folder = workplace();
    let run = score(folder.path()).args(["--json", "pictures"]).assert().code(0);
    let lines = lines(&run.get_output().stdout);
    let paths: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["pictures/a-red.png", "pictures/b-grey.jpg", "pictures/below/c-red.JPEG"]);
    for (line, red) in lines.iter().zip([true, false, true]) {
        let mut keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["boxes", "frame", "infer_ms", "path", "score"]);
        assert_eq!(line["frame"], 0);
        assert_eq!(line["score"].as_f64().unwrap() > 0.6, red, "{line}");
        let boxes = line["boxes"].as_array().unwrap();
        assert_eq!(boxes.len(), usize::from(red), "{line}");
        for corners in boxes.iter().map(|b| b.as_array().unwrap()) {
            assert_eq!(corners.len(), 5);
            assert!(corners.iter().all(|v| (0.0..=1.0).contains(&v.as_f64().unwrap())), "{line}");
        }
    }
    assert!(run.get_output().stderr.is_empty());
}

#[test]
fn the_table_names_every_picture_and_marks_alarms() {
    let folder = workplace();
    let run = score(folder.path()).arg("pictures").assert().code(0);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let line = |name: &str| text.lines().find(|line| line.ends_with(name)).unwrap().to_owned();
    assert!(line("a-red.png").contains('!') && !line("b-grey.jpg").contains('!'), "{text}");
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn annotated_pictures_are_written_and_differ_from_what_was_read() {
    let folder = workplace();
    score(folder.path()).args(["pictures", "--annotate", "out/drawn"]).assert().code(0);
    let drawn = folder.path().join("out/drawn");
    let names = ["pictures_a-red.jpg", "pictures_b-grey.jpg", "pictures_below_c-red.jpg"];
    for name in names {
        let picture = image::open(drawn.join(name)).unwrap().into_rgb8();
        assert!(picture.width() >= 480, "{name}");
    }
    assert_eq!(std::fs::read_dir(&drawn).unwrap().count(), names.len());
    // The frame's part without the footer, back at the frame's size: drawn on where something was seen, else as it was.
    let furthest = |name: &str, source: &str| {
        let source = image::open(folder.path().join(source)).unwrap().into_rgb8();
        let height = 480 * source.height() / source.width();
        let picture = image::open(drawn.join(name)).unwrap().crop_imm(0, 0, 480, height);
        let size = (source.width(), source.height());
        let picture = picture.resize_exact(size.0, size.1, image::imageops::FilterType::Triangle);
        let pairs = picture.into_rgb8().into_raw().into_iter().zip(source.into_raw());
        pairs.map(|(a, b)| a.abs_diff(b)).max().unwrap()
    };
    assert!(furthest(names[0], "pictures/a-red.png") > 100);
    assert!(furthest(names[1], "pictures/b-grey.jpg") < 20);
}

#[test]
fn an_unreadable_picture_is_named_and_the_others_are_scored() {
    let folder = workplace();
    std::fs::write(folder.path().join("pictures/aa-broken.jpg"), "not a picture").unwrap();
    let run = score(folder.path()).args(["--json", "pictures"]).assert().code(1);
    assert_eq!(lines(&run.get_output().stdout).len(), 3);
    let error = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(error.contains("aa-broken.jpg"), "{error}");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let folder = workplace();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["gone.jpg"], "gone.jpg"),
        (&["empty"], "no pictures"),
        (&["pictures", "--model", "greenish"], "reddish"),
        (&["pictures", "--models", "empty"], "manifest.toml"),
    ];
    for (arguments, needle) in cases {
        let mut command = Command::cargo_bin("strandwatch").unwrap();
        command.env("ORT_DYLIB_PATH", models::onnxruntime()).current_dir(folder.path());
        if !arguments.contains(&"--models") {
            command.args(["score", "--models", "models"]);
        } else {
            command.arg("score");
        }
        let run = command.args(arguments).assert().code(2);
        let error = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(error.contains(needle), "{arguments:?}: {error}");
    }
}

/// Here and not beside the other faults of loading: a process keeps the library that it loaded first.
#[test]
fn a_missing_library_and_a_file_that_is_none_are_told_apart() {
    let folder = workplace();
    std::fs::write(folder.path().join("broken.so"), "no library").unwrap();
    for (library, needle) in [("gone.so", "ORT_DYLIB_PATH"), ("broken.so", "cannot use")] {
        let mut command = score(folder.path());
        let run = command.args(["--onnxruntime", library, "pictures"]).assert().code(2);
        let error = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(error.contains(needle) && error.contains(library), "{error}");
    }
}

#[test]
fn a_model_is_chosen_by_name_by_file_or_by_manifest() {
    let folder = workplace();
    for model in ["reddish", "models/reddish.onnx", "models/manifest.toml", "models"] {
        score(folder.path()).args(["--model", model, "pictures/a-red.png"]).assert().code(0);
    }
    // A file that no manifest describes does not say how it wants its picture.
    std::fs::copy(models::network("reddish"), folder.path().join("bare.onnx")).unwrap();
    let run = score(folder.path()).args(["--model", "bare.onnx", "pictures"]).assert().code(2);
    let error = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(error.contains("bare.onnx") && error.contains("manifest.toml"), "{error}");
}

#[test]
fn a_video_gives_a_line_for_each_of_its_frames() {
    let folder = workplace();
    let video = folder.path().join("pictures/d-print.mkv");
    crate::support::camera::video(&video, "jpegenc", "matroskamux", 5);
    let mut command = score(folder.path());
    let run = command.args(["--json", "pictures", "--annotate", "drawn"]).assert().code(0);
    let frames: Vec<u64> = lines(&run.get_output().stdout)
        .iter()
        .filter(|line| line["path"].as_str().unwrap().ends_with("d-print.mkv"))
        .map(|line| line["frame"].as_u64().unwrap())
        .collect();
    assert_eq!(frames, [0, 1, 2, 3, 4]);
    for frame in frames {
        let drawn = folder.path().join(format!("drawn/pictures_d-print-{frame:06}.jpg"));
        assert!(drawn.is_file(), "{}", drawn.display());
    }
}

#[test]
fn a_broken_video_is_named() {
    let folder = workplace();
    std::fs::write(folder.path().join("pictures/broken.mp4"), "not a video").unwrap();
    let run = score(folder.path()).args(["--json", "pictures"]).assert().code(1);
    assert_eq!(lines(&run.get_output().stdout).len(), 3);
    let error = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(error.contains("broken.mp4"), "{error}");
}
