//! The other ways to a picture, each against a real server.

use super::*;
use crate::support::camera::{rtsp_server, video};

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
