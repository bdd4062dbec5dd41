//! The kinds of camera. Each has its own file that says how it is opened; a new kind is a file and a variant.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gstreamer as gst;

use super::address::{Address, hide_all};
use super::trouble::Trouble;
use super::{CameraError, stills::Stills};
use crate::ports::Webcam;

mod files;
mod hls;
mod http;
mod mjpeg;
mod rtsp;
mod snapshot;
mod v4l2;
mod webcam;

pub(super) use files::pictures;

/// What a camera is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// Motion JPEG over HTTP: parts of `multipart/x-mixed-replace`.
    Mjpeg {
        /// `http://` or `https://`.
        url: Address,
    },
    /// A picture over HTTP, fetched anew for each frame that is asked for.
    Snapshot {
        /// `http://` or `https://`.
        url: Address,
    },
    /// RTSP, over TCP.
    Rtsp {
        /// `rtsp://` or `rtsps://`.
        url: Address,
    },
    /// HTTP live streaming. Its pictures are some segments old, often 5 to 30 s.
    Hls {
        /// The playlist, `….m3u8`.
        url: Address,
    },
    /// A camera on this host.
    V4l2 {
        /// Such as `/dev/video0`; better one of `/dev/v4l/by-id/`, which stays the same.
        device: PathBuf,
    },
    /// A video, which plays at its own speed and starts again at its end; or a picture; or a folder of pictures (`.jpg`,
    /// `.jpeg`, `.png`) that are shown by name, one a second, then from the first again.
    Files {
        /// Where it is.
        path: PathBuf,
    },
}

/// How a kind is read.
pub(super) enum Plan {
    /// Frames come by themselves.
    Stream(StreamPlan),
    /// A picture comes for each request.
    Stills(Box<dyn Stills>),
}

/// The part of a pipeline before the decoder.
pub(super) struct StreamPlan {
    /// In the order of data flow; each is linked to the next, and the decoder to the last, as soon as pads are there.
    pub elements: Vec<gst::Element>,
    /// Comes faster than life, and must be held back to its time stamps.
    pub paced: bool,
    /// Starts again when it ends.
    pub repeats: bool,
}

impl StreamPlan {
    fn live(elements: Vec<gst::Element>) -> Plan {
        Plan::Stream(Self { elements, paced: false, repeats: false })
    }
}

impl SourceKind {
    /// Takes what a user or Moonraker wrote: a URL (`http`, `https`, `rtsp`, `rtsps`, `file`), a device below `/dev/`, or a
    /// path. An HTTP URL is HLS when it ends in `.m3u8`, a snapshot when it says so (`action=snapshot`, `/snapshot`,
    /// `….jpg`), and MJPEG otherwise.
    ///
    /// # Errors
    /// When the URL is malformed or of another scheme, or the text is neither URL, device nor an existing path.
    pub fn guess(text: &str) -> Result<Self, CameraError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Files { path: path.into() });
        }
        if text.contains("://") {
            let url = Address::parse(text)?;
            return Ok(if url.is_rtsp() {
                Self::Rtsp { url }
            } else if hls::is_playlist(&url) {
                Self::Hls { url }
            } else if snapshot::is_snapshot(&url) {
                Self::Snapshot { url }
            } else {
                Self::Mjpeg { url }
            });
        }
        let path = PathBuf::from(text);
        if path.starts_with("/dev") {
            Ok(Self::V4l2 { device: path })
        } else if path.is_absolute() || (!text.is_empty() && path.exists()) {
            Ok(Self::Files { path })
        } else {
            Err(CameraError::UnknownKind { shown: hide_all(text) })
        }
    }

    /// Takes a camera from Moonraker's list: its stream where we can read it, else its snapshot.
    ///
    /// # Errors
    /// When neither of its addresses can be read, as with WebRTC without a snapshot address.
    pub fn of_webcam(webcam: &Webcam) -> Result<Self, CameraError> {
        webcam::kind(webcam)
    }

    /// Makes what reads it. May block for a moment (files and devices are looked at). `patience` is how long a silent
    /// peer is waited for.
    pub(super) fn plan(&self, patience: Duration) -> Result<Plan, Trouble> {
        match self {
            Self::Mjpeg { url } => mjpeg::plan(url, patience),
            Self::Snapshot { url } => Ok(snapshot::plan(url, patience)),
            Self::Rtsp { url } => rtsp::plan(url, patience),
            Self::Hls { url } => hls::plan(url, patience),
            Self::V4l2 { device } => v4l2::plan(device),
            Self::Files { path } => files::plan(path),
        }
    }

    /// What to do when it cannot be opened.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Mjpeg { .. } | Self::Snapshot { .. } | Self::Hls { .. } => http::REMEDY,
            Self::Rtsp { .. } => rtsp::REMEDY,
            Self::V4l2 { .. } => v4l2::REMEDY,
            Self::Files { .. } => files::REMEDY,
        }
    }

    /// What should come from it.
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Mjpeg { .. } => "an MJPEG stream",
            Self::Snapshot { .. } => "a JPEG or PNG picture",
            Self::Rtsp { .. } => "an RTSP stream",
            Self::Hls { .. } => "an HLS playlist",
            Self::V4l2 { .. } => "a video device",
            Self::Files { .. } => "a video or a picture",
        }
    }

    /// A library's message without this camera's credentials.
    pub(super) fn scrub(&self, text: &str) -> String {
        match self {
            Self::Mjpeg { url }
            | Self::Snapshot { url }
            | Self::Rtsp { url }
            | Self::Hls { url } => url.scrub(text),
            Self::V4l2 { .. } | Self::Files { .. } => text.to_owned(),
        }
    }
}

/// The address without credentials, the device or the path.
impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mjpeg { url }
            | Self::Snapshot { url }
            | Self::Rtsp { url }
            | Self::Hls { url } => url.fmt(f),
            Self::V4l2 { device: path } | Self::Files { path } => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_follows_from_what_people_write() {
        let kind = |text: &str| match SourceKind::guess(text).unwrap() {
            SourceKind::Mjpeg { .. } => "mjpeg",
            SourceKind::Snapshot { .. } => "snapshot",
            SourceKind::Rtsp { .. } => "rtsp",
            SourceKind::Hls { .. } => "hls",
            SourceKind::V4l2 { .. } => "v4l2",
            SourceKind::Files { .. } => "files",
        };
        for (text, expected) in [
            ("http://printer.local/webcam/?action=stream", "mjpeg"),
            ("http://printer.local/webcam/?action=snapshot", "snapshot"),
            ("http://printer.local:8080/stream.mjpg", "mjpeg"),
            ("http://printer.local:8080/snapshot", "snapshot"),
            ("http://printer.local:1984/api/frame.jpeg?src=cam", "snapshot"),
            ("http://printer.local:1984/api/stream.mjpeg?src=cam", "mjpeg"),
            ("http://printer.local:1984/api/stream.m3u8?src=cam", "hls"),
            ("https://u:p@cam/SNAP.JPG", "snapshot"),
            ("RTSP://cam:554/live", "rtsp"),
            ("/dev/video0", "v4l2"),
            ("/dev/v4l/by-id/usb-cam-index0", "v4l2"),
            ("/srv/pictures", "files"),
            ("file:///srv/print.mp4", "files"),
            ("src", "files"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_camera_is_refused_in_words() {
        for text in ["", "webcam", "ftp://cam/x", "http://", "user:secret@cam/video"] {
            let error = SourceKind::guess(text).unwrap_err().to_string();
            assert!(error.contains("write"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
