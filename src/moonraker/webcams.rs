//! `server.webcams.list`.

use serde_json::Value;

use crate::ports::Webcam;

/// Reads the list; relative URLs are resolved against `root`, such as `http://printer`.
pub(super) fn read(list: &Value, root: &str) -> Vec<Webcam> {
    let webcams = list.get("webcams").and_then(Value::as_array);
    webcams.into_iter().flatten().filter_map(|webcam| one(webcam, root)).collect()
}

fn one(webcam: &Value, root: &str) -> Option<Webcam> {
    let text = |field: &str| webcam.get(field).and_then(Value::as_str).unwrap_or_default();
    let flag = |field: &str| webcam.get(field).and_then(Value::as_bool);
    let name = text("name").to_owned();
    // Moonraker before 0.9 gives no uid.
    let uid = Some(text("uid")).filter(|uid| !uid.is_empty()).unwrap_or(&name).to_owned();
    if uid.is_empty() {
        return None;
    }
    let rotation = webcam.get("rotation").and_then(Value::as_u64).unwrap_or(0);
    Some(Webcam {
        uid,
        name,
        service: text("service").to_owned(),
        enabled: flag("enabled").unwrap_or(true),
        stream_url: absolute(text("stream_url"), root),
        snapshot_url: absolute(text("snapshot_url"), root),
        flip_horizontal: flag("flip_horizontal").unwrap_or(false),
        flip_vertical: flag("flip_vertical").unwrap_or(false),
        rotation: match rotation {
            90 => 90,
            180 => 180,
            270 => 270,
            _ => 0,
        },
    })
}

fn absolute(url: &str, root: &str) -> String {
    if url.is_empty() || url.contains("://") {
        url.to_owned()
    } else {
        format!("{root}/{}", url.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn relative_urls_are_resolved_and_empty_ones_stay_empty() {
        let list = json!({ "webcams": [
            { "uid": "u1", "name": "bed", "service": "mjpegstreamer", "enabled": false, "stream_url": "/webcam/?action=stream",
              "snapshot_url": "webcam/?action=snapshot", "flip_horizontal": true, "rotation": 270, "extra_data": {} },
            { "name": "nozzle", "stream_url": "rtsp://10.0.0.9/live", "rotation": "odd" },
            { "service": "neither uid nor name" },
            "not an object",
        ]});
        let [bed, nozzle] = read(&list, "http://printer").try_into().unwrap();
        assert_eq!(bed.stream_url, "http://printer/webcam/?action=stream");
        assert_eq!(bed.snapshot_url, "http://printer/webcam/?action=snapshot");
        assert!(bed.flip_horizontal && !bed.flip_vertical && !bed.enabled && bed.rotation == 270);
        assert_eq!(
            (nozzle.uid.as_str(), nozzle.stream_url.as_str()),
            ("nozzle", "rtsp://10.0.0.9/live")
        );
        assert_eq!((nozzle.snapshot_url.as_str(), nozzle.rotation, nozzle.enabled), ("", 0, true));
    }
}
