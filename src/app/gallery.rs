//! What is seen, for whoever looks: served over HTTP, and listed by Moonraker while the daemon runs.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::camera_task::Annotate;
use crate::core::types::Name;
use crate::ports::{OwnWebcam, PrinterLink};
use crate::web::{self, Draw, Views};

/// Moonraker may take so long to take our cameras out of its list when the daemon ends.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

type Links = BTreeMap<Name, Arc<dyn PrinterLink>>;

/// Has every printer's Moonraker list the cameras of ours that show it.
pub fn list(links: &Links, views: &Views, url: &str, tracker: &TaskTracker) {
    for (printer, link) in links {
        let shown = views.keys().filter(|(of, _)| of == printer).map(|(_, camera)| OwnWebcam {
            camera: camera.clone(),
            stream_url: format!("{url}/{printer}/{camera}/stream"),
            snapshot_url: format!("{url}/{printer}/{camera}/snapshot"),
        });
        let (printer, link, shown) = (printer.clone(), link.clone(), shown.collect());
        tracker.spawn(async move {
            if let Err(why) = link.list_own(shown).await {
                tracing::debug!(%printer, "its cameras are listed later: {why}");
            }
        });
    }
}

/// Takes them out again: a camera that shows nothing is of no use to anybody.
pub async fn withdraw(links: &Links) {
    let all = links.iter().map(|(printer, link)| async move {
        let gone = tokio::time::timeout(WITHDRAWN_WITHIN, link.list_own(Vec::new())).await;
        if !matches!(gone, Ok(Ok(()))) {
            tracing::debug!(%printer, "its Moonraker may list a camera of ours until the next start");
        }
    });
    futures_util::future::join_all(all).await;
}

/// Draws as everything else is drawn.
pub fn drawing(annotate: Annotate) -> Draw {
    Arc::new(move |seen| annotate(&seen.frame, &seen.score, &seen.caption, None))
}

/// Serves until cancelled.
pub async fn serve(listener: TcpListener, views: Views, draw: Draw, cancel: CancellationToken) {
    if let Err(error) = web::serve(listener, views, draw, cancel).await {
        tracing::error!("pictures are served no more: {error}");
    }
}
