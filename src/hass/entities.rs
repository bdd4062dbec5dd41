//! What Home Assistant shows: one row an entity. Buttons are not here: a command names its own
//! ([`crate::core::command::Button`]).

use serde_json::Value;

use crate::core::command::ActionChoice;
use crate::core::event::EventKind;
use crate::core::watch::WatchWord;

/// What an entity tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The daemon.
    Daemon,
    /// Each printer.
    Printer,
    /// Each camera of each printer: `CAMERA` in a template stands for its part of the state document.
    Camera,
}

/// Where an entity reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `<base>/status`.
    Status,
    /// `<base>/health`.
    Health,
    /// `<base>/<printer>/availability`.
    Availability,
    /// `<base>/<printer>/state`.
    State,
    /// `<base>/<printer>/incident`.
    Incident,
    /// `<base>/<printer>/event`.
    Event,
    /// `<base>/<printer>/image/failure`.
    FailureImage,
    /// `<base>/<printer>/image/preview`.
    PreviewImage,
}

/// Home Assistant's kinds of entities, with what each needs of its own.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// On or off. The template gives `ON`, `OFF`, or `None` for unknown; without one the topic says `online` or `offline`.
    BinarySensor {
        /// Its device class.
        class: &'static str,
    },
    /// One of a few words.
    EnumSensor {
        /// The words.
        words: fn() -> Vec<String>,
    },
    /// A number that is worth a curve.
    Measurement {
        /// Its device class, where there is one.
        class: Option<&'static str>,
        /// Its unit.
        unit: &'static str,
        /// Decimals to show.
        precision: u8,
    },
    /// A moment.
    Timestamp,
    /// A text.
    Text,
    /// What happened.
    Event {
        /// Every type of event.
        types: fn() -> Vec<String>,
    },
    /// A picture that stays.
    Image,
    /// A picture that changes.
    Camera,
    /// On or off, to be set. The template gives `ON` or `OFF`.
    Switch {
        /// The name of the setting.
        setting: &'static str,
        /// What `set` sends for on, as JSON.
        on: &'static str,
        /// What it sends for off.
        off: &'static str,
    },
    /// A number, to be set.
    Number {
        /// The name of the setting.
        setting: &'static str,
        /// The least.
        min: f64,
        /// The most.
        max: f64,
        /// Between two values.
        step: f64,
        /// Its unit.
        unit: &'static str,
    },
    /// One of a few words, to be set.
    Select {
        /// The name of the setting.
        setting: &'static str,
        /// The words.
        words: fn() -> Vec<String>,
    },
}

/// Where Home Assistant shows an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Among what matters.
    Main,
    /// Among the settings.
    Config,
    /// Among what tells of the device itself.
    Diagnostic,
}

/// An entity's row.
#[derive(Debug, Clone, Copy)]
pub struct Entity {
    /// Unique in its device; part of its unique id, and so never changed.
    pub key: &'static str,
    /// What it tells of.
    pub of: Of,
    /// What it is called; `None` takes the device's name, and only its main entity does that.
    pub name: Option<&'static str>,
    /// A Material Design icon; `None` leaves it to the device class.
    pub icon: Option<&'static str>,
    /// Where it is shown.
    pub place: Place,
    /// Whether it is there from the start.
    pub enabled: bool,
    /// Where it reads.
    pub from: Source,
    /// How its value is made of what it reads there; `None` takes it as it is.
    pub value: Option<&'static str>,
    /// Where further attributes are read, and how they are made of it.
    pub attributes: Option<(Source, &'static str)>,
    /// What it is.
    pub kind: Kind,
}

const ENTITY: Entity = Entity {
    key: "",
    of: Of::Printer,
    name: None,
    icon: None,
    place: Place::Main,
    enabled: true,
    from: Source::State,
    value: None,
    attributes: None,
    kind: Kind::Text,
};

const DIAGNOSTIC: Entity = Entity { place: Place::Diagnostic, ..ENTITY };

const DETAIL: Entity = Entity { enabled: false, ..DIAGNOSTIC };

/// Every entity but the buttons.
pub const ENTITIES: &[Entity] = &[
    Entity {
        key: "connection",
        of: Of::Daemon,
        name: Some("Connection"),
        from: Source::Status,
        kind: Kind::BinarySensor { class: "connectivity" },
        ..DIAGNOSTIC
    },
    Entity {
        key: "command_plane",
        of: Of::Daemon,
        name: Some("Command plane"),
        icon: Some("mdi:shield-key"),
        from: Source::Health,
        value: Some("{{ 'open' if value_json.command_plane.open else 'closed' }}"),
        attributes: Some((Source::Health, "{{ {'why': value_json.command_plane.why} | tojson }}")),
        kind: Kind::EnumSensor { words: || vec!["open".to_owned(), "closed".to_owned()] },
        ..DIAGNOSTIC
    },
    Entity {
        key: "problem",
        // Not watched is not "no problem", unless there is nothing to watch.
        value: Some(
            "{{ 'ON' if value_json.problem else 'OFF' if value_json.watch == 'off' \
             or value_json.verdict in ['clear', 'suspect'] else 'None' }}",
        ),
        // The incident's topic is empty while there is none.
        attributes: Some((Source::Incident, "{{ value or '{}' }}")),
        kind: Kind::BinarySensor { class: "problem" },
        ..ENTITY
    },
    Entity {
        key: "confidence",
        name: Some("Failure confidence"),
        icon: Some("mdi:image-search"),
        value: Some(
            "{{ (value_json.score * 100) | round(1) if value_json.score is number else 'None' }}",
        ),
        kind: Kind::Measurement { class: None, unit: "%", precision: 0 },
        ..ENTITY
    },
    Entity {
        key: "evidence",
        name: Some("Evidence"),
        icon: Some("mdi:scale-balance"),
        value: Some("{{ (value_json.evidence * 100) | round(1) }}"),
        kind: Kind::Measurement { class: None, unit: "%", precision: 0 },
        ..ENTITY
    },
    Entity {
        key: "watch",
        name: Some("Watch state"),
        icon: Some("mdi:eye"),
        value: Some("{{ value_json.watch }}"),
        attributes: Some((
            Source::State,
            "{{ {'why': value_json.why, 'verdict': value_json.verdict, 'phase': value_json.phase} \
             | tojson }}",
        )),
        kind: Kind::EnumSensor { words: || words::<WatchWord>(None) },
        ..ENTITY
    },
    Entity {
        key: "event",
        name: Some("Event"),
        icon: Some("mdi:bell"),
        from: Source::Event,
        kind: Kind::Event { types: || words::<EventKind>(Some("event_type")) },
        ..ENTITY
    },
    Entity {
        key: "last_failure",
        name: Some("Last failure"),
        from: Source::FailureImage,
        kind: Kind::Image,
        ..ENTITY
    },
    Entity {
        key: "preview",
        name: Some("Preview"),
        enabled: false,
        from: Source::PreviewImage,
        kind: Kind::Camera,
        ..ENTITY
    },
    Entity {
        key: "armed",
        name: Some("Armed"),
        icon: Some("mdi:shield"),
        value: Some("{{ 'ON' if value_json.armed else 'OFF' }}"),
        kind: Kind::Switch { setting: "armed", on: "true", off: "false" },
        ..ENTITY
    },
    Entity {
        key: "auto_pause",
        name: Some("Auto-pause"),
        icon: Some("mdi:pause-octagon"),
        place: Place::Config,
        value: Some("{{ 'ON' if value_json.action == 'pause' else 'OFF' }}"),
        kind: Kind::Switch { setting: "action", on: "\"pause\"", off: "\"nothing\"" },
        ..ENTITY
    },
    Entity {
        key: "action",
        name: Some("Action on failure"),
        icon: Some("mdi:robot-industrial"),
        place: Place::Config,
        value: Some("{{ value_json.action }}"),
        kind: Kind::Select { setting: "action", words: || words::<ActionChoice>(None) },
        ..ENTITY
    },
    Entity {
        key: "false_alarms",
        name: Some("Tolerated false alarms"),
        icon: Some("mdi:tune"),
        place: Place::Config,
        value: Some("{{ value_json.false_alarms_per_100h }}"),
        kind: Kind::Number {
            setting: "false_alarms_per_100h",
            min: 0.01,
            max: 1000.0,
            step: 0.01,
            unit: "per 100 h",
        },
        ..ENTITY
    },
    Entity {
        key: "snoozed_until",
        name: Some("Snoozed until"),
        icon: Some("mdi:alarm-snooze"),
        value: Some(
            "{{ (value_json.snoozed_until | as_datetime).isoformat() \
             if value_json.snoozed_until is number else 'None' }}",
        ),
        kind: Kind::Timestamp,
        ..ENTITY
    },
    Entity {
        key: "printer_link",
        name: Some("Printer link"),
        from: Source::Availability,
        kind: Kind::BinarySensor { class: "connectivity" },
        ..DIAGNOSTIC
    },
    Entity {
        key: "link",
        of: Of::Camera,
        name: Some("link"),
        // A camera that nobody asks for frames is neither there nor away.
        value: Some(
            "{{ {'seeing': 'ON', 'impaired': 'ON', 'blind': 'OFF'}.get(CAMERA.get('health'), 'None') }}",
        ),
        attributes: Some((Source::State, "{{ {'why': CAMERA.get('why')} | tojson }}")),
        kind: Kind::BinarySensor { class: "connectivity" },
        ..DIAGNOSTIC
    },
    Entity {
        key: "infer_ms",
        of: Of::Camera,
        name: Some("inference time"),
        value: Some("{{ CAMERA.get('infer_ms') }}"),
        kind: Kind::Measurement { class: Some("duration"), unit: "ms", precision: 0 },
        ..DETAIL
    },
    Entity {
        key: "decoder",
        of: Of::Camera,
        name: Some("decoder"),
        icon: Some("mdi:chip"),
        value: Some("{{ CAMERA.get('decoder') }}"),
        ..DETAIL
    },
    Entity {
        key: "frames_per_minute",
        name: Some("Frames scored"),
        icon: Some("mdi:speedometer"),
        value: Some("{{ value_json.frames_per_minute }}"),
        kind: Kind::Measurement { class: None, unit: "frames/min", precision: 0 },
        ..DETAIL
    },
    Entity {
        key: "model",
        name: Some("Model"),
        icon: Some("mdi:brain"),
        value: Some("{{ value_json.model }}"),
        ..DETAIL
    },
];

impl Kind {
    /// Home Assistant's word for it.
    pub fn platform(&self) -> &'static str {
        match self {
            Self::BinarySensor { .. } => "binary_sensor",
            Self::EnumSensor { .. } | Self::Measurement { .. } | Self::Timestamp | Self::Text => {
                "sensor"
            }
            Self::Event { .. } => "event",
            Self::Image => "image",
            Self::Camera => "camera",
            Self::Switch { .. } => "switch",
            Self::Number { .. } => "number",
            Self::Select { .. } => "select",
        }
    }

    /// The setting that it changes and the value that it sends, as a template of JSON.
    pub fn order(&self) -> Option<(&'static str, String)> {
        match *self {
            Self::Switch { setting, on, off } => {
                Some((setting, format!("{{{{ '{on}' if value == 'ON' else '{off}' }}}}")))
            }
            Self::Number { setting, .. } => Some((setting, "{{ value }}".to_owned())),
            Self::Select { setting, .. } => Some((setting, "\"{{ value }}\"".to_owned())),
            Self::BinarySensor { .. }
            | Self::EnumSensor { .. }
            | Self::Measurement { .. }
            | Self::Timestamp
            | Self::Text
            | Self::Event { .. }
            | Self::Image
            | Self::Camera => None,
        }
    }

    /// Home Assistant's word for where it reads.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Image => "image_topic",
            Self::Camera => "topic",
            Self::BinarySensor { .. }
            | Self::EnumSensor { .. }
            | Self::Measurement { .. }
            | Self::Timestamp
            | Self::Text
            | Self::Event { .. }
            | Self::Switch { .. }
            | Self::Number { .. }
            | Self::Select { .. } => "state_topic",
        }
    }
}

/// Every word of an enumeration, or of its tag, as JSON has it.
fn words<T: schemars::JsonSchema>(tag: Option<&str>) -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    variants
        .flat_map(|variant| {
            let variant = tag.map_or(variant, |tag| &variant["properties"][tag]);
            let several = variant["enum"].as_array().into_iter().flatten();
            several.chain(variant.get("const"))
        })
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_contract() {
        assert_eq!(words::<WatchWord>(None), ["off", "watching", "degraded", "blind"]);
        assert_eq!(words::<ActionChoice>(None), ["pause", "cancel", "exclude_object", "nothing"]);
        let types = words::<EventKind>(Some("event_type"));
        assert!(types.len() >= 16, "{types:?}");
        for name in ["watching", "alert", "act_failed", "self_test"] {
            assert!(types.iter().any(|word| word == name), "{types:?}");
        }
    }
}
