//! Printer objects, as subscribed to, merged into one status. Fields that are missing, null or of another type leave
//! what was known, so an odd Klippy costs a value and never the link.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::core::types::{Heater, KlippyState, Objects, PrintObject, PrintState, PrinterStatus};

/// A change of temperature below this, °C, is sensor noise: passing it on would wake everybody 4 times a second.
const TEMPERATURE_STEP: f64 = 0.5;

/// The macro of moonraker-timelapse that parks the head for a picture.
const TIMELAPSE: &str = "gcode_macro TIMELAPSE_TAKE_FRAME";

/// The objects worth subscribing to and their fields.
const WANTED: [(&str, &[&str]); 8] = [
    ("webhooks", &["state", "state_message"]),
    (
        "print_stats",
        &[
            "state",
            "filename",
            "total_duration",
            "print_duration",
            "filament_used",
            "message",
            "info",
        ],
    ),
    ("virtual_sdcard", &["progress"]),
    ("exclude_object", &["objects", "excluded_objects", "current_object"]),
    ("toolhead", &["homed_axes", "extruder"]),
    ("motion_report", &["live_position"]),
    ("idle_timeout", &["idle_timeout"]),
    (TIMELAPSE, &["takingframe"]),
];

/// `printer.objects.subscribe`'s parameters: what is wanted of what `printer.objects.list` has.
pub(super) fn subscription(listed: &Value) -> Value {
    let listed = listed.get("objects").and_then(Value::as_array);
    let mut objects = Map::new();
    for name in listed.into_iter().flatten().filter_map(Value::as_str) {
        let wanted = WANTED.iter().find(|(wanted, _)| *wanted == name);
        if let Some((_, fields)) = wanted {
            objects.insert(name.to_owned(), json!(fields));
        } else if is_filament_sensor(name) {
            objects.insert(name.to_owned(), json!(["filament_detected", "enabled"]));
        } else if is_heater(name) {
            objects.insert(name.to_owned(), json!(["temperature", "target"]));
        }
    }
    json!({ "objects": objects })
}

fn is_filament_sensor(name: &str) -> bool {
    name.starts_with("filament_switch_sensor ") || name.starts_with("filament_motion_sensor ")
}

fn is_heater(name: &str) -> bool {
    let number = name.strip_prefix("extruder");
    name == "heater_bed"
        || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The status as far as it is known, and what it is made of.
#[derive(Debug, Default)]
pub(super) struct Merged {
    status: PrinterStatus,
    heaters: BTreeMap<String, Heater>,
    /// By sensor: whether it is on, and whether it sees filament.
    filament_sensors: BTreeMap<String, (bool, bool)>,
    active_extruder: Option<String>,
    klippy_message: Option<String>,
    print_message: Option<String>,
}

impl Merged {
    /// The status of now.
    pub(super) fn status(&self) -> &PrinterStatus {
        &self.status
    }

    /// Takes Klippy's state from elsewhere than its objects; a message only if there is one.
    pub(super) fn klippy(&mut self, state: KlippyState, message: Option<String>) {
        self.status.klippy = state;
        self.klippy_message = message.filter(|text| !text.is_empty());
        self.choose_message();
    }

    /// Merges an update: `{object: {field: value}}`.
    pub(super) fn merge(&mut self, update: &Value) {
        for (object, fields) in update.as_object().into_iter().flatten() {
            match object.as_str() {
                "webhooks" => self.webhooks(fields),
                "print_stats" => self.print_stats(fields),
                "virtual_sdcard" => {
                    if let Some(progress) = number(fields, "progress") {
                        self.status.progress = Some(progress.clamp(0.0, 1.0));
                    }
                }
                "exclude_object" => self.exclude_object(fields),
                "toolhead" => {
                    set(&mut self.status.homed_axes, text(fields, "homed_axes"));
                    if let Some(name) = text(fields, "extruder") {
                        self.active_extruder = Some(name);
                    }
                }
                "motion_report" => {
                    let position = fields.get("live_position").and_then(numbers::<3>);
                    self.status.live_position = position.or(self.status.live_position);
                }
                "idle_timeout" => {
                    let seconds = number(fields, "idle_timeout");
                    self.status.idle_timeout_s = seconds.or(self.status.idle_timeout_s);
                }
                TIMELAPSE => {
                    let parked = fields.get("takingframe").and_then(Value::as_bool);
                    set(&mut self.status.timelapse_parked, parked);
                }
                heater if is_heater(heater) => self.heater(heater, fields),
                sensor if is_filament_sensor(sensor) => self.filament_sensor(sensor, fields),
                _ => {}
            }
        }
        let active = self.active_extruder.as_deref().unwrap_or("extruder");
        self.status.extruder = self.heaters.get(active).copied();
        self.status.bed = self.heaters.get("heater_bed").copied();
    }

    fn webhooks(&mut self, fields: &Value) {
        let state = fields.get("state").and_then(Value::as_str).and_then(klippy_state);
        set(&mut self.status.klippy, state);
        if let Some(message) = text(fields, "state_message") {
            self.klippy_message = Some(message).filter(|text| !text.is_empty());
        }
        self.choose_message();
    }

    fn print_stats(&mut self, fields: &Value) {
        let status = &mut self.status;
        set(&mut status.print, fields.get("state").and_then(Value::as_str).and_then(print_state));
        set(&mut status.total_duration_s, number(fields, "total_duration"));
        set(&mut status.print_duration_s, number(fields, "print_duration"));
        set(&mut status.filament_used_mm, number(fields, "filament_used"));
        if let Some(name) = text(fields, "filename") {
            status.filename = Some(name).filter(|name| !name.is_empty());
        }
        if let Some(info) = fields.get("info") {
            let layer = |field| {
                let count = info.get(field).and_then(Value::as_u64).filter(|count| *count > 0);
                count.and_then(|count| u32::try_from(count).ok())
            };
            status.layer = layer("current_layer");
            status.layers = layer("total_layer");
        }
        if let Some(message) = text(fields, "message") {
            self.print_message = Some(message).filter(|text| !text.is_empty());
            self.choose_message();
        }
    }

    fn exclude_object(&mut self, fields: &Value) {
        let objects = self.status.objects.get_or_insert_with(Objects::default);
        if let Some(known) = fields.get("objects").and_then(Value::as_array) {
            objects.known = known.iter().filter_map(print_object).collect();
        }
        if let Some(excluded) = fields.get("excluded_objects").and_then(Value::as_array) {
            objects.excluded =
                excluded.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if fields.get("current_object").is_some() {
            objects.current = text(fields, "current_object");
        }
    }

    fn filament_sensor(&mut self, name: &str, fields: &Value) {
        let flag = |field| fields.get(field).and_then(Value::as_bool);
        let (enabled, detected) =
            self.filament_sensors.entry(name.to_owned()).or_insert((true, true));
        set(enabled, flag("enabled"));
        set(detected, flag("filament_detected"));
        let misses =
            self.filament_sensors.values().any(|(enabled, detected)| *enabled && !detected);
        self.status.filament_missing = Some(misses);
    }

    fn heater(&mut self, name: &str, fields: &Value) {
        let target = number(fields, "target");
        let known = self.heaters.entry(name.to_owned()).or_default();
        if let Some(temperature) = number(fields, "temperature")
            && (target.is_some() || (temperature - known.temperature).abs() >= TEMPERATURE_STEP)
        {
            known.temperature = temperature;
        }
        set(&mut known.target, target);
    }

    /// While Klippy is not ready, what it says of itself matters more than how the last print ended.
    fn choose_message(&mut self) {
        let of_klippy =
            self.klippy_message.as_ref().filter(|_| self.status.klippy != KlippyState::Ready);
        self.status.message = of_klippy.or(self.print_message.as_ref()).cloned();
    }
}

/// Klippy's state by Moonraker's word for it.
pub(super) fn klippy_state(word: &str) -> Option<KlippyState> {
    match word {
        "ready" => Some(KlippyState::Ready),
        "startup" => Some(KlippyState::Startup),
        "shutdown" => Some(KlippyState::Shutdown),
        "error" => Some(KlippyState::Error),
        "disconnected" => Some(KlippyState::Disconnected),
        _ => None,
    }
}

fn print_state(word: &str) -> Option<PrintState> {
    match word {
        "standby" => Some(PrintState::Standby),
        "printing" => Some(PrintState::Printing),
        "paused" => Some(PrintState::Paused),
        "complete" => Some(PrintState::Complete),
        "error" => Some(PrintState::Error),
        "cancelled" => Some(PrintState::Cancelled),
        _ => None,
    }
}

fn print_object(object: &Value) -> Option<PrintObject> {
    let polygon = object.get("polygon").and_then(Value::as_array);
    Some(PrintObject {
        name: text(object, "name")?,
        center: object.get("center").and_then(numbers::<2>),
        polygon: polygon.into_iter().flatten().filter_map(numbers::<2>).collect(),
    })
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn number(fields: &Value, name: &str) -> Option<f64> {
    fields.get(name).and_then(Value::as_f64)
}

fn text(fields: &Value, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The first `N` of an array of at least as many numbers.
fn numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let mut found = [0.0; N];
    let values = value.as_array()?;
    for (index, slot) in found.iter_mut().enumerate() {
        *slot = values.get(index)?.as_f64()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(updates: &[Value]) -> Merged {
        let mut merged = Merged::default();
        updates.iter().for_each(|update| merged.merge(update));
        merged
    }

    #[test]
    fn only_objects_that_exist_are_subscribed_to_and_only_their_useful_fields() {
        let listed = json!({ "objects": ["gcode", "webhooks", "extruder", "extruder1", "extruder_stepper x", "motion_report", 7] });
        let wanted = subscription(&listed);
        let expected = json!({ "objects": {
            "webhooks": ["state", "state_message"],
            "extruder": ["temperature", "target"],
            "extruder1": ["temperature", "target"],
            "motion_report": ["live_position"],
        }});
        assert_eq!(wanted, expected);
        assert_eq!(subscription(&Value::Null), json!({ "objects": {} }));
    }

    #[test]
    fn partial_updates_change_what_they_carry_and_nothing_else() {
        let merged = merged(&[
            json!({ "webhooks": { "state": "ready", "state_message": "Printer is ready" },
                    "print_stats": { "state": "printing", "filename": "cube.gcode", "total_duration": 12.5,
                                     "info": { "total_layer": 80, "current_layer": 3 } },
                    "motion_report": { "live_position": [1.0, 2.0, 0.6, 44.0] } }),
            json!({ "print_stats": { "total_duration": 12.75 } }),
            json!({ "virtual_sdcard": { "progress": 0.25 } }),
        ]);
        let status = merged.status();
        assert_eq!((status.klippy, status.print), (KlippyState::Ready, PrintState::Printing));
        assert_eq!(status.filename.as_deref(), Some("cube.gcode"));
        assert_eq!((status.layer, status.layers), (Some(3), Some(80)));
        assert_eq!(status.live_position, Some([1.0, 2.0, 0.6]));
        assert_eq!((status.total_duration_s, status.progress), (12.75, Some(0.25)));
        assert_eq!(status.message, None, "a ready Klippy's own message is no news");
    }

    #[test]
    fn a_filament_sensor_that_is_on_and_sees_none_misses_filament() {
        let sensor = |enabled: bool, detected: bool| {
            let state = json!({ "enabled": enabled, "filament_detected": detected });
            let update = json!({ "filament_switch_sensor runout": state });
            merged(&[update]).status().filament_missing
        };
        assert_eq!(sensor(true, true), Some(false));
        assert_eq!(sensor(true, false), Some(true));
        assert_eq!(sensor(false, false), Some(false));
        assert_eq!(merged(&[]).status().filament_missing, None);
    }

    #[test]
    fn unknown_layers_and_empty_names_are_none() {
        let status = |info: Value| {
            let update = json!({ "print_stats": { "filename": "", "info": info } });
            merged(&[update]).status().clone()
        };
        for info in [
            json!({ "total_layer": null, "current_layer": null }),
            json!({ "current_layer": 0 }),
            json!("?"),
        ] {
            let status = status(info);
            assert_eq!((status.layer, status.layers, status.filename), (None, None, None));
        }
    }

    #[test]
    fn odd_types_leave_what_was_known() {
        let good = json!({ "print_stats": { "state": "paused", "filename": "a" }, "toolhead": { "homed_axes": "xyz" },
                           "motion_report": { "live_position": [1, 2, 3] } });
        let odd = json!({ "print_stats": { "state": "melting", "filename": 7, "total_duration": "long" },
                          "toolhead": null, "motion_report": { "live_position": [1, null] }, "exclude_object": [], "extra": {} });
        let merged = merged(&[good, odd, json!(null), json!([1])]);
        let status = merged.status();
        assert_eq!((status.print, status.filename.as_deref()), (PrintState::Paused, Some("a")));
        assert_eq!(
            (status.homed_axes.as_str(), status.live_position),
            ("xyz", Some([1.0, 2.0, 3.0]))
        );
    }

    #[test]
    fn noise_of_a_thermistor_is_not_news() {
        let heater = |temperature: f64| json!({ "extruder": { "temperature": temperature } });
        let mut merged =
            merged(&[json!({ "extruder": { "temperature": 199.8, "target": 200.0 } })]);
        let before = merged.status().clone();
        merged.merge(&heater(200.1));
        assert_eq!(*merged.status(), before);
        merged.merge(&heater(198.9));
        assert_eq!(merged.status().extruder, Some(Heater { temperature: 198.9, target: 200.0 }));
    }

    #[test]
    fn the_extruder_is_the_active_one() {
        let merged = merged(&[json!({
            "extruder": { "temperature": 30, "target": 0 }, "extruder1": { "temperature": 210, "target": 215 },
            "heater_bed": { "temperature": 60, "target": 60 }, "toolhead": { "extruder": "extruder1" } })]);
        assert_eq!(merged.status().extruder, Some(Heater { temperature: 210.0, target: 215.0 }));
        assert_eq!(merged.status().bed, Some(Heater { temperature: 60.0, target: 60.0 }));
    }

    #[test]
    fn objects_come_with_or_without_outlines() {
        let merged = merged(&[
            json!({ "exclude_object": { "objects": [
                { "name": "A", "center": [10, 20], "polygon": [[0, 0], [1, 0], [1, "?"]] }, { "name": "B" }, { "center": [1, 1] }],
                "excluded_objects": [], "current_object": "A" } }),
            json!({ "exclude_object": { "excluded_objects": ["A"], "current_object": null } }),
        ]);
        let objects = merged.status().objects.clone().unwrap();
        assert_eq!(objects.known.len(), 2);
        assert_eq!(objects.known[0].center, Some([10.0, 20.0]));
        assert_eq!(objects.known[0].polygon, [[0.0, 0.0], [1.0, 0.0]]);
        assert_eq!((objects.excluded, objects.current), (vec!["A".to_owned()], None));
    }

    #[test]
    fn a_shutdown_says_why() {
        let merged = merged(&[
            json!({ "webhooks": { "state": "ready" }, "print_stats": { "message": "" } }),
            json!({ "webhooks": { "state": "shutdown", "state_message": "MCU 'mcu' shutdown: Timer too close" } }),
        ]);
        assert_eq!(merged.status().klippy, KlippyState::Shutdown);
        assert_eq!(merged.status().message.as_deref(), Some("MCU 'mcu' shutdown: Timer too close"));
    }
}
