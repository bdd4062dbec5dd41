//! The documents themselves, against Home Assistant's rules, the contract and a record of how they were.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::schema_for;
use serde_json::{Value, json};
use strandwatch::app::wiring::home_assistant;
use strandwatch::config;
use strandwatch::core::command::{Command, parse, row};
use strandwatch::core::document::StateDocument;
use strandwatch::hass::Device;
use strandwatch::mqtt::Base;

use super::rules::faults;
use crate::support::config::Home;

const TWO_CAMERAS: &str = "
[[printer]]
name = 'voron-24'
[[printer.camera]]
name = 'camera'
[[printer.camera]]
name = 'nozzle-cam'
url = 'http://cam.lan/stream'
";

fn client(rights: &str) -> String {
    format!(
        "[mqtt]\nhost = '127.0.0.1'\nusername = 'sw'\n\
         [[mqtt.client]]\nname = 'homeassistant'\nrights = ['{rights}']\n"
    )
}

fn devices(text: &str) -> Vec<Device> {
    let home = Home::new();
    let checked = config::load(Some(&home.write("strandwatch.toml", text))).unwrap();
    let base = Base::parse(&checked.mqtt.as_ref().unwrap().base).unwrap();
    home_assistant::devices(&checked, &checked.grants, &base)
}

/// The entities of a document by their keys.
fn entities(device: &Device) -> Vec<(&String, &Value)> {
    device.document["cmps"].as_object().unwrap().iter().collect()
}

#[test]
fn the_documents_keep_home_assistants_rules() {
    for (text, count) in [
        (format!("{}{TWO_CAMERAS}", client("owner")), 2),
        (format!("{}{TWO_CAMERAS}", client("household")), 2),
        (client("owner"), 2),
        (
            format!(
                "{}[home_assistant]\ndiscovery_prefix = 'ha/disc'\n\
                 [[printer]]\nname = 'a'\n[[printer]]\nname = 'b'\nmoonraker = 'http://b.lan'\n",
                client("owner").replace("[mqtt]\n", "[mqtt]\nbase = 'home/prin.ters'\n")
            ),
            3,
        ),
    ] {
        let devices = devices(&text);
        assert_eq!(devices.len(), count);
        let mut ids = BTreeSet::new();
        for device in &devices {
            let faults = faults(&device.topic, &device.document, &mut ids);
            assert!(faults.is_empty(), "{}: {faults:#?}", device.topic);
        }
    }
}

#[test]
fn the_rules_catch() {
    let device = devices(&client("owner")).remove(1);
    let spoil = |change: &dyn Fn(&mut Value)| {
        let mut document = device.document.clone();
        change(&mut document);
        let found = faults(&device.topic, &document, &mut BTreeSet::new());
        assert!(!found.is_empty(), "{document:#}");
    };
    spoil(&|document| document["printer"] = json!("voron"));
    spoil(&|document| document["dev"]["version"] = json!("1"));
    spoil(&|document| document["o"]["version"] = json!("1"));
    spoil(&|document| take_out(&mut document["dev"], "identifiers"));
    spoil(&|document| take_out(document, "o"));
    for key in ["p", "unique_id", "command_topic"] {
        spoil(&|document| take_out(&mut document["cmps"]["button_pause"], key));
    }
    spoil(&|document| {
        document["cmps"]["button_pause"]["unique_id"] = id_of(document, "switch_armed")
    });
    spoil(&|document| document["cmps"]["button_pause"]["retain"] = json!(true));
    spoil(&|document| document["cmps"]["button_pause"]["object_id"] = json!("pause"));
    spoil(&|document| document["cmps"]["sensor_model"]["entity_category"] = json!("config"));
    spoil(&|document| document["cmps"]["sensor_watch"]["unit_of_measurement"] = json!("%"));
    spoil(&|document| document["cmps"]["sensor_evidence"]["options"] = json!(["a"]));
    spoil(&|document| document["cmps"]["event_event"]["event_types"] = json!([]));
    spoil(&|document| document["cmps"]["sensor_watch"]["name"] = Value::Null);
    let topic = "homeassistant/device/a b/config";
    assert!(!faults(topic, &device.document, &mut BTreeSet::new()).is_empty());
}

fn id_of(document: &Value, entity: &str) -> Value {
    document["cmps"][entity]["unique_id"].clone()
}

fn take_out(table: &mut Value, key: &str) {
    table.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn the_documents_are_as_they_were() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hass"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for device in devices(&format!("{}{TWO_CAMERAS}", client("owner"))) {
            let id = device.topic.split('/').nth(2).unwrap().to_owned();
            let text = format!("{:#}", device.document);
            insta::assert_snapshot!(id, text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
        }
    });
}

#[test]
fn every_template_reads_fields_that_the_state_has() {
    let schema = schema_for!(StateDocument).to_value();
    let mut read = BTreeSet::new();
    for device in devices(&client("owner")).iter().skip(1) {
        let text = device.document.to_string();
        for piece in text.split("value_json.").skip(1) {
            read.insert(
                piece.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned(),
            );
        }
    }
    assert!(read.len() >= 12, "{read:?}");
    let unknown: Vec<_> =
        read.iter().filter(|field| schema["properties"].get(field).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What Home Assistant sends for a template: the moment of the press, and each value that may stand in it.
fn bodies(template: &str, entity: &Value) -> Vec<String> {
    let template = template.replace("{{ now().timestamp() }}", "1700000000.123456");
    let options: Vec<String> = match entity["p"].as_str().unwrap() {
        "select" => serde_json::from_value(entity["options"].clone()).unwrap(),
        "number" => vec![entity["min"].to_string(), entity["max"].to_string()],
        "switch" => {
            let expression = template.split("{{").nth(1).unwrap().split("}}").next().unwrap();
            let values: Vec<&str> = expression.split('\'').collect();
            // `'on' if value == 'ON' else 'off'`
            return [values[1], values[5]]
                .map(|value| template.replace(&format!("{{{{{expression}}}}}"), value))
                .to_vec();
        }
        _ => vec![String::new()],
    };
    options.iter().map(|option| template.replace("{{ value }}", option)).collect()
}

#[test]
fn what_is_sent_for_each_button_and_setting_is_a_request_that_is_understood() {
    let device = devices(&client("owner")).remove(1);
    let mut sent = BTreeSet::new();
    for (key, entity) in entities(&device) {
        let Some(topic) = entity["command_topic"].as_str() else { continue };
        let (before, command) = topic.rsplit_once('/').unwrap();
        assert_eq!(before, "strandwatch/client/homeassistant/request/printer");
        let row = row(command).unwrap();
        for body in bodies(entity["command_template"].as_str().unwrap(), entity) {
            let request = parse(row, body.as_bytes())
                .unwrap_or_else(|bad| panic!("{key} sends {body}: {}", bad.reason));
            assert_eq!(request.issued_at, Some(1_700_000_000.123_456), "{key}");
            sent.insert(key.clone());
            if let Command::Snooze { minutes } = request.command {
                assert_eq!(minutes, 30);
            }
        }
        assert_eq!(entity["qos"], 1, "{key}");
    }
    let expected = [
        "button_cancel",
        "button_confirm",
        "button_dismiss",
        "button_pause",
        "button_resume",
        "button_snapshot",
        "button_snooze",
        "number_false_alarms",
        "select_action",
        "switch_armed",
        "switch_auto_pause",
    ];
    assert_eq!(sent.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn home_assistant_is_offered_what_its_client_may_do_and_no_more() {
    let commanding = |text: &str| {
        let device = devices(text).remove(1);
        let keys =
            entities(&device).into_iter().filter(|(_, entity)| entity["command_topic"].is_string());
        keys.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let voting =
        ["button_confirm", "button_dismiss", "button_pause", "button_snapshot", "button_snooze"];
    assert_eq!(commanding(&client("household")), voting);
    assert_eq!(commanding(&client("observer")), ["button_snapshot"]);
    assert_eq!(commanding("[mqtt]\nhost = 'h'\nusername = 'sw'\n"), [""; 0]);
    let elsewhere = client("owner")
        + "printers = ['b']\n[[printer]]\nname = 'a'\n[[printer]]\nname = 'b'\nmoonraker = 'http://b'\n";
    assert_eq!(commanding(&elsewhere), [""; 0]);
}

#[test]
fn what_can_ruin_a_print_is_disabled_and_needs_the_printer() {
    let device = devices(&client("owner")).remove(1);
    let entity = |key: &str| &device.document["cmps"][key];
    for key in ["button_resume", "button_cancel", "camera_preview", "sensor_model"] {
        assert_eq!(entity(key)["enabled_by_default"], false, "{key}");
    }
    for key in ["button_pause", "button_resume", "button_cancel", "button_confirm"] {
        let topics: Vec<_> = entity(key)["availability"].as_array().unwrap().clone();
        let expected = ["strandwatch/status", "strandwatch/printer/availability"];
        assert_eq!(topics, expected.map(|topic| json!({ "topic": topic })), "{key}");
        assert_eq!(entity(key)["availability_mode"], "all", "{key}");
    }
    // The rest needs the daemon alone.
    assert_eq!(entity("binary_sensor_problem")["availability"], Value::Null);
    assert_eq!(device.document["availability"], json!([{ "topic": "strandwatch/status" }]));
}
