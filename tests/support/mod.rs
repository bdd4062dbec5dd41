//! What the tests share: where the rig lies, waiting for a condition, ports, child processes.

pub mod camera;
pub mod camera_decoders;
pub mod config;
pub mod models;
pub mod moonraker;
pub mod mqtt;
pub mod newcomer;
pub mod own;
pub mod source;
pub mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The folder that `klipper/setup.sh` fills: `moonraker/` (a Python venv) and `onnxruntime/libonnxruntime.so`.
pub fn rig() -> PathBuf {
    std::env::var_os("STRANDWATCH_RIG")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/rig"), PathBuf::from)
}

/// Waits until `condition` gives something, and fails the test with `what` at the deadline.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A TCP port that nobody uses, and that no other test is given.
pub fn free_port() -> u16 {
    strandwatch::sim::ports::free_port().unwrap()
}

/// A child process that is killed when it goes out of scope.
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
