//! One picture of a configured camera, for commands that show something on it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::SystemClock;
use super::wiring;
use crate::config::{Camera, Printer};
use crate::ports::{Clock, Frame, PrinterLink};

/// A camera may take so long to give a picture.
const PATIENCE: Duration = Duration::from_secs(15);

/// Takes one picture, or says what was tried and what to do.
pub async fn take(printer: &Printer, camera: &Camera) -> Result<Frame, String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cancel = CancellationToken::new();
    let tracker = TaskTracker::new();
    let link: Arc<dyn PrinterLink> =
        crate::moonraker::Link::spawn(wiring::link_setup(printer), cancel.clone(), &tracker);
    let source = wiring::open_camera(printer, camera, &link, &clock, &cancel, &tracker)
        .map_err(|error| error.to_string())?;
    source.set_wanted(true);
    let frames = async {
        loop {
            match source.capture().await {
                Ok(frame) => return frame,
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    let frame = tokio::time::timeout(PATIENCE, frames).await;
    let health = source.report().borrow().health.clone();
    source.set_wanted(false);
    cancel.cancel();
    tracker.close();
    let _ = tokio::time::timeout(Duration::from_secs(2), tracker.wait()).await;
    frame.map_err(|_| {
        let (printer, camera) = (&printer.name, &camera.name);
        format!("camera {camera} of printer {printer} gave no picture within {} s ({health:?}): strandwatch doctor says more, or name a picture of it with --picture", PATIENCE.as_secs())
    })
}
