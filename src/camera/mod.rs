//! Cameras, read through GStreamer: MJPEG and snapshots over HTTP, RTSP, HLS, V4L2, files.
//!
//! ```text
//!  kind/*            chain.rs                                                        desk.rs
//!  ┌──────────────┐  ┌──────┐ ┌─────────┐ ┌──────────────┐ ┌────────┐   packed RGB   ┌─────────┐ capture()
//!  │ souphttpsrc, │─▶│ gate │▶│ decoder │▶│ videoconvert │▶│appsink │───────────────▶│ judge,  │──────────▶
//!  │ demuxer, …   │  └──────┘ └─────────┘ └──────────────┘ └────────┘  turned (turn) │ askers  │ report()
//!  └──────────────┘  JPEG: here;  H.264 and the like: behind the decoder             └─────────┘──────────▶
//!         ▲                                                                               │
//!         └── watching.rs: rest, open, notice stalls, next decoder, back off ◀────────────┘
//! ```
//!
//! **Frames nobody asks for are not decoded.** The gate is a pad probe that drops each frame unless somebody waits in
//! [`FrameSource::capture`]. It stands before the decoder where every frame stands alone (JPEG), and behind it where
//! frames build on each other, which saves the conversion and the copy. Nothing queues: there is no queue element, the
//! sink hands each picture to those who wait, and a picture that was in the decoder before somebody asked is not given
//! to them. A 720p MJPEG frame costs about 0.3 ms to receive and drop (nearly all of it in the kernel and libsoup), and
//! about 4 ms more to decode and convert.
//!
//! **A resting camera has no pipeline.** Its task waits for a notification without a timer.
//!
//! **Health comes from frames.** `judge.rs` finds what is wrong with pictures, `trouble.rs` says what is wrong with the
//! way to them. A camera only reads as seeing once a picture of this connection was decoded and looked at.
//!
//! **Decoders** are taken from GStreamer's registry, hardware first; one that fails is given up for an hour and the
//! stream is opened again with the next (`decoder.rs`). When all have failed it was the stream: all are forgiven.
//!
//! To add a kind: a file in `kind/` that makes the elements before the decoder (or a `Stills`), and a variant of
//! [`SourceKind`]; the compiler names the four places that ask for it.
//!
//! What cost us time with GStreamer 1.22, so that it need not cost yours:
//! - `PadProbeReturn::Drop` with gstreamer-rs 0.25 on a core before 1.24.8 logs a critical error for each frame; return
//!   `Handled`, which drops as well.
//! - `souphttpsrc` says nothing of a refused connection but "Internal data stream error". HTTP errors carry
//!   `http-status-code` in the message's details. It tries three times by itself unless `retries=0`.
//! - An element's own network time limit ends in an error that reads like a lost connection; stalls are noticed here.
//! - `multipartdemux` reads boundaries other than announced, and parts without a length, but a part shorter than its
//!   `Content-Length` is a fatal error. JPEGs that are cut off decode to pictures with a grey lower part: the gate
//!   looks for the end marker.
//! - `avdec_mjpeg`, as decoders in hardware, takes no JPEG whose size is not in the caps, as HTTP gives it: `jpegparse`
//!   puts it there.
//! - A pipeline posts end-of-stream only when it has a sink, and ours gets its sink with the first frame.
//! - A probe's closure that holds its own element never dies: chains hold elements weakly.
//! - The bus is read by a synchronous handler: no main loop, no thread, nothing piles up.
//! - State changes may block for as long as a driver pleases: they run on threads of their own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gstreamer as gst;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::types::{Name, SourceHealth, SourceReport};
use crate::ports::{Clock, Frame, FrameSource, NoFrame};

mod address;
mod backoff;
mod chain;
mod decoder;
mod desk;
pub mod files;
mod judge;
mod kind;
mod picture;
mod stills;
mod stream;
mod trouble;
mod turn;
mod watching;

pub use address::Address;
pub use desk::Counters;
pub use kind::SourceKind;
pub use turn::Rotation;

/// How long a frame is waited for from a camera that is open, and from one that has to be opened first.
const FRAME_WITHIN: Duration = Duration::from_secs(5);
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(10);

/// One camera's settings.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The printer it looks at.
    pub printer: Name,
    /// The camera's own name.
    pub name: Name,
    /// Where its pictures come from.
    pub kind: SourceKind,
    /// Rotation, done before mirroring.
    pub rotate: Rotation,
    /// Mirror left and right.
    pub flip_horizontal: bool,
    /// Mirror top and bottom.
    pub flip_vertical: bool,
    /// No frame for so long means that it has stalled; 10 s is a good value.
    pub stall_after: Duration,
}

/// Why a camera could not be set up. What goes wrong later is in its [`SourceReport`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraError {
    /// The address cannot be read.
    #[error("{shown:?} is not a camera's address: {why}")]
    BadAddress {
        /// What was found, without credentials.
        shown: String,
        /// What to write instead.
        why: &'static str,
    },
    /// Neither URL, device nor path.
    #[error(
        "{shown:?} is no camera: write a URL (http://…, rtsp://…), a device (/dev/video0), or the path of a video or a folder of pictures"
    )]
    UnknownKind {
        /// What was found, without credentials.
        shown: String,
    },
    /// Moonraker lists it, but we cannot read it.
    #[error(
        "webcam {webcam:?} (service {service}) has no address that can be read: give it a snapshot URL in Mainsail or Fluidd, or write the camera's own URL into the configuration"
    )]
    NoReadableAddress {
        /// Its name in Moonraker's list.
        webcam: String,
        /// Its service there.
        service: String,
    },
    /// A file to be scored or replayed cannot be.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// GStreamer does not start on this host.
    #[error(
        "GStreamer does not start ({why}): install gstreamer1.0-plugins-base and gstreamer1.0-plugins-good"
    )]
    NoGStreamer {
        /// What it says.
        why: String,
    },
}

/// A camera that is read when frames are asked for. Dropping it, or cancelling its token, ends its task and pipeline.
pub struct Camera {
    desk: Arc<desk::Desk>,
    ended: CancellationToken,
    _stop: DropGuard,
}

/// Sets a camera up; it rests until frames are wanted. Must be called within a Tokio runtime, which runs its one task.
///
/// # Errors
/// When GStreamer cannot be initialised. A camera that cannot be reached is no error: its report says so.
pub fn open(
    setup: Setup,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<Arc<Camera>, CameraError> {
    init()?;
    let turn = turn::Turn {
        rotate: setup.rotate,
        flip_horizontal: setup.flip_horizontal,
        flip_vertical: setup.flip_vertical,
    };
    let label = format!("camera {} of printer {}", setup.name, setup.printer);
    let desk = Arc::new(desk::Desk::new(label, turn, clock));
    let stop = stop.child_token();
    let watching = watching::Watching {
        kind: setup.kind,
        stall_after: setup.stall_after,
        desk: Arc::clone(&desk),
        stop: stop.clone(),
        decoders: Arc::default(),
    };
    let ended = CancellationToken::new();
    let ending = ended.clone().drop_guard();
    tokio::spawn(async move {
        watching.run().await;
        drop(ending);
    });
    Ok(Arc::new(Camera { desk, ended, _stop: stop.drop_guard() }))
}

/// Once a process, however often it is called.
fn init() -> Result<(), CameraError> {
    gst::init().map_err(|error| CameraError::NoGStreamer { why: error.to_string() })
}

impl Camera {
    /// Frames received and decoded so far.
    pub fn counters(&self) -> Counters {
        self.desk.counters()
    }

    /// Ready when the camera's task has ended and its pipeline is down, after the token was cancelled.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl FrameSource for Camera {
    fn capture(&self) -> BoxFuture<'_, Result<Frame, NoFrame>> {
        Box::pin(async {
            let resting = matches!(
                self.desk.report().borrow().health,
                SourceHealth::Idle | SourceHealth::Opening
            );
            let within = if resting { FIRST_FRAME_WITHIN } else { FRAME_WITHIN };
            match tokio::time::timeout(within, self.desk.ask()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(NoFrame("the camera has been closed".to_owned())),
                Err(_) => Err(self.desk.why_no_frame(within)),
            }
        })
    }

    fn set_wanted(&self, wanted: bool) {
        self.desk.set_wanted(wanted);
    }

    fn report(&self) -> watch::Receiver<SourceReport> {
        self.desk.report()
    }
}
