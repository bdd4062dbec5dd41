//! systemd's watchdog: pinged only while the core and the scorer make progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::core_task::HEARTBEAT;
use super::scoring::SharedScorer;
use crate::ports::Clock;

/// A frame may take so long to score, and the core so long to come round, before the daemon counts as hung.
const HUNG_MS: u64 = 30_000;

/// Pings systemd at half the interval it asks for; returns at once when it does not.
pub async fn run(
    clock: Arc<dyn Clock>,
    heartbeat: Arc<AtomicU64>,
    scorer: Arc<SharedScorer>,
    cancel: CancellationToken,
) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let pace = (interval / 2).max(Duration::from_millis(100));
    while cancel.run_until_cancelled(tokio::time::sleep(pace)).await.is_some() {
        let core_ms = clock.now().mono_ms.saturating_sub(heartbeat.load(Ordering::Relaxed));
        let scorer_ms = scorer.busy_for_ms();
        let hung = HUNG_MS.max(2 * u64::try_from(HEARTBEAT.as_millis()).unwrap_or(HUNG_MS));
        if core_ms < hung && scorer_ms < hung {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        } else {
            tracing::error!(core_ms, scorer_ms, "no progress: leaving it to systemd's watchdog");
        }
    }
}
