//! The documents of MQTT discovery, one a device. Home Assistant drops a whole document for one key that it does not know
//! at its top or in `device` and `origin`; of an entity it ignores such a key, and drops the entity for a wrong value.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::entities::{ENTITIES, Entity, Kind, Of, Place, Source};
use super::{Printer, Setup};
use crate::core::command::{Button, COMMANDS, CommandRow};
use crate::core::types::Name;

/// A device's document and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// The whole topic, retained.
    pub topic: String,
    /// The document.
    pub document: Value,
    /// Its entities: the kind of each by its key in the document.
    pub entities: BTreeMap<String, String>,
}

/// Everything that Home Assistant is to know: the daemon, then each printer.
pub fn devices(setup: &Setup) -> Vec<Device> {
    let printers = setup.printers.iter().map(|printer| printer_device(setup, printer));
    [daemon_device(setup)].into_iter().chain(printers).collect()
}

fn daemon_device(setup: &Setup) -> Device {
    let id = slug(&setup.base);
    let mut components = Components::new(&id);
    for entity in ENTITIES.iter().filter(|entity| entity.of == Of::Daemon) {
        let mut fields = shown(entity, entity.name.map(str::to_owned), entity.value);
        let from = source(setup, None, entity.from);
        fields.insert(entity.kind.topic().to_owned(), json!(from));
        add_attributes(&mut fields, entity, None, |from| source(setup, None, from));
        if entity.from == Source::Status {
            // It tells whether the others can be had.
            fields.insert("availability".to_owned(), json!([]));
        }
        components.add(entity.key, entity.kind.platform(), fields);
    }
    let name = match setup.base.as_str() {
        "strandwatch" => "Strandwatch".to_owned(),
        base => format!("Strandwatch ({base})"),
    };
    let device = json!({ "name": name, "model": "Print watcher" });
    components.device(setup, &id, device, &[&setup.status])
}

fn printer_device(setup: &Setup, printer: &Printer) -> Device {
    let id = format!("{}_{}", slug(&setup.base), printer.name);
    let mut components = Components::new(&id);
    for entity in ENTITIES {
        match entity.of {
            Of::Daemon => {}
            Of::Printer => add(&mut components, setup, printer, entity, None),
            Of::Camera => {
                for camera in &printer.cameras {
                    add(&mut components, setup, printer, entity, Some(camera));
                }
            }
        }
    }
    for row in COMMANDS {
        if let (Some(button), Some(topic)) = (&row.button, printer.requests.get(row.name)) {
            add_button(&mut components, setup, printer, row, button, topic);
        }
    }
    let device = json!({
        "name": title(printer.name.as_str()),
        "model": "Watched printer",
        "via_device": slug(&setup.base),
    });
    components.device(setup, &id, device, &[&setup.status])
}

fn add(
    components: &mut Components,
    setup: &Setup,
    printer: &Printer,
    entity: &Entity,
    camera: Option<&Name>,
) {
    let part = camera.map(|camera| format!("value_json.cameras.get('{camera}', {{}})"));
    let filled = |template: &str| match &part {
        Some(part) => template.replace("CAMERA", part),
        None => template.to_owned(),
    };
    let (key, name) = match camera {
        Some(camera) => (
            format!("camera_{camera}_{}", entity.key),
            entity.name.map(|name| format!("{} {name}", camera_title(camera))),
        ),
        None => (entity.key.to_owned(), entity.name.map(str::to_owned)),
    };
    let value = entity.value.map(&filled);
    let mut fields = shown(entity, name, value.as_deref());
    let from = source(setup, Some(printer), entity.from);
    fields.insert(entity.kind.topic().to_owned(), json!(from));
    add_attributes(&mut fields, entity, part.as_deref(), |from| source(setup, Some(printer), from));
    if let Some((setting, value)) = entity.kind.order() {
        // Without the right to change it, there is nothing to be shown.
        let Some(topic) = printer.requests.get("set") else { return };
        let body = request(&[("name", format!("\"{setting}\"")), ("value", value)]);
        fields.extend(command(topic, body));
    }
    components.add(&key, entity.kind.platform(), fields);
}

fn add_button(
    components: &mut Components,
    setup: &Setup,
    printer: &Printer,
    row: &CommandRow,
    button: &Button,
    topic: &str,
) {
    let args: Vec<_> = button.args.iter().map(|(name, value)| (*name, value.to_string())).collect();
    let mut fields = command(topic, request(&args));
    fields.insert("name".to_owned(), json!(button.label));
    fields.insert("icon".to_owned(), json!(button.icon));
    if !button.enabled {
        fields.insert("enabled_by_default".to_owned(), json!(false));
    }
    if row.moves {
        fields.extend(available(&[&setup.status, &printer.availability]));
    }
    components.add(row.name, "button", fields);
}

/// What an entity is by itself: all but its topics.
fn shown(entity: &Entity, name: Option<String>, value: Option<&str>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| {
        fields.insert(key.to_owned(), value);
    };
    put("name", json!(name));
    if let Some(icon) = entity.icon {
        put("icon", json!(icon));
    }
    if !entity.enabled {
        put("enabled_by_default", json!(false));
    }
    match entity.place {
        Place::Main => {}
        Place::Config => put("entity_category", json!("config")),
        Place::Diagnostic => put("entity_category", json!("diagnostic")),
    }
    if let Some(value) = value {
        put("value_template", json!(value));
    }
    match entity.kind {
        Kind::BinarySensor { class } => {
            put("device_class", json!(class));
            if value.is_none() {
                put("payload_on", json!("online"));
                put("payload_off", json!("offline"));
            }
        }
        Kind::EnumSensor { words } => {
            put("device_class", json!("enum"));
            put("options", json!(words()));
        }
        Kind::Measurement { class, unit, precision } => {
            if let Some(class) = class {
                put("device_class", json!(class));
            }
            put("unit_of_measurement", json!(unit));
            put("state_class", json!("measurement"));
            put("suggested_display_precision", json!(precision));
        }
        Kind::Timestamp => put("device_class", json!("timestamp")),
        Kind::Text | Kind::Camera | Kind::Switch { .. } => {}
        Kind::Event { types } => {
            put("event_types", json!(types()));
            put("qos", json!(1));
        }
        Kind::Image => put("content_type", json!("image/jpeg")),
        Kind::Number { min, max, step, unit, .. } => {
            put("min", json!(min));
            put("max", json!(max));
            put("step", json!(step));
            put("mode", json!("box"));
            put("unit_of_measurement", json!(unit));
        }
        Kind::Select { words, .. } => put("options", json!(words())),
    }
    fields
}

fn add_attributes(
    fields: &mut Map<String, Value>,
    entity: &Entity,
    camera: Option<&str>,
    topic: impl Fn(Source) -> String,
) {
    if let Some((from, template)) = entity.attributes {
        let template = template.replace("CAMERA", camera.unwrap_or_default());
        fields.insert("json_attributes_topic".to_owned(), json!(topic(from)));
        fields.insert("json_attributes_template".to_owned(), json!(template));
    }
}

/// Where a request goes and how.
fn command(topic: &str, body: String) -> Map<String, Value> {
    let pairs = [("command_topic", json!(topic)), ("command_template", json!(body))];
    let pairs = pairs.into_iter().chain([("qos", json!(1))]);
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A request's body as a template: the moment of pressing is its id and its `issued_at`.
fn request(args: &[(&str, String)]) -> String {
    let now = "{{ now().timestamp() }}";
    let args: String = args.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
    format!("{{\"id\":\"{now}\",\"issued_at\":{now}{args}}}")
}

fn available(topics: &[&String]) -> Map<String, Value> {
    let list: Vec<Value> = topics.iter().map(|topic| json!({ "topic": topic })).collect();
    let pairs = [("availability", json!(list)), ("availability_mode", json!("all"))];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn source(setup: &Setup, printer: Option<&Printer>, from: Source) -> String {
    let of = |pick: fn(&Printer) -> &String| printer.map(pick).cloned().unwrap_or_default();
    match from {
        Source::Status => setup.status.clone(),
        Source::Health => setup.health.clone(),
        Source::Availability => of(|printer| &printer.availability),
        Source::State => of(|printer| &printer.state),
        Source::Incident => of(|printer| &printer.incident),
        Source::Event => of(|printer| &printer.event),
        Source::FailureImage => of(|printer| &printer.failure_image),
        Source::PreviewImage => of(|printer| &printer.preview_image),
    }
}

/// The entities of a document under way.
struct Components<'a> {
    id: &'a str,
    components: Map<String, Value>,
    entities: BTreeMap<String, String>,
}

impl<'a> Components<'a> {
    fn new(id: &'a str) -> Self {
        Self { id, components: Map::new(), entities: BTreeMap::new() }
    }

    fn add(&mut self, key: &str, platform: &str, mut fields: Map<String, Value>) {
        // With the kind in it: one that changes its kind is another entity, and the old one can be taken back.
        let component = format!("{platform}_{key}");
        let entity = format!("{platform}.{}_{key}", self.id).replace('-', "_");
        fields.insert("p".to_owned(), json!(platform));
        fields.insert("unique_id".to_owned(), json!(format!("{}_{component}", self.id)));
        fields.insert("default_entity_id".to_owned(), json!(entity));
        self.components.insert(component.clone(), Value::Object(fields));
        self.entities.insert(component, platform.to_owned());
    }

    fn device(self, setup: &Setup, id: &str, mut device: Value, needs: &[&String]) -> Device {
        device["identifiers"] = json!([id]);
        device["manufacturer"] = json!("Strandwatch");
        device["sw_version"] = json!(setup.version);
        let mut document = available(needs);
        document.insert("dev".to_owned(), device);
        document.insert("o".to_owned(), json!({ "name": "Strandwatch", "sw": setup.version }));
        document.insert("cmps".to_owned(), Value::Object(self.components));
        Device {
            topic: format!("{}/device/{id}/config", setup.prefix),
            document: Value::Object(document),
            entities: self.entities,
        }
    }
}

/// A base topic as a part of ids.
fn slug(base: &str) -> String {
    base.replace(['/', '.'], "_")
}

/// A name for people: `voron-24` is "Voron 24".
fn title(name: &str) -> String {
    let mut words = name.replace(['-', '_'], " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// "Bed camera", and not "Camera camera".
fn camera_title(camera: &Name) -> String {
    let title = title(camera.as_str());
    if title.to_ascii_lowercase().contains("camera") { title } else { format!("{title} camera") }
}
