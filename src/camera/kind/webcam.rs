//! A camera as Moonraker lists it: which of its two addresses can be read, and how.

use crate::camera::CameraError;
use crate::ports::Webcam;

use super::SourceKind;

/// Prefers the stream, falls back to the snapshot: WebRTC and what only a browser can show have no stream for us.
pub(super) fn kind(webcam: &Webcam) -> Result<SourceKind, CameraError> {
    let stream = SourceKind::guess(&webcam.stream_url).ok();
    let snapshot = match SourceKind::guess(&webcam.snapshot_url).ok() {
        // Whatever its path looks like, this address is one picture.
        Some(SourceKind::Mjpeg { url }) => Some(SourceKind::Snapshot { url }),
        other => other,
    };
    let stream = match (webcam.service.as_str(), stream) {
        (_, Some(stream @ (SourceKind::Rtsp { .. } | SourceKind::Hls { .. }))) => Some(stream),
        ("hlsstream", Some(SourceKind::Mjpeg { url })) => Some(SourceKind::Hls { url }),
        ("mjpegstreamer" | "mjpegstreamer-adaptive" | "uv4l-mjpeg" | "ipstream", stream) => stream,
        _ => None,
    };
    stream.or(snapshot).ok_or_else(|| CameraError::NoReadableAddress {
        webcam: webcam.name.clone(),
        service: webcam.service.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(service: &str, stream: &str, snapshot: &str) -> Result<String, CameraError> {
        let webcam = Webcam {
            uid: "1".into(),
            name: "Nozzle".into(),
            service: service.into(),
            enabled: true,
            stream_url: stream.into(),
            snapshot_url: snapshot.into(),
            flip_horizontal: false,
            flip_vertical: false,
            rotation: 0,
        };
        kind(&webcam).map(|kind| format!("{kind:?}").split(' ').next().unwrap().to_owned())
    }

    #[test]
    fn each_service_is_read_by_the_address_that_can_be() {
        let (stream, snapshot) =
            ("http://pi/webcam/?action=stream", "http://pi/webcam/?action=snapshot");
        for (service, stream, snapshot, expected) in [
            ("mjpegstreamer", stream, snapshot, "Mjpeg"),
            ("mjpegstreamer-adaptive", stream, snapshot, "Mjpeg"),
            ("uv4l-mjpeg", stream, "", "Mjpeg"),
            ("ipstream", "rtsp://cam/live", "", "Rtsp"),
            ("hlsstream", "http://pi/hls/stream", "", "Hls"),
            ("webrtc-camerastreamer", "http://pi/webcam/webrtc", snapshot, "Snapshot"),
            ("webrtc-go2rtc", "http://pi:1984/?src=cam", "http://pi:1984/api/frame", "Snapshot"),
            ("webrtc-mediamtx", "rtsp://pi:8554/cam", "", "Rtsp"),
            ("iframe", "http://pi/page", snapshot, "Snapshot"),
            ("mjpegstreamer", "", snapshot, "Snapshot"),
        ] {
            assert_eq!(kind_of(service, stream, snapshot).unwrap(), expected, "{service}");
        }
    }

    #[test]
    fn one_that_only_a_browser_can_show_is_refused_with_what_to_do() {
        let error = kind_of("webrtc-janus", "http://pi/janus", "").unwrap_err().to_string();
        assert!(error.contains("Nozzle") && error.contains("snapshot"), "{error}");
    }
}
