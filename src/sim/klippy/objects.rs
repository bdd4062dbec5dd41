//! The machine's state as Klipper's printer objects (<https://www.klipper3d.org/Status_Reference.html>).

use serde_json::{Map, Value, json};

use super::machine::{Job, Machine};
use crate::core::types::{Heater, KlippyState, PrintState};

/// Every object with all its fields.
pub(super) fn all(machine: &Machine) -> Map<String, Value> {
    let job = machine.job.as_ref();
    let state = job.map_or(PrintState::Standby, |job| job.state);
    let [x, y, z] = machine.position();
    let e = job.map_or(0.0, |job| job.filament_mm);
    let sensors = json!(["extruder", "heater_bed"]);
    let path = machine.options.gcodes.display().to_string();
    let printing = state == PrintState::Printing;
    let objects = json!({
        "gcode": { "commands": {} },
        "webhooks": { "state": klippy_word(machine.klippy), "state_message": machine.klippy_message },
        "configfile": {
            "config": { "virtual_sdcard": { "path": path } },
            "settings": { "virtual_sdcard": { "path": path }, "idle_timeout": { "timeout": machine.options.idle_timeout_s } },
            "warnings": [], "save_config_pending": false,
        },
        "print_stats": print_stats(job),
        "virtual_sdcard": {
            "file_path": job.map(|job| format!("{path}/{}", job.print.file)),
            "progress": job.map_or(0.0, Job::progress), "is_active": printing, "file_position": 0, "file_size": 1,
        },
        "pause_resume": { "is_paused": state == PrintState::Paused },
        "display_status": { "progress": job.map_or(0.0, Job::progress), "message": null },
        "exclude_object": exclude_object(job),
        "toolhead": {
            "homed_axes": if machine.homed { "xyz" } else { "" }, "extruder": "extruder", "position": [x, y, z, e],
            "axis_minimum": [0, 0, 0, 0], "axis_maximum": [220, 220, 250, 0], "print_time": machine.event_time,
            "estimated_print_time": machine.event_time, "stalls": 0, "max_velocity": 300, "max_accel": 3000,
        },
        "motion_report": {
            "live_position": [x, y, z, e], "live_velocity": if printing { 80 } else { 0 }, "steppers": ["stepper_x"],
        },
        "idle_timeout": {
            "state": if printing { "Printing" } else { "Ready" },
            "printing_time": job.map_or(0.0, |job| job.total_s), "idle_timeout": machine.options.idle_timeout_s,
        },
        "extruder": heater(&machine.extruder),
        "heater_bed": heater(&machine.bed),
        "heaters": { "available_heaters": sensors, "available_sensors": sensors },
        "gcode_macro TIMELAPSE_TAKE_FRAME": { "enable": true, "takingframe": machine.timelapse_parked },
    });
    match objects {
        Value::Object(mut objects) => {
            if machine.options.macros {
                let variables = json!({
                    "here": i32::from(machine.console.here),
                    "waiting": i32::from(machine.console.heard_by.is_some()),
                });
                objects.insert("gcode_macro _STRANDWATCH".to_owned(), variables);
            }
            objects
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// Of `all`, the objects in `wanted` and of each the listed fields, or all where null.
pub(super) fn chosen(all: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let pick = |(name, fields): (&String, &Value)| {
        let object = all.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let listed = fields.as_array();
        let kept = object.into_iter().filter(|(field, _)| {
            listed.is_none_or(|listed| listed.iter().any(|wanted| wanted == field))
        });
        (name.clone(), Value::Object(kept.collect()))
    };
    wanted.iter().map(pick).collect()
}

/// What of `now` differs from `before`, field by field.
pub(super) fn changed(before: &Map<String, Value>, now: &Map<String, Value>) -> Map<String, Value> {
    let differing = |(name, object): (&String, &Value)| {
        let known = before.get(name);
        let fields: Map<String, Value> = object
            .as_object()?
            .iter()
            .filter(|(field, value)| known.and_then(|known| known.get(field)) != Some(value))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        (!fields.is_empty()).then(|| (name.clone(), Value::Object(fields)))
    };
    now.iter().filter_map(differing).collect()
}

/// Klipper's word for a state; a Klippy that is disconnected says nothing.
pub(super) fn klippy_word(state: KlippyState) -> &'static str {
    match state {
        KlippyState::Ready => "ready",
        KlippyState::Startup | KlippyState::Disconnected => "startup",
        KlippyState::Shutdown => "shutdown",
        KlippyState::Error => "error",
    }
}

fn print_stats(job: Option<&Job>) -> Value {
    let Some(job) = job else {
        return json!({
            "state": "standby", "filename": "", "message": "", "total_duration": 0.0, "print_duration": 0.0,
            "filament_used": 0.0, "info": { "total_layer": null, "current_layer": null },
        });
    };
    let extruding = job.print_s > 0.0;
    let layer = match (job.print.reports_layers, extruding) {
        (true, true) => json!(job.print.layer_at(job.progress()).0 + 1),
        (true, false) => json!(0),
        (false, _) => Value::Null,
    };
    let layers = if job.print.reports_layers { json!(job.print.layers) } else { Value::Null };
    json!({
        "state": job.state, "filename": job.print.file, "message": job.message, "total_duration": job.total_s,
        "print_duration": job.print_s, "filament_used": job.filament_mm,
        "info": { "total_layer": layers, "current_layer": layer },
    })
}

fn exclude_object(job: Option<&Job>) -> Value {
    let current = job.filter(|job| job.state == PrintState::Printing && job.print_s > 0.0);
    json!({
        "objects": job.map_or(&[][..], |job| &job.print.objects),
        "excluded_objects": job.map_or(&[][..], |job| &job.excluded),
        "current_object": current.and_then(|job| job.print.head_at(job.progress(), &job.excluded).0),
    })
}

fn heater(heater: &Heater) -> Value {
    let temperature = (heater.temperature * 100.0).round() / 100.0;
    let power = if heater.temperature < heater.target { 1.0 } else { 0.0 };
    json!({ "temperature": temperature, "target": heater.target, "power": power })
}
