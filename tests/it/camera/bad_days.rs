//! What servers do on their bad days, and what the camera makes of it.

use super::*;
use crate::support::camera::{jpeg, scene};

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
async fn pictures_padded_with_zeros_are_whole() {
    let padded: Vec<Vec<u8>> =
        jpegs(320, 240, 4).into_iter().map(|jpeg| [jpeg, vec![0; 500]].concat()).collect();
    let server = HttpCamera::start(move |_, wire| {
        wire.stream_head()?;
        wire.parts(&padded)
    });
    let camera = open(&server.url("/"));
    camera.set_wanted(true);
    seeing(&camera).await;
    for _ in 0..5 {
        assert_eq!(corners(&frame(&camera).await), ["red", "green", "grey", "blue"]);
    }
    assert_eq!(server.requests().len(), 1);
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
async fn a_camera_that_cannot_be_reached_rests_when_it_is_told_to() {
    let camera = open(&format!("http://127.0.0.1:{}/", crate::support::free_port()));
    camera.set_wanted(true);
    blind(&camera, SourceFault::Unreachable).await;
    camera.set_wanted(false);
    reported(&camera, "idle", |report| report.health == SourceHealth::Idle).await;
}
