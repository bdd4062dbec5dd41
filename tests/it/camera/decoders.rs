//! Decoders that fail, and what comes after them.

use gstreamer::prelude::PluginFeatureExtManual;

use super::*;
use crate::support::camera::video;
use crate::support::camera_decoders::{self as breaking, Breaks};

async fn falls_back(how: Breaks, reason: &str) -> Arc<Camera> {
    breaking::register("image/jpeg", how);
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let is_software = |report: &SourceReport| {
        report.health == SourceHealth::Seeing
            && report.decoding.element.as_deref() == Some("jpegdec")
    };
    let report = captured_until(&camera, "decoded by software", is_software).await;
    assert!(!report.decoding.hardware);
    let [gave_up] = report.decoding.gave_up.as_slice() else { panic!("{report:?}") };
    assert!(gave_up.starts_with("brokendec: ") && gave_up.contains(reason), "{gave_up}");
    assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);

    // It is not tried again when the camera is opened anew.
    let tried = breaking::frames();
    camera.set_wanted(false);
    reported(&camera, "idle", |report| report.health == SourceHealth::Idle).await;
    camera.set_wanted(true);
    seeing(&camera).await;
    frame(&camera).await;
    assert_eq!(breaking::frames(), tried);
    camera
}

#[tokio::test]
async fn a_hardware_decoder_that_fails_at_its_first_frame_is_replaced() {
    falls_back(Breaks::AtFrame(1), "the chip is on fire").await;
    assert_eq!(breaking::frames(), 1);
}

#[tokio::test]
async fn a_hardware_decoder_that_fails_later_is_replaced() {
    falls_back(Breaks::AtFrame(4), "the chip is on fire").await;
    assert_eq!(breaking::frames(), 4);
}

#[tokio::test]
async fn a_hardware_decoder_that_gives_nothing_is_replaced() {
    falls_back(Breaks::Silent, "gave no picture").await;
}

#[tokio::test]
async fn a_hardware_decoder_that_does_not_start_is_replaced() {
    falls_back(Breaks::AtStart, "the chip is taken").await;
}

#[tokio::test]
async fn a_hardware_decoder_that_works_comes_first_and_shows_as_hardware() {
    breaking::register("image/jpeg", Breaks::AtFrame(u32::MAX));
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let report = camera.report().borrow().clone();
    assert_eq!(report.decoding.element.as_deref(), Some("brokendec"));
    assert!(report.decoding.hardware);
}

#[tokio::test]
async fn a_damaged_frame_now_and_then_costs_no_decoder() {
    let pictures = jpegs(320, 240, 4);
    let damaged: Vec<u8> = [&[0xFF, 0xD8][..], &[0x5A; 5000], &[0xFF, 0xD9]].concat();
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        for picture in pictures.iter().cycle() {
            wire.part(picture)?;
            wire.some_parts(std::slice::from_ref(&damaged), 3)?;
        }
        Ok(())
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    for _ in 0..12 {
        assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);
    }
    let report = camera.report().borrow().clone();
    assert_eq!(report.health, SourceHealth::Seeing);
    assert_eq!(report.decoding.element.as_deref(), Some("jpegdec"));
    assert!(report.decoding.gave_up.is_empty(), "{report:?}");
}

#[tokio::test]
async fn when_every_decoder_fails_it_was_the_stream() {
    let damaged: Vec<u8> = [&[0xFF, 0xD8][..], &[0x5A; 5000], &[0xFF, 0xD9]].concat();
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        wire.parts(std::slice::from_ref(&damaged))
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let why = blind(&camera, SourceFault::Undecodable).await;
    assert!(why.contains("jpegdec") && why.contains("damaged"), "{why}");
}

#[tokio::test]
async fn libav_decodes_jpeg_where_libjpeg_is_not_to_be_had() {
    gstreamer::init().unwrap();
    gstreamer::ElementFactory::find("jpegdec").unwrap().set_rank(gstreamer::Rank::NONE);
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let report = seeing(&camera).await;
    assert_eq!(report.decoding.element.as_deref(), Some("avdec_mjpeg"));
    assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);
}

#[tokio::test]
async fn an_h264_file_is_decoded_by_software_when_the_hardware_fails_and_plays_again_and_again() {
    breaking::register("video/x-h264", Breaks::AtFrame(3));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.mp4");
    video(&path, "x264enc tune=zerolatency", "mp4mux", 12);
    let camera = open(path.to_str().unwrap());
    camera.set_wanted(true);
    let report = captured_until(&camera, "decoded by software", |report| {
        report.health == SourceHealth::Seeing
            && report.decoding.element.as_deref() == Some("avdec_h264")
    })
    .await;
    assert!(report.decoding.gave_up[0].starts_with("brokendec"), "{report:?}");
    let began = Instant::now();
    let first = frame(&camera).await;
    assert_eq!(corners(&first), ["red", "green", "grey", "blue"]);
    // 12 frames take 1.2 s, then it starts again: it is neither rushed through nor over.
    let mut last = first.sequence;
    while last < first.sequence + 30 {
        last = frame(&camera).await.sequence;
        assert!(began.elapsed() < SOON);
    }
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(camera.report().borrow().health, SourceHealth::Seeing);
}
