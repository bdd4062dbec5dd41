//! Cameras against scripted servers that do what real ones do on their bad days.

mod bad_days;
mod costs;
mod decoders;
mod from_files;
mod good_days;
mod kinds;

use std::sync::Arc;
use std::time::{Duration, Instant};

use strandwatch::camera::{self, Camera, Rotation, Setup, SourceKind};
use strandwatch::core::types::{Name, SourceFault, SourceHealth, SourceReport};
use strandwatch::ports::{Frame, FrameSource};
use tokio_util::sync::CancellationToken;

use crate::support::camera::{HostClock, HttpCamera, jpegs};

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

/// Waits until no client is connected.
async fn gone(server: &HttpCamera) {
    let deadline = Instant::now() + SOON;
    while server.open_connections() > 0 {
        assert!(Instant::now() < deadline, "still connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
