//! What a camera does when all is well.

use super::*;

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
async fn a_redirection_is_followed() {
    let pictures = jpegs(320, 240, 4);
    let server = HttpCamera::start(move |request, wire| {
        if request.path == "/old" {
            return wire.text("HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        wire.stream_head()?;
        wire.parts(&pictures)
    });
    let camera = open(&server.url("/old"));
    camera.set_wanted(true);
    seeing(&camera).await;
}
