//! A webcam that is not there: JPEG after JPEG over HTTP at `/stream`, one JPEG at `/snapshot`. Nothing is drawn while
//! nobody looks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use image::RgbImage;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::scene::{SceneState, render, sensor};

/// Quality of the JPEGs, as cheap webcams have it.
const QUALITY: u8 = 85;

/// What the webcam sees.
pub trait Pictures: Send + Sync + 'static {
    /// Frame number `frame`. May take its time: it is called on a blocking thread.
    ///
    /// # Errors
    /// When there is no picture to show; the stream then ends.
    fn picture(&self, frame: u64) -> io::Result<RgbImage>;
}

/// The rendered scene as it is now; the frame number in it is the webcam's.
#[derive(Debug, Clone)]
pub struct Scene(pub watch::Receiver<SceneState>);

impl Pictures for Scene {
    fn picture(&self, frame: u64) -> io::Result<RgbImage> {
        Ok(render(&SceneState { frame, ..*self.0.borrow() }))
    }
}

/// The pictures of a folder in the order of their names, over and over, each frame with noise of its own as from a sensor.
#[derive(Debug, Clone)]
pub struct Folder {
    files: Vec<PathBuf>,
    frames_each: u64,
}

impl Folder {
    /// Shows each JPEG and PNG in `folder` for `frames_each` frames.
    ///
    /// # Errors
    /// When the folder cannot be read or has no picture in it.
    pub fn open(folder: &Path, frames_each: u64) -> io::Result<Self> {
        let is_picture = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| ["jpg", "jpeg", "png"].contains(&extension))
        };
        let entries = std::fs::read_dir(folder)?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut files = paths.collect::<io::Result<Vec<_>>>()?;
        files.retain(is_picture);
        files.sort();
        if files.is_empty() {
            return Err(io::Error::other(format!("no picture in {}", folder.display())));
        }
        Ok(Self { files, frames_each: frames_each.max(1) })
    }
}

impl Pictures for Folder {
    fn picture(&self, frame: u64) -> io::Result<RgbImage> {
        let file = &self.files[(frame / self.frames_each) as usize % self.files.len()];
        let mut picture = image::open(file).map_err(io::Error::other)?.to_rgb8();
        sensor::add_noise(&mut picture, 0, frame);
        Ok(picture)
    }
}

/// What every connection shares.
struct Webcam {
    pictures: Box<dyn Pictures>,
    next: AtomicU64,
    period: Duration,
    cancel: CancellationToken,
}

impl Webcam {
    /// The next frame as a JPEG.
    async fn jpeg(self: Arc<Self>) -> io::Result<Vec<u8>> {
        let drawing = tokio::task::spawn_blocking(move || {
            let picture = self.pictures.picture(self.next.fetch_add(1, Ordering::Relaxed))?;
            let mut jpeg = Vec::new();
            let mut encoder = Encoder::new(&mut jpeg, QUALITY);
            // 4:2:2, as USB webcams have it: half the colour of what `image` writes, and half its work to decode.
            encoder.set_sampling_factor(SamplingFactor::F_2_1);
            let side = |side: u32| u16::try_from(side).map_err(io::Error::other);
            let (width, height) = (side(picture.width())?, side(picture.height())?);
            encoder
                .encode(picture.as_raw(), width, height, ColorType::Rgb)
                .map_err(io::Error::other)?;
            Ok(jpeg)
        });
        drawing.await.map_err(io::Error::other)?
    }
}

/// Serves `pictures` at most `fps` frames a second on every stream, until cancelled; streams end then as well.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    pictures: impl Pictures,
    fps: f64,
    cancel: CancellationToken,
) -> io::Result<()> {
    let webcam = Arc::new(Webcam {
        pictures: Box::new(pictures),
        next: AtomicU64::new(0),
        period: Duration::from_secs_f64(1.0 / fps.clamp(0.01, 1000.0)),
        cancel: cancel.clone(),
    });
    let router = Router::new()
        .route("/stream", get(stream_frames))
        .route("/snapshot", get(snapshot))
        .with_state(webcam);
    axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
}

async fn snapshot(State(webcam): State<Arc<Webcam>>) -> Response {
    match webcam.jpeg().await {
        Ok(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn stream_frames(State(webcam): State<Arc<Webcam>>) -> Response {
    let mut ticks = interval(webcam.period);
    // A slow reader gets fewer frames, not old ones.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let parts = stream::unfold((webcam, ticks), |(webcam, mut ticks)| async {
        let part = part(&webcam, &mut ticks).await?;
        Some((part, (webcam, ticks)))
    });
    let kind = "multipart/x-mixed-replace; boundary=frame";
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
}

/// The next part of a stream; `None` when the webcam is switched off.
async fn part(webcam: &Arc<Webcam>, ticks: &mut Interval) -> Option<io::Result<Vec<u8>>> {
    let next = async {
        ticks.tick().await;
        Arc::clone(webcam).jpeg().await
    };
    let jpeg = webcam.cancel.run_until_cancelled(next).await?;
    Some(jpeg.map(|jpeg| {
        let head = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length:";
        let mut part = format!("{head} {}\r\n\r\n", jpeg.len()).into_bytes();
        part.extend(jpeg);
        part.extend(b"\r\n");
        part
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::AtomicBool;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(20);

    /// A grey picture, brighter by one a frame, and whether it was ever asked for.
    struct Grey(Arc<AtomicBool>);

    impl Pictures for Grey {
        fn picture(&self, frame: u64) -> io::Result<RgbImage> {
            self.0.store(true, Ordering::Relaxed);
            Ok(RgbImage::from_pixel(16, 16, image::Rgb([frame as u8; 3])))
        }
    }

    /// The webcam, its address, and how to stop it.
    struct Running {
        address: std::net::SocketAddr,
        looked_at: Arc<AtomicBool>,
        cancel: CancellationToken,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn start() -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (looked_at, cancel) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let task =
            tokio::spawn(serve(listener, Grey(Arc::clone(&looked_at)), 50.0, cancel.clone()));
        Running { address, looked_at, cancel, task }
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: webcam\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    #[tokio::test]
    async fn a_snapshot_is_one_jpeg_and_nothing_is_drawn_before() {
        let webcam = start().await;
        assert!(!webcam.looked_at.load(Ordering::Relaxed));
        let mut answer = Vec::new();
        let mut connection = ask(webcam.address, "/snapshot").await;
        timeout(LONG, connection.read_to_end(&mut answer)).await.unwrap().unwrap();
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let picture = image::load_from_memory(&answer[body..]).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 16));
        assert!(webcam.looked_at.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_stream_goes_on_until_the_webcam_stops() {
        let webcam = start().await;
        let mut connection = ask(webcam.address, "/stream").await;
        let mut answer = Vec::new();
        let parts = |answer: &[u8]| answer.windows(7).filter(|part| part == b"--frame").count();
        while parts(&answer) < 3 {
            let read = timeout(LONG, connection.read_buf(&mut answer)).await.unwrap().unwrap();
            assert!(read > 0, "the stream ended early");
        }
        webcam.cancel.cancel();
        timeout(LONG, connection.read_to_end(&mut answer)).await.unwrap().unwrap();
        timeout(LONG, webcam.task).await.unwrap().unwrap().unwrap();
    }

    #[test]
    fn a_folder_is_shown_in_order_over_and_over_and_never_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::open(folder.path(), 2).is_err());
        for (name, grey) in [("a.png", 50), ("b.png", 200)] {
            let picture = RgbImage::from_pixel(32, 32, image::Rgb([grey; 3]));
            picture.save(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        let pictures = Folder::open(folder.path(), 2).unwrap();
        let frames: Vec<_> = (0..6).map(|frame| pictures.picture(frame).unwrap()).collect();
        let bright: Vec<_> = frames.iter().map(|frame| frame.get_pixel(5, 5).0[0] > 125).collect();
        assert_eq!(bright, [false, false, true, true, false, false]);
        assert_ne!(frames[0], frames[1]);
    }
}
