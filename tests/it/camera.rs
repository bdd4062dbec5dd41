//! Cameras against scripted servers that do what real ones do on their bad days.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strandwatch::camera::{self, Camera, Rotation, Setup, SourceKind, files};
use strandwatch::core::types::{Name, SourceFault, SourceHealth, SourceReport};
use strandwatch::ports::{Frame, FrameSource};
use tokio_util::sync::CancellationToken;

use crate::support::camera::breaking::{self, Breaks};
use crate::support::camera::{HostClock, HttpCamera, jpeg, jpegs, rtsp_server, scene, video};

/// Long enough for a loaded machine: nothing in here should take more than a few seconds.
const SOON: Duration = Duration::from_secs(40);

fn setup(text: &str) -> Setup {
    Setup {
        printer: Name::parse("voron").unwrap(),
        name: Name::parse("nozzle").unwrap(),
        kind: SourceKind::guess(text).unwrap(),
        rotate: Rotation::None,
        flip_horizontal: false,
        flip_vertical: false,
        stall_after: Duration::from_secs(2),
    }
}

fn open(text: &str) -> Arc<Camera> {
    open_with(setup(text))
}

fn open_with(setup: Setup) -> Arc<Camera> {
    camera::open(setup, HostClock::shared(), &CancellationToken::new()).unwrap()
}

/// Waits for a report that is as wished.
async fn reported(
    camera: &Camera,
    what: &str,
    wish: impl Fn(&SourceReport) -> bool,
) -> SourceReport {
    let mut report = camera.report();
    let report = tokio::time::timeout(SOON, report.wait_for(|report| wish(report))).await;
    match report {
        Ok(report) => report.unwrap().clone(),
        Err(_) => panic!("not within {SOON:?}: {what}; now {:?}", camera.report().borrow().clone()),
    }
}

async fn seeing(camera: &Camera) -> SourceReport {
    reported(camera, "seeing", |report| report.health == SourceHealth::Seeing).await
}

/// Waits until the camera is blind for this reason, and gives the words.
async fn blind(camera: &Camera, wished: SourceFault) -> String {
    let is_so = |report: &SourceReport| matches!(&report.health, SourceHealth::Blind { fault, .. } if *fault == wished);
    let report = reported(camera, &format!("blind, {wished:?}"), is_so).await;
    let SourceHealth::Blind { why, .. } = report.health else { unreachable!() };
    why
}

/// Captures until the camera's report is as wished.
async fn captured_until(
    camera: &Camera,
    what: &str,
    wish: impl Fn(&SourceReport) -> bool,
) -> SourceReport {
    let deadline = Instant::now() + SOON;
    loop {
        let _ = camera.capture().await;
        let report = camera.report().borrow().clone();
        if wish(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}; now {report:?}");
    }
}

async fn frame(camera: &Camera) -> Frame {
    let deadline = Instant::now() + SOON;
    loop {
        match camera.capture().await {
            Ok(frame) => return frame,
            Err(error) => assert!(Instant::now() < deadline, "no frame: {error}"),
        }
    }
}

/// The colour at a place given in fractions, as the nearest of the test scene's four.
fn colour(frame: &Frame, x: f32, y: f32) -> &'static str {
    let (x, y) = ((frame.width as f32 * x) as usize, (frame.height as f32 * y) as usize);
    let at = (y * frame.width as usize + x) * 3;
    let [r, g, b] = frame.rgb[at..at + 3] else { panic!("outside") };
    let strong = |level: u8, others: [u8; 2]| others.iter().all(|other| level / 2 > *other);
    if strong(r, [g, b]) {
        "red"
    } else if strong(g, [r, b]) {
        "green"
    } else if strong(b, [r, g]) {
        "blue"
    } else {
        "grey"
    }
}

/// Clockwise from the top left.
fn corners(frame: &Frame) -> [&'static str; 4] {
    [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)].map(|(x, y)| colour(frame, x, y))
}

fn streaming(width: u32, height: u32) -> HttpCamera {
    let pictures = jpegs(width, height, 8);
    HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        wire.parts(&pictures)
    })
}

#[tokio::test]
async fn a_good_stream_is_seen_and_its_frames_are_packed_rgb() {
    let server = streaming(322, 242);
    let camera = open(&server.url("/?action=stream"));
    camera.set_wanted(true);
    let report = seeing(&camera).await;
    assert_eq!(report.size, Some((322, 242)));
    assert_eq!(report.decoding.element.as_deref(), Some("jpegdec"));
    assert!(!report.decoding.hardware && report.decoding.gave_up.is_empty());
    let frame = frame(&camera).await;
    assert_eq!((frame.width, frame.height, frame.rgb.len()), (322, 242, 322 * 242 * 3));
    assert_eq!(corners(&frame), ["red", "green", "grey", "blue"]);
}

#[tokio::test]
async fn frames_nobody_asks_for_are_not_decoded() {
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let before = camera.counters();
    let deadline = Instant::now() + SOON;
    while camera.counters().received < before.received + 30 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(camera.counters().decoded, before.decoded);
    let first = frame(&camera).await;
    let second = frame(&camera).await;
    assert!(second.sequence > first.sequence && second.taken_at.mono_ms >= first.taken_at.mono_ms);
    assert_eq!(camera.counters().decoded, before.decoded + 2);
}

#[tokio::test]
async fn several_askers_share_one_decoded_frame() {
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let (one, two) = tokio::join!(camera.capture(), camera.capture());
    assert_eq!(one.unwrap().sequence, two.unwrap().sequence);
}

#[tokio::test]
async fn a_resting_camera_has_no_connection_and_a_capture_opens_it_for_a_moment() {
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    assert_eq!(camera.report().borrow().health, SourceHealth::Idle);
    assert!(server.requests().is_empty());
    frame(&camera).await;
    reported(&camera, "idle", |report| report.health == SourceHealth::Idle).await;
    gone(&server).await;
    assert_eq!(server.requests().len(), 1);

    camera.set_wanted(true);
    seeing(&camera).await;
    camera.set_wanted(false);
    reported(&camera, "idle", |report| report.health == SourceHealth::Idle).await;
    gone(&server).await;
}

/// Waits until no client is connected.
async fn gone(server: &HttpCamera) {
    let deadline = Instant::now() + SOON;
    while server.open_connections() > 0 {
        assert!(Instant::now() < deadline, "still connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cancelled_or_dropped_camera_lets_go_of_its_server() {
    let server = streaming(320, 240);
    let stop = CancellationToken::new();
    let camera = camera::open(setup(&server.url("/")), HostClock::shared(), &stop).unwrap();
    camera.set_wanted(true);
    seeing(&camera).await;
    stop.cancel();
    tokio::time::timeout(SOON, camera.ended()).await.unwrap();
    gone(&server).await;
    assert!(camera.capture().await.is_err());

    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    drop(camera);
    gone(&server).await;
}

#[tokio::test]
async fn opening_again_and_again_leaves_no_thread_and_no_file_behind() {
    let count = |of: &str| std::fs::read_dir(format!("/proc/self/{of}")).unwrap().count();
    let server = streaming(320, 240);
    let camera = open(&server.url("/"));
    let mut after_first = (0, 0);
    for round in 0..12 {
        camera.set_wanted(true);
        seeing(&camera).await;
        camera.set_wanted(false);
        reported(&camera, "idle", |report| report.health == SourceHealth::Idle).await;
        gone(&server).await;
        if round == 1 {
            after_first = (count("task"), count("fd"));
        }
    }
    // GStreamer keeps a few threads in a pool.
    assert!(count("task") <= after_first.0 + 4, "{} threads, {after_first:?}", count("task"));
    assert!(count("fd") <= after_first.1 + 4, "{} files, {after_first:?}", count("fd"));
}

#[tokio::test]
async fn pictures_are_rotated_and_mirrored() {
    let server = streaming(320, 240);
    let turned = |rotate, flip_horizontal, flip_vertical| {
        open_with(Setup { rotate, flip_horizontal, flip_vertical, ..setup(&server.url("/")) })
    };
    let clockwise = frame(&turned(Rotation::Clockwise90, false, false)).await;
    assert_eq!((clockwise.width, clockwise.height), (240, 320));
    assert_eq!(corners(&clockwise), ["blue", "red", "green", "grey"]);
    let mirrored = frame(&turned(Rotation::None, true, false)).await;
    assert_eq!(corners(&mirrored), ["green", "red", "blue", "grey"]);
    let both = frame(&turned(Rotation::Half, false, true)).await;
    assert_eq!(corners(&both), ["green", "red", "blue", "grey"]);
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_with_what_to_do_and_without_credentials() {
    let server = HttpCamera::start(|request, wire| {
        match request.path.as_str() {
        "/401" => wire.text("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\n\r\n"),
        "/502" => wire.status("502 Bad Gateway"),
        _ => wire.status("404 Not Found"),
    }
    });
    let closed = crate::support::free_port();
    for (url, hint) in [
        (server.url("/404?token=hidden"), "/webcam/?action=stream"),
        (server.url("/401"), "user:password@"),
        (server.url("/401").replace("http://", "http://me:hidden@"), "refuses the login"),
        (server.url("/502"), "crowsnest"),
        (format!("http://me:hidden@127.0.0.1:{closed}/"), "service"),
        ("rtsp://me:hidden@127.0.0.1:1/live".to_owned(), "RTSP"),
        (format!("http://127.0.0.1:{closed}/live.m3u8"), "service"),
        (format!("http://127.0.0.1:{closed}/snapshot"), "service"),
        ("/dev/video-of-nobody".to_owned(), "by-id"),
        ("/nowhere/at/all".to_owned(), "cannot be read"),
    ] {
        let camera = open(&url);
        camera.set_wanted(true);
        // A snapshot's address is only asked when a picture is.
        let captured = camera.capture().await;
        let why = blind(&camera, SourceFault::Unreachable).await;
        assert!(why.starts_with("camera nozzle of printer voron: "), "{why}");
        assert!(why.contains(hint), "{url}: {why}");
        assert!(!why.contains("hidden"), "{why}");
        let said = captured.unwrap_err().to_string();
        assert!(!said.contains("hidden") && said.contains("camera nozzle"), "{said}");
    }
}

#[tokio::test]
async fn a_login_in_the_address_is_used() {
    let picture = jpegs(320, 240, 3);
    let server = HttpCamera::start(move |request, wire| {
        // me:p@ss
        if request.authorization.as_deref() != Some("Basic bWU6cEBzcw==") {
            return wire.text("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        wire.stream_head()?;
        wire.parts(&picture)
    });
    let camera = open(&server.url("/").replace("http://", "http://me:p%40ss@"));
    camera.set_wanted(true);
    seeing(&camera).await;
}

#[tokio::test]
async fn a_stream_that_closes_has_vanished_and_is_seen_again_when_it_comes_back() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |request, wire| {
        wire.stream_head()?;
        if request.nth == 0 {
            return wire.some_parts(&pictures, 10);
        }
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    blind(&camera, SourceFault::Vanished).await;
    seeing(&camera).await;
    let first = frame(&camera).await;
    assert!(first.sequence > 10, "the count goes on: {}", first.sequence);
}

#[tokio::test]
async fn a_server_that_was_not_there_yet_is_found() {
    let port = crate::support::free_port();
    let camera = open(&format!("http://127.0.0.1:{port}/"));
    camera.set_wanted(true);
    blind(&camera, SourceFault::Unreachable).await;
    let pictures = jpegs(320, 240, 4);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _server = HttpCamera::start_on(listener, move |_, wire| {
        wire.stream_head()?;
        wire.parts(&pictures)
    });
    seeing(&camera).await;
}

#[tokio::test]
async fn silence_after_the_first_frames_is_a_stall_and_is_mended_by_reconnecting() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |request, wire| {
        wire.stream_head()?;
        if request.nth == 0 {
            wire.some_parts(&pictures, 10)?;
            return wire.silence();
        }
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let why = blind(&camera, SourceFault::Stalled).await;
    assert!(why.contains("no frame for 2 s"), "{why}");
    seeing(&camera).await;
}

#[tokio::test]
async fn a_slow_loris_does_not_hold_the_camera() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |request, wire| {
        if request.nth == 0 {
            wire.stream_head()?;
            wire.text("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n")?;
            loop {
                wire.bytes(&[0xFF])?;
                wire.pace()?;
            }
        } else if request.nth == 1 {
            // Not even a head.
            wire.silence()
        } else {
            wire.stream_head()?;
            wire.parts(&pictures)
        }
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    blind(&camera, SourceFault::Stalled).await;
    seeing(&camera).await;
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn parts_cut_off_on_the_way_are_passed_over() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        for picture in pictures.iter().cycle() {
            wire.part(picture)?;
            wire.part(&picture[..picture.len() / 2])?;
            wire.pace()?;
        }
        Ok(())
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    for _ in 0..20 {
        let frame = frame(&camera).await;
        assert_eq!(corners(&frame), ["red", "green", "grey", "blue"], "a whole picture");
    }
    assert_eq!(camera.report().borrow().health, SourceHealth::Seeing);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_part_shorter_than_announced_costs_a_reconnection_and_no_more() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |request, wire| {
        wire.stream_head()?;
        wire.some_parts(&pictures, 10)?;
        if request.nth == 0 {
            let length = pictures[0].len();
            wire.text(&format!(
                "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
            ))?;
            wire.bytes(&pictures[0][..length / 2])?;
            wire.text("\r\n")?;
        }
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    blind(&camera, SourceFault::Undecodable).await;
    seeing(&camera).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn only_cut_off_parts_are_undecodable() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        let halves: Vec<_> =
            pictures.iter().map(|picture| picture[..picture.len() / 2].to_vec()).collect();
        wire.parts(&halves)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let why = blind(&camera, SourceFault::Undecodable).await;
    assert!(why.contains("cut off"), "{why}");
}

#[tokio::test]
async fn a_boundary_other_than_announced_and_no_lengths_are_read_all_the_same() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        for picture in pictures.iter().cycle() {
            wire.text("--other\r\nContent-Type: image/jpeg\r\n\r\n")?;
            wire.bytes(picture)?;
            wire.text("\r\n")?;
            wire.pace()?;
        }
        Ok(())
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);
}

#[tokio::test]
async fn a_page_instead_of_a_stream_is_undecodable() {
    let server = HttpCamera::start(|_, wire| {
        wire.body("text/html", "<html>log in here</html>".repeat(400).as_bytes())
    });
    for path in ["/", "/snapshot"] {
        let camera = open(&server.url(path));
        camera.set_wanted(true);
        let _ = camera.capture().await;
        blind(&camera, SourceFault::Undecodable).await;
    }
}

#[tokio::test]
async fn a_change_of_resolution_in_mid_stream_is_followed() {
    let (small, large) = (jpegs(320, 240, 4), jpegs(640, 480, 4));
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        wire.some_parts(&small, 30)?;
        wire.parts(&large)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let first = seeing(&camera).await;
    assert_eq!(first.size, Some((320, 240)));
    captured_until(&camera, "640 × 480", |report| report.size == Some((640, 480))).await;
    let large = frame(&camera).await;
    assert_eq!((large.width, large.height, large.rgb.len()), (640, 480, 640 * 480 * 3));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_that_repeats_its_last_picture_is_frozen_until_it_moves() {
    let pictures = jpegs(160, 120, 4);
    let started = Instant::now();
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        while started.elapsed() < Duration::from_secs(23) {
            wire.part(&pictures[0])?;
            wire.pace()?;
        }
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    let is = |wished: SourceFault| move |report: &SourceReport| matches!(&report.health, SourceHealth::Blind { fault, .. } if *fault == wished);
    captured_until(&camera, "frozen", is(SourceFault::Frozen)).await;
    captured_until(&camera, "seeing", |report| report.health == SourceHealth::Seeing).await;
}

#[tokio::test]
async fn a_stream_that_goes_black_is_dark_and_blind_and_recovers() {
    let pictures = jpegs(160, 120, 4);
    let black = jpeg(&image::RgbImage::new(160, 120));
    let dim = scene(160, 120, 1);
    let dim = jpeg(&image::RgbImage::from_fn(160, 120, |x, y| {
        image::Rgb(dim.get_pixel(x, y).0.map(|level| level / 8))
    }));
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        loop {
            wire.some_parts(&pictures, 30)?;
            wire.some_parts(std::slice::from_ref(&dim), 30)?;
            wire.some_parts(std::slice::from_ref(&black), 30)?;
        }
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    captured_until(&camera, "dim", |report| {
        matches!(report.health, SourceHealth::Impaired { fault: SourceFault::Dark, .. })
    })
    .await;
    captured_until(&camera, "black", |report| {
        matches!(report.health, SourceHealth::Blind { fault: SourceFault::Dark, .. })
    })
    .await;
    captured_until(&camera, "seeing", |report| report.health == SourceHealth::Seeing).await;
}

#[tokio::test]
async fn a_snapshot_is_fetched_once_a_frame_and_not_otherwise() {
    let pictures = jpegs(320, 240, 8);
    let server = HttpCamera::start(move |request, wire| {
        wire.body("image/jpeg", &pictures[request.nth % pictures.len()])
    });
    let camera = open(&server.url("/snapshot"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let before = server.requests().len();
    let first = frame(&camera).await;
    let second = frame(&camera).await;
    assert_eq!(server.requests().len(), before + 2);
    assert_ne!(first.rgb, second.rgb);
    assert_eq!(corners(&first), ["red", "green", "grey", "blue"]);
    assert!(
        second.taken_at.mono_ms >= first.taken_at.mono_ms + 400,
        "not asked more than twice a second"
    );
}

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

#[tokio::test]
async fn rtsp_is_read_with_its_login_and_without_its_sound() {
    let (server, port) = rtsp_server();
    let refused = open(&format!("rtsp://127.0.0.1:{port}/live"));
    refused.set_wanted(true);
    let why = blind(&refused, SourceFault::Unreachable).await;
    assert!(why.contains("user and password"), "{why}");
    let nowhere = open(&format!("rtsp://me:p%40ss@127.0.0.1:{port}/nothing"));
    nowhere.set_wanted(true);
    blind(&nowhere, SourceFault::Unreachable).await;

    let mut setup = setup(&format!("rtsp://me:p%40ss@127.0.0.1:{port}/live"));
    setup.stall_after = Duration::from_secs(10);
    let camera = open_with(setup);
    camera.set_wanted(true);
    let report = seeing(&camera).await;
    assert_eq!(report.size, Some((320, 240)));
    assert_eq!(report.decoding.element.as_deref(), Some("avdec_h264"));
    let decoded = camera.counters().decoded;
    let first = frame(&camera).await;
    let second = frame(&camera).await;
    assert!(second.sequence > first.sequence);
    assert_eq!(camera.counters().decoded, decoded + 2, "copied only when asked for");

    drop(server);
    let is_blind = |report: &SourceReport| matches!(report.health, SourceHealth::Blind { .. });
    reported(&camera, "gone with its server", is_blind).await;
}

#[tokio::test]
async fn hls_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    video(
        &at("unused"),
        "x264enc tune=zerolatency key-int-max=10 ! h264parse",
        &format!(
            "hlssink2 target-duration=1 playlist-length=0 location={} playlist-location={} name=hls fakesrc num-buffers=1 ! identity",
            at("part%03d.ts").display(),
            at("live.m3u8").display()
        ),
        60,
    );
    let folder = folder.path().to_owned();
    let server = HttpCamera::start(move |request, wire| {
        match std::fs::read(folder.join(request.path.trim_start_matches('/'))) {
            Ok(file) => wire.body("application/octet-stream", &file),
            Err(_) => wire.status("404 Not Found"),
        }
    });
    let camera = open(&server.url("/live.m3u8"));
    camera.set_wanted(true);
    seeing(&camera).await;
    assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);
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

/// CPU time of this process's threads so far, but for the scripted servers', ms.
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let ours = tasks.filter(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() != "http-camera")
    });
    let on_cpu_ns = |task: std::path::PathBuf| -> Option<f64> {
        let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    ours.filter_map(on_cpu_ns).sum::<f64>() / 1e6
}

#[tokio::test]
#[ignore = "a measurement: cargo nextest run --run-ignored only what_a_frame_costs --no-capture"]
async fn what_a_frame_costs() {
    let pictures = jpegs(1280, 720, 8);
    let bytes = pictures.iter().map(Vec::len).sum::<usize>() / pictures.len();
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    let (cpu, frames) = (cpu_ms(), camera.counters().received);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let received = camera.counters().received - frames;
    let undecoded = (cpu_ms() - cpu) / received as f64;
    let (cpu, frames) = (cpu_ms(), camera.counters());
    for _ in 0..60 {
        frame(&camera).await;
    }
    let now = camera.counters();
    let reading = undecoded * (now.received - frames.received) as f64;
    let decoded = (cpu_ms() - cpu - reading) / (now.decoded - frames.decoded) as f64;
    println!(
        "1280 × 720 JPEG of {} KiB: {undecoded:.2} ms to receive, {decoded:.2} ms more to decode, convert, copy and judge",
        bytes / 1024
    );
}
