//! What the rendered camera shows of a simulated printer: its part, its head, and a failure when the script says so.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::klippy::{SimulatedKlippy, Snapshot};
use super::scene::SceneState;
use crate::core::types::PrintState;

/// Between two looks at the printer.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A failure under way.
#[derive(Debug, Clone, Copy)]
struct Failure {
    since: Instant,
    grows_for: Duration,
}

/// The script of one camera.
pub struct Film {
    state: watch::Sender<SceneState>,
    failure: Mutex<Option<Failure>>,
}

impl Film {
    /// A good print of the look that `seed` chooses.
    pub fn new(seed: u64) -> Self {
        let state = SceneState { seed, progress: 0.0, ..SceneState::default() };
        Self { state: watch::Sender::new(state), failure: Mutex::new(None) }
    }

    /// What is to be drawn; follow it to draw.
    pub fn state(&self) -> watch::Receiver<SceneState> {
        self.state.subscribe()
    }

    /// From now on strands spread, until everything is full of them after `grows_for`.
    pub fn fail(&self, grows_for: Duration) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Failure { since: Instant::now(), grows_for });
    }

    /// The bed is cleared.
    pub fn clean_up(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Shows what the printer does, for as long as this is polled.
    pub async fn follow(&self, printer: &SimulatedKlippy) {
        let mut pace = tokio::time::interval(LOOK_EVERY);
        loop {
            pace.tick().await;
            let seen = printer.snapshot();
            let failure = self.failure_now();
            self.state.send_modify(|state| {
                let [x, y, _] = seen.position;
                state.nozzle = [x as f32, y as f32];
                state.progress = part_done(&seen);
                state.failure = failure;
            });
        }
    }

    fn failure_now(&self) -> f32 {
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(0.0, |failure| {
            let grown = failure.since.elapsed().as_secs_f32()
                / failure.grows_for.as_secs_f32().max(f32::EPSILON);
            grown.clamp(0.0, 1.0)
        })
    }
}

/// The part is taken off the bed when the next job heats up.
fn part_done(seen: &Snapshot) -> f32 {
    match seen.print {
        PrintState::Printing | PrintState::Paused | PrintState::Complete => seen.progress as f32,
        PrintState::Standby | PrintState::Error | PrintState::Cancelled => 0.0,
    }
}

/// Waits until the printer has begun to extrude.
pub async fn until_extruding(printer: &SimulatedKlippy) {
    while printer.snapshot().progress <= 0.0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
