//! Home Assistant's rules for a document of device discovery, as its schemas have them (2026.2: `components/mqtt/schemas.py`
//! and each platform's `PLATFORM_SCHEMA_MODERN`), and stricter where it would only ignore what is wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keys at the top; anything else there rejects the whole message.
const ROOT: &[&str] = &[
    "dev",
    "o",
    "cmps",
    "availability",
    "availability_mode",
    "state_topic",
    "command_topic",
    "qos",
    "encoding",
];

/// Keys of `dev`; anything else there rejects the whole message.
const DEVICE: &[&str] = &[
    "identifiers",
    "connections",
    "manufacturer",
    "model",
    "model_id",
    "name",
    "hw_version",
    "serial_number",
    "sw_version",
    "via_device",
    "suggested_area",
    "configuration_url",
];

/// Keys of `o`; anything else there rejects the whole message.
const ORIGIN: &[&str] = &["name", "sw", "url"];

/// Keys of every entity.
const COMMON: &[&str] = &[
    "p",
    "unique_id",
    "default_entity_id",
    "name",
    "icon",
    "entity_category",
    "entity_picture",
    "enabled_by_default",
    "json_attributes_topic",
    "json_attributes_template",
    "availability",
    "availability_mode",
    "qos",
    "encoding",
];

/// A platform: the keys that an entity of it must have and may have beside the common ones, and the categories it may be in.
struct Platform {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    categories: &'static [&'static str],
}

const BOTH: &[&str] = &["config", "diagnostic"];

/// The platforms in use. `retain` is left out on purpose: requests must not be retained.
const PLATFORMS: &[Platform] = &[
    Platform {
        name: "binary_sensor",
        required: &["state_topic", "device_class"],
        optional: &["value_template", "payload_on", "payload_off", "expire_after", "force_update"],
        categories: &["diagnostic"],
    },
    Platform {
        name: "sensor",
        required: &["state_topic"],
        optional: &[
            "value_template",
            "device_class",
            "expire_after",
            "force_update",
            "options",
            "suggested_display_precision",
            "state_class",
            "unit_of_measurement",
        ],
        categories: &["diagnostic"],
    },
    Platform {
        name: "event",
        required: &["state_topic", "event_types"],
        optional: &["value_template", "device_class"],
        categories: &["diagnostic"],
    },
    Platform {
        name: "image",
        required: &["image_topic", "content_type"],
        optional: &["image_encoding"],
        categories: &["diagnostic"],
    },
    Platform {
        name: "camera",
        required: &["topic"],
        optional: &["image_encoding"],
        categories: &["diagnostic"],
    },
    Platform {
        name: "button",
        required: &["command_topic", "command_template"],
        optional: &["device_class", "payload_press"],
        categories: BOTH,
    },
    Platform {
        name: "switch",
        required: &["command_topic", "command_template", "state_topic", "value_template"],
        optional: &["device_class", "payload_on", "payload_off", "state_on", "state_off"],
        categories: BOTH,
    },
    Platform {
        name: "number",
        required: &[
            "command_topic",
            "command_template",
            "state_topic",
            "value_template",
            "min",
            "max",
            "step",
        ],
        optional: &["device_class", "mode", "payload_reset", "unit_of_measurement"],
        categories: BOTH,
    },
    Platform {
        name: "select",
        required: &[
            "command_topic",
            "command_template",
            "state_topic",
            "value_template",
            "options",
        ],
        optional: &[],
        categories: BOTH,
    },
];

/// Device classes of binary sensors in use, of those that Home Assistant has.
const BINARY_CLASSES: &[&str] = &["connectivity", "problem", "running", "update"];

/// Device classes of sensors in use, and the units each takes.
const SENSOR_CLASSES: &[(&str, &[&str])] = &[
    ("enum", &[]),
    ("timestamp", &[]),
    ("duration", &["d", "h", "min", "s", "ms", "μs"]),
    ("data_size", &["B", "kB", "MB", "GB"]),
];

/// What is wrong with a document for `topic`; unique ids gather in `ids`.
pub fn faults(topic: &str, document: &Value, ids: &mut BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let id = topic.strip_suffix("/config").and_then(|rest| rest.rsplit_once("/device/"));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_some_and(|(_, id)| !id.is_empty() && id.chars().all(plain)) {
        faults.push(format!("{topic}: no discovery topic"));
    }
    let none = Map::new();
    let table = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| none.clone());
    let (root, device, origin) = (table(document), table(&document["dev"]), table(&document["o"]));
    strict("the top", &root, ROOT, &["dev", "o", "cmps"], &mut faults);
    strict("dev", &device, DEVICE, &["identifiers", "name"], &mut faults);
    strict("o", &origin, ORIGIN, &["name"], &mut faults);
    availability("the top", &root, &mut faults);
    let mut nameless = 0;
    for (key, entity) in &table(&document["cmps"]) {
        let entity = table(entity);
        nameless += u32::from(entity.get("name") == Some(&Value::Null));
        let before = faults.len();
        judge(&entity, ids, &mut faults);
        faults[before..].iter_mut().for_each(|fault| *fault = format!("{key}: {fault}"));
    }
    if nameless > 1 {
        faults.push("more than one entity takes the device's name".to_owned());
    }
    faults
}

fn strict(
    place: &str,
    table: &Map<String, Value>,
    known: &[&str],
    required: &[&str],
    faults: &mut Vec<String>,
) {
    let strange = table.keys().filter(|key| !known.contains(&key.as_str()));
    faults.extend(strange.map(|key| format!("{place} may not have {key}")));
    let missing = required.iter().filter(|key| !table.contains_key(**key));
    faults.extend(missing.map(|key| format!("{place} lacks {key}")));
}

fn availability(place: &str, table: &Map<String, Value>, faults: &mut Vec<String>) {
    let Some(list) = table.get("availability") else { return };
    for entry in list.as_array().into_iter().flatten() {
        let known = ["topic", "payload_available", "payload_not_available", "value_template"];
        let entry = entry.as_object().cloned().unwrap_or_default();
        strict(place, &entry, &known, &["topic"], faults);
    }
    let mode = table.get("availability_mode").map(|mode| mode.as_str().unwrap_or_default());
    if mode.is_some_and(|mode| !["all", "any", "latest"].contains(&mode)) {
        faults.push(format!("{place}: availability_mode {mode:?}"));
    }
}

fn judge(entity: &Map<String, Value>, ids: &mut BTreeSet<String>, faults: &mut Vec<String>) {
    let text = |key: &str| entity.get(key).and_then(Value::as_str);
    let Some(platform) = PLATFORMS.iter().find(|platform| Some(platform.name) == text("p")) else {
        return faults.push(format!("p: {:?}", entity.get("p")));
    };
    if entity.len() == 1 {
        // Nothing but its kind: it is taken back.
        return;
    }
    let known: Vec<&str> =
        [COMMON, platform.required, platform.optional].into_iter().flatten().copied().collect();
    let mut required = vec!["unique_id", "default_entity_id", "name"];
    required.extend(platform.required);
    strict(platform.name, entity, &known, &required, faults);
    availability(platform.name, entity, faults);
    if !text("unique_id").is_some_and(|id| ids.insert(id.to_owned())) {
        faults.push(format!("unique_id: {:?} is there already", text("unique_id")));
    }
    let entity_id = text("default_entity_id").and_then(|id| id.split_once('.')).unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if entity_id.0 != platform.name || entity_id.1.is_empty() || !entity_id.1.chars().all(plain) {
        faults.push(format!("default_entity_id: {entity_id:?}"));
    }
    if text("icon").is_some_and(|icon| !icon.starts_with("mdi:")) {
        faults.push(format!("icon: {:?}", text("icon")));
    }
    if text("entity_category").is_some_and(|category| !platform.categories.contains(&category)) {
        faults.push(format!("entity_category: {:?}", text("entity_category")));
    }
    for key in ["state_topic", "command_topic", "image_topic", "topic", "json_attributes_topic"] {
        if text(key).is_some_and(|topic| topic.is_empty() || topic.contains(['+', '#'])) {
            faults.push(format!("{key}: {:?}", text(key)));
        }
    }
    match platform.name {
        "binary_sensor" if !text("device_class").is_some_and(|c| BINARY_CLASSES.contains(&c)) => {
            faults.push(format!("device_class: {:?}", text("device_class")));
        }
        "sensor" => judge_sensor(entity, faults),
        "number" => {
            let number = |key: &str| entity.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
            if !(number("min") < number("max") && number("step") >= 1e-3) {
                faults.push("min, max, step".to_owned());
            }
        }
        "select" | "event" => {
            let key = if platform.name == "select" { "options" } else { "event_types" };
            if entity[key].as_array().is_none_or(Vec::is_empty) {
                faults.push(format!("{key}: none"));
            }
        }
        _ => {}
    }
}

fn judge_sensor(entity: &Map<String, Value>, faults: &mut Vec<String>) {
    let text = |key: &str| entity.get(key).and_then(Value::as_str);
    let (class, unit, state) =
        (text("device_class"), text("unit_of_measurement"), text("state_class"));
    if entity.contains_key("options") != (class == Some("enum")) {
        faults.push("options belong to the device class enum, and to it only".to_owned());
    }
    if state.is_some_and(|state| state != "measurement") {
        faults.push(format!("state_class: {state:?}"));
    }
    if let Some(class) = class {
        match SENSOR_CLASSES.iter().find(|(name, _)| *name == class) {
            None => faults.push(format!("device_class: {class}")),
            Some((_, [])) if unit.is_some() || state.is_some() => {
                faults.push(format!("{class} has neither unit nor state class"));
            }
            Some((_, units)) if !units.is_empty() && !unit.is_some_and(|u| units.contains(&u)) => {
                faults.push(format!("{class} cannot have the unit {unit:?}"));
            }
            Some(_) => {}
        }
    }
    // A number without a curve, or a curve of something that is no number.
    if unit.is_some() != state.is_some() {
        faults.push("a unit and a state class go together".to_owned());
    }
    if entity.contains_key("suggested_display_precision") && unit.is_none() {
        faults.push("a precision without a unit".to_owned());
    }
}
