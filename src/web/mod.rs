//! What Strandwatch sees, as a webcam for Mainsail and Fluidd: `/<printer>/<camera>/stream` (JPEG after JPEG) and
//! `/<printer>/<camera>/snapshot` (the last one). To look at, and nothing else: there is no other path and no method but
//! GET, nothing is asked and nothing changes.
//!
//! Whoever can reach the address can look. Where that is an address of this host alone, the web server in front decides
//! who can; nothing here takes a network position for an identity.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::core::types::Name;
use crate::ports::Seen;

/// Streams that may be open at once, all cameras together: each costs the drawing of its frames.
const STREAMS: usize = 8;

/// Draws what was seen: a JPEG.
pub type Draw = Arc<dyn Fn(&Seen) -> Result<Vec<u8>, String> + Send + Sync>;

/// The newest scored frame of each camera, by printer and camera.
pub type Views = BTreeMap<(Name, Name), watch::Receiver<Option<Arc<Seen>>>>;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "web.listen: cannot serve pictures at {address}: {source}. Is something else there? Choose another port, or leave \
     listen out"
)]
pub struct WebError {
    /// Where.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

struct Gallery {
    views: Views,
    draw: Draw,
    cancel: CancellationToken,
    open: AtomicUsize,
}

/// Takes the address, so that trouble with it is known at once.
pub fn listen(address: SocketAddr) -> Result<std::net::TcpListener, WebError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| WebError { address, source })
}

/// Serves the views until cancelled. Frames are drawn only while somebody looks.
pub async fn serve(
    listener: std::net::TcpListener,
    views: Views,
    draw: Draw,
    cancel: CancellationToken,
) -> io::Result<()> {
    let open = AtomicUsize::new(0);
    let gallery = Arc::new(Gallery { views, draw, cancel: cancel.clone(), open });
    let router = Router::new()
        .route("/{printer}/{camera}/stream", get(stream_frames))
        .route("/{printer}/{camera}/snapshot", get(snapshot))
        .with_state(gallery);
    let listener = TcpListener::from_std(listener)?;
    axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
}

/// Pages of other sites must not show them, and nobody keeps them.
const GUARDS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
];

impl Gallery {
    fn view(&self, printer: &str, camera: &str) -> Option<watch::Receiver<Option<Arc<Seen>>>> {
        let key = (Name::parse(printer).ok()?, Name::parse(camera).ok()?);
        self.views.get(&key).cloned()
    }

    async fn jpeg(&self, seen: Arc<Seen>) -> Result<Bytes, String> {
        let draw = self.draw.clone();
        let drawing = tokio::task::spawn_blocking(move || draw(&seen));
        let drawn = drawing.await.map_err(|error| format!("drawing ended abnormally: {error}"))?;
        drawn.map(Bytes::from)
    }
}

fn no_such_camera() -> Response {
    (StatusCode::NOT_FOUND, "There is no such printer or camera here.\n").into_response()
}

fn unavailable(why: impl Into<String>) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why.into() + "\n").into_response()
}

async fn snapshot(
    State(gallery): State<Arc<Gallery>>,
    Path((printer, camera)): Path<(String, String)>,
) -> Response {
    let Some(view) = gallery.view(&printer, &camera) else { return no_such_camera() };
    let Some(seen) = view.borrow().clone() else {
        return unavailable("No frame has been scored yet: frames are scored while a print runs.");
    };
    match gallery.jpeg(seen).await {
        Ok(jpeg) => (GUARDS, [(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        Err(why) => unavailable(why),
    }
}

/// One of [`STREAMS`]; given back when the stream ends.
struct Seat(Arc<Gallery>);

impl Seat {
    fn take(gallery: &Arc<Gallery>) -> Option<Self> {
        let seat = Self(gallery.clone());
        (gallery.open.fetch_add(1, Ordering::Relaxed) < STREAMS).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn stream_frames(
    State(gallery): State<Arc<Gallery>>,
    Path((printer, camera)): Path<(String, String)>,
) -> Response {
    let Some(mut view) = gallery.view(&printer, &camera) else { return no_such_camera() };
    let Some(seat) = Seat::take(&gallery) else {
        return unavailable(format!("{STREAMS} streams are open already: close one."));
    };
    view.mark_changed();
    let parts = stream::unfold((seat, view), |(seat, mut view)| async {
        let part = part(&seat.0, &mut view).await?;
        Some((part, (seat, view)))
    });
    let kind = "multipart/x-mixed-replace; boundary=frame";
    (GUARDS, [(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
}

/// The next part of a stream; `None` when the daemon ends.
async fn part(
    gallery: &Gallery,
    view: &mut watch::Receiver<Option<Arc<Seen>>>,
) -> Option<Result<Bytes, io::Error>> {
    let next = async {
        loop {
            view.changed().await.ok()?;
            let Some(seen) = view.borrow_and_update().clone() else { continue };
            return Some(gallery.jpeg(seen).await);
        }
    };
    let jpeg = gallery.cancel.run_until_cancelled(next).await??;
    Some(jpeg.map_err(io::Error::other).map(|jpeg| {
        let head = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length:";
        let mut part = format!("{head} {}\r\n\r\n", jpeg.len()).into_bytes();
        part.extend_from_slice(&jpeg);
        part.extend_from_slice(b"\r\n");
        Bytes::from(part)
    }))
}
