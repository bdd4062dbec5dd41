//! Files, as a camera and as a sequence of frames.

use std::path::Path;

use super::*;
use crate::support::camera::{scene, video};
use crate::support::camera_decoders::{self as breaking, Breaks};
use strandwatch::camera::files;

#[tokio::test]
async fn a_folder_shows_its_pictures_by_name_one_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("b.png", 200), ("a.jpg", 100), ("notes.txt", 0)] {
        let path = folder.path().join(name);
        if level == 0 {
            std::fs::write(path, "no picture").unwrap();
        } else {
            image::RgbImage::from_pixel(64, 48, image::Rgb([level; 3])).save(path).unwrap();
        }
    }
    let camera = open(folder.path().to_str().unwrap());
    camera.set_wanted(true);
    seeing(&camera).await;
    let level = frame(&camera).await.rgb[0];
    assert!(level.abs_diff(100) < 4 || level == 200);
    let deadline = Instant::now() + SOON;
    while frame(&camera).await.rgb[0].abs_diff(level) < 50 {
        assert!(Instant::now() < deadline, "the other picture is never shown");
    }
}

#[tokio::test]
async fn an_empty_folder_and_a_file_that_is_no_video_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let camera = open(folder.path().to_str().unwrap());
    camera.set_wanted(true);
    let why = blind(&camera, SourceFault::Unreachable).await;
    assert!(why.contains("no pictures"), "{why}");

    for (name, content) in
        [("a.mp4", "x".repeat(5000)), ("b.mp4", String::new()), ("c.jpg", "x".into())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let camera = open(path.to_str().unwrap());
        camera.set_wanted(true);
        let why = blind(&camera, SourceFault::Undecodable).await;
        assert!(why.contains(name), "{why}");
    }
}

fn numbers_and_times(path: &Path, every: Option<Duration>) -> Vec<(u64, u64)> {
    let frames = files::frames(path, every).unwrap().map(Result::unwrap);
    frames.map(|frame| (frame.sequence, frame.taken_at.mono_ms)).collect()
}

#[test]
fn every_frame_of_a_video_is_given_once_and_in_the_order_of_showing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.mp4");
    // With B-frames, whose order in the file is another.
    video(&path, "x264enc bframes=2 b-adapt=false key-int-max=10", "mp4mux", 25);
    let expected: Vec<_> = (1..=25).map(|number| (number, (number - 1) * 100)).collect();
    assert_eq!(numbers_and_times(&path, None), expected);
    let each_second = numbers_and_times(&path, Some(Duration::from_secs(1)));
    assert_eq!(each_second, [(1, 0), (11, 1000), (21, 2000)]);
}

#[test]
fn a_decoder_that_fails_in_mid_file_loses_no_frame() {
    breaking::register("video/x-h264", Breaks::AtFrame(6));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.mp4");
    video(&path, "x264enc tune=zerolatency", "mp4mux", 25);
    let expected: Vec<_> = (1..=25).map(|number| (number, (number - 1) * 100)).collect();
    assert_eq!(numbers_and_times(&path, None), expected);
    assert_eq!(breaking::frames(), 6);
}

#[test]
fn a_motion_jpeg_video_is_sampled_before_its_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.avi");
    video(&path, "jpegenc", "avimux", 25);
    let each_second = numbers_and_times(&path, Some(Duration::from_secs(1)));
    assert_eq!(each_second, [(1, 0), (11, 1000), (21, 2000)]);
}

#[test]
fn an_iteration_may_be_left_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.avi");
    video(&path, "jpegenc", "avimux", 25);
    let first = files::frames(&path, None).unwrap().next().unwrap().unwrap();
    assert_eq!((first.width, first.height, first.sequence), (320, 240, 1));
}

#[test]
fn a_folder_is_given_by_name_and_a_broken_picture_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, n) in [("2.png", 2), ("1.jpg", 1), ("3.jpeg", 3)] {
        scene(64, 48, n).save(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("1b.jpg"), "no picture").unwrap();
    let read: Vec<_> = files::frames(folder.path(), None)
        .unwrap()
        .map(|frame| frame.map(|frame| frame.sequence).map_err(|error| error.to_string()))
        .collect();
    let [Ok(1), Err(broken), Ok(3), Ok(4)] = read.as_slice() else { panic!("{read:?}") };
    assert!(broken.contains("1b.jpg"), "{broken}");
}

#[test]
fn what_is_no_video_is_an_error_and_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("a.mp4", "x".repeat(5000)), ("b.mp4", String::new())] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut frames = files::frames(&path, None).unwrap();
        let error = frames.next().unwrap().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(frames.next().is_none());
    }
    assert!(files::frames(&folder.path().join("nothing.mp4"), None).is_err());
}

#[tokio::test]
async fn a_video_of_one_frame_is_repeated_without_haste() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("still.avi");
    video(&path, "jpegenc", "avimux", 1);
    let camera = open(path.to_str().unwrap());
    camera.set_wanted(true);
    seeing(&camera).await;
    let began = Instant::now();
    let first = camera.counters().received;
    while camera.counters().received < first + 3 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
}
