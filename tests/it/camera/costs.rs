//! What a camera costs, and that it gives everything back.

use super::*;

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
