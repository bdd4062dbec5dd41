//! `server.webcams.list`, and what it has of ours.

use serde_json::{Value, json};

use crate::ports::{OwnWebcam, Webcam};

/// Reads the list; relative URLs are resolved against `root`, such as `http://printer`.
pub(super) fn read(list: &Value, root: &str) -> Vec<Webcam> {
    let webcams = list.get("webcams").and_then(Value::as_array);
    let of_others = webcams.into_iter().flatten().filter(|webcam| own_camera(webcam).is_none());
    of_others.filter_map(|webcam| one(webcam, root)).collect()
}

/// Where a webcam that we listed says which camera it shows: below `extra_data`.
const OWN: &str = "strandwatch_camera";

/// Which camera a webcam of ours shows; `None` for anybody else's.
fn own_camera(webcam: &Value) -> Option<&str> {
    webcam.get("extra_data")?.get(OWN)?.as_str()
}

/// A call that brings Moonraker's list nearer to what it should have of ours.
pub(super) type Change = (&'static str, Value);

/// What has to change for the list to have `wanted` of ours and nothing else of ours.
pub(super) fn changes(list: &Value, wanted: &[OwnWebcam]) -> Vec<Change> {
    let listed: Vec<&Value> =
        list.get("webcams").and_then(Value::as_array).into_iter().flatten().collect();
    let ours = |camera: &str| listed.iter().find(|webcam| own_camera(webcam) == Some(camera));
    let mut changes = Vec::new();
    for webcam in wanted {
        let found = ours(webcam.camera.as_str());
        let same = |field: &str, value: &str| found.is_some_and(|found| found[field] == value);
        if same("stream_url", &webcam.stream_url) && same("snapshot_url", &webcam.snapshot_url) {
            continue;
        }
        let mut item = json!({
            "stream_url": webcam.stream_url, "snapshot_url": webcam.snapshot_url,
            "extra_data": { OWN: webcam.camera },
        });
        let name = format!("Strandwatch {}", webcam.camera);
        match found {
            Some(found) => item["uid"] = found["uid"].clone(),
            // Moonraker would take a name that is there already for a wish to change that one.
            None if listed.iter().any(|other| other["name"] == name.as_str()) => {
                tracing::warn!(
                    "Moonraker has a camera named {name:?} that is not ours: ours is not listed"
                );
                continue;
            }
            None => {
                item["name"] = Value::from(name);
                item["service"] = Value::from("mjpegstreamer");
                item["target_fps"] = Value::from(1);
            }
        }
        changes.push(("server.webcams.post_item", item));
    }
    for webcam in listed {
        let kept = |camera| wanted.iter().any(|wanted| wanted.camera.as_str() == camera);
        if own_camera(webcam).is_some_and(|camera| !kept(camera)) {
            changes.push(("server.webcams.delete_item", json!({ "uid": webcam["uid"] })));
        }
    }
    changes
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
    use crate::core::types::Name;

    #[test]
    fn what_is_not_ours_is_never_touched() {
        let url = |path: &str| format!("/strandwatch/voron/bed/{path}");
        let (stream_url, snapshot_url) = (url("stream"), url("snapshot"));
        let bed = OwnWebcam { camera: Name::parse("bed").unwrap(), stream_url, snapshot_url };
        let list = json!({ "webcams": [
            { "uid": "theirs", "name": "Strandwatch bed", "extra_data": {} },
            { "uid": "ours", "name": "whatever", "extra_data": { OWN: "nozzle" } },
        ]});
        let delete = ("server.webcams.delete_item", json!({ "uid": "ours" }));
        assert_eq!(changes(&list, std::slice::from_ref(&bed)), std::slice::from_ref(&delete));
        assert_eq!(changes(&list, &[]), [delete]);
        let [posted] = changes(&json!({}), std::slice::from_ref(&bed)).try_into().unwrap();
        assert_eq!(
            (posted.0, &posted.1["name"]),
            ("server.webcams.post_item", &json!("Strandwatch bed"))
        );
        let mut item = posted.1.clone();
        item["uid"] = json!("u1");
        let listed = json!({ "webcams": [item] });
        assert!(changes(&listed, std::slice::from_ref(&bed)).is_empty());
        item["stream_url"] = json!("/elsewhere");
        let [moved] = changes(&json!({ "webcams": [item] }), &[bed]).try_into().unwrap();
        assert_eq!((&moved.1["uid"], moved.1.get("name")), (&json!("u1"), None));
    }

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
