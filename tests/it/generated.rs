//! What is generated is up to date: the configuration's reference, the events' schema, the tables of `config/README.md`.

use std::path::Path;

use schemars::schema_for;
use serde_json::{Value, json};
use strandwatch::config;
use strandwatch::core::audit::CHECKS;
use strandwatch::core::command::COMMANDS;
use strandwatch::core::document::{IncidentDocument, StateDocument};

use crate::check::problems;

/// Compares a file with what it is generated from; `STRANDWATCH_TEST_UPDATE=1` writes it anew.
#[track_caller]
fn up_to_date(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    if std::env::var_os("STRANDWATCH_TEST_UPDATE").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "config/{name} is out of date: STRANDWATCH_TEST_UPDATE=1 cargo nextest run generated writes it anew"
    );
}

#[test]
fn the_reference_is_up_to_date_and_itself_valid() {
    up_to_date("reference.toml", &config::reference());
    let found = problems(&config::reference());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_key_of_the_reference_is_one() {
    let reference = config::reference();
    let is_key = |line: &&str| {
        line.strip_prefix('#').is_some_and(|key| key.starts_with(|c: char| c.is_lowercase()))
    };
    let keys: Vec<&str> = reference.lines().filter(is_key).collect();
    assert!(keys.len() > 40, "{keys:#?}");
    let all: Vec<String> = reference
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_lowercase() || c == '[') => key.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    // The alternatives for a camera exclude one another, and the examples of files are not there.
    for (what, problem) in problems(&all.join("\n")) {
        let key = what.split(' ').nth(1).unwrap();
        let expected = [
            "printer[0].camera[0].url",
            "printer[0].camera[0].kind",
            "watch.models",
            "watch.onnxruntime",
            "mqtt.ca_file",
            "mqtt.username",
            // A broker is our own or somebody else's.
            "mqtt.host",
            "mqtt.port",
            "mqtt.client_id",
            "mqtt.canary",
            "secrets",
        ];
        assert!(expected.contains(&key), "{what}: {problem:#}");
    }
}

#[test]
fn the_schema_of_the_events_is_up_to_date_and_takes_an_event() {
    up_to_date("event.schema.json", &config::event_schema());
    let schema: Value = serde_json::from_str(&config::event_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut event = json!({
        "schema": 1, "id": "a", "seq": 1, "at": 1700000000.5, "printer": "printer", "job": null,
        "event_type": "paused", "incident": null, "by": "strandwatch", "idle_timeout_s": 600.0,
    });
    assert!(validator.is_valid(&event), "{:?}", validator.iter_errors(&event).next());
    event["event_type"] = json!("vanished");
    assert!(!validator.is_valid(&event));
}

#[test]
fn the_readme_has_every_command_every_event_and_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let page = put_between(&page, "commands", &command_table());
    let page = put_between(&page, "state", &field_table(&schema_for!(StateDocument)));
    let page = put_between(&page, "incident", &field_table(&schema_for!(IncidentDocument)));
    let page = put_between(&page, "audit", &audit_table());
    up_to_date("README.md", &put_between(&page, "events", &event_table()));
}

fn command_table() -> String {
    let mut table = String::from("| command | arguments | right | |\n|---|---|---|---|\n");
    for row in COMMANDS {
        let args: Vec<_> =
            row.args.iter().map(|arg| format!("`{}`: {}", arg.name, arg.takes)).collect();
        let moves = if row.moves { " Needs `issued_at`." } else { "" };
        let (args, right) = (args.join("<br>"), row.right.name());
        table.push_str(&format!("| `{}` | {args} | {right} | {}{moves} |\n", row.name, row.doc));
    }
    table
}

fn audit_table() -> String {
    let mut table = String::from(
        "| check | what must hold | if it does not | commands rest on it under |\n|---|---|---|---|\n",
    );
    for row in CHECKS {
        let trusts: Vec<_> =
            row.carries.iter().map(|trust| format!("`{}`", trust.word())).collect();
        let trusts = if trusts.is_empty() { "(a warning)".to_owned() } else { trusts.join(", ") };
        table
            .push_str(&format!("| `{}` | {} | {} | {trusts} |\n", row.name, row.holds, row.remedy));
    }
    table
}

fn event_table() -> String {
    let schema: Value = serde_json::from_str(&config::event_schema()).unwrap();
    let mut table = String::from("| `event_type` | | its own fields |\n|---|---|---|\n");
    for variant in schema["oneOf"].as_array().unwrap() {
        let properties = variant["properties"].as_object().unwrap();
        let fields: Vec<_> = properties
            .iter()
            .filter(|(name, _)| *name != "event_type")
            .map(|(name, field)| {
                let doc = field["description"].as_str().unwrap_or_default();
                format!("`{name}`: {}", doc.replace('\n', " "))
            })
            .collect();
        let name = properties["event_type"]["const"].as_str().unwrap();
        let doc = variant["description"].as_str().unwrap();
        table.push_str(&format!("| `{name}` | {doc} | {} |\n", fields.join("<br>")));
    }
    table
}

/// A document's fields.
fn field_table(schema: &schemars::Schema) -> String {
    let properties = schema.get("properties").and_then(Value::as_object).unwrap();
    let mut table = String::from("| field | |\n|---|---|\n");
    for (name, field) in properties {
        let doc = field["description"].as_str().unwrap().replace('\n', " ");
        table.push_str(&format!("| `{name}` | {doc} |\n"));
    }
    table
}

/// The page with `generated` between the two marks.
#[track_caller]
fn put_between(page: &str, mark: &str, generated: &str) -> String {
    let (open, close) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = page.split_once(&open).expect("the opening mark");
    let (_, after) = rest.split_once(&close).expect("the closing mark");
    format!("{before}{open}{generated}{close}{after}")
}
