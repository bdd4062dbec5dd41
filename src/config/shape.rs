//! Holds a document against the schema of [`super::raw`] and reports everything that does not fit, where a plain
//! deserialiser would stop at the first. What does not fit is taken out, so that what remains can be checked as well.

use serde_json::{Map, Value};

use super::document::Document;
use super::problem::{Key, Report, nearest};
use super::units::{Bytes, Span};

/// Keys that stand in the secrets file only.
const SECRETS: [&str; 3] = ["api_key", "password", "canary_password"];

/// The JSON schema of `T`, nothing in it by reference.
pub(super) fn schema_of<T: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Reports what in `value` does not fit `schema`, and takes it out. Returns whether `value` itself fits.
pub(super) fn fit(
    document: &Document,
    schema: &Value,
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    let schema = without_null(schema);
    if let Some(words) = choices(schema) {
        return fit_choice(document, &words, key, value, report);
    }
    match type_of(schema) {
        "object" => fit_table(document, schema, key, value, report),
        "array" => fit_list(document, schema, key, value, report),
        "boolean" if value.is_boolean() => true,
        "string" => fit_text(document, schema, key, value, report),
        "integer" | "number" => fit_number(document, schema, key, value, report),
        _ => {
            let write = format!("write {}", assignment(key, schema));
            document.error(report, key, format!("must be {}", wanted(schema)), write);
            false
        }
    }
}

fn fit_table(
    document: &Document,
    schema: &Value,
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    let Value::Object(table) = value else {
        let header = key.header().unwrap_or_default();
        document.error(report, key, "must be a section", format!("write {header} on its own line"));
        return false;
    };
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (name, schema) in properties {
        if schema.get("x-required").is_some() && !table.contains_key(name) {
            let write = format!("write {}", assignment(&key.at(name), schema));
            document.error(report, &key.at(name), "is missing", write);
        }
    }
    let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
    table.retain(|name, inner| match properties.get(name).or(others) {
        Some(schema) => fit(document, schema, &key.at(name), inner, report),
        None => {
            unknown(document, properties, &key.at(name), name, report);
            false
        }
    });
    true
}

fn unknown(
    document: &Document,
    properties: &Map<String, Value>,
    key: &Key,
    name: &str,
    report: &mut Report,
) {
    let section = key.parent().header();
    let place = section.map_or_else(|| "at the top of the file".to_owned(), |s| format!("in {s}"));
    let all = properties.keys().map(String::as_str).collect::<Vec<_>>();
    let secret = nearest(name, SECRETS).filter(|secret| !document.secret && !all.contains(secret));
    if let Some(secret) = secret {
        let why = "secrets do not stand here: people show and back up this file";
        let write =
            format!("move it into the secrets file, as {secret} (config/README.md has an example)");
        document.error_unseen(report, key, why, write);
        return;
    }
    let write = match nearest(name, all.iter().copied()) {
        Some(meant) if document.variable(key).is_some() => {
            format!("did you mean {}?", key.parent().at(meant).variable())
        }
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("take it out; {place} may stand: {}", all.join(", ")),
    };
    document.error(report, key, format!("there is no key {name} {place}"), write);
}

fn fit_list(
    document: &Document,
    schema: &Value,
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    let items = &schema["items"];
    let Value::Array(list) = value else {
        let write = match type_of(without_null(items)) {
            "object" => format!("write {}", key.item(0).header().unwrap_or_default()),
            _ => format!("write {}", assignment(key, schema)),
        };
        document.error(report, key, "must be a list", write);
        return false;
    };
    let mut index = 0;
    list.retain_mut(|item| {
        index += 1;
        fit(document, items, &key.item(index - 1), item, report)
    });
    // Positions in the list are how problems name its items: a list with holes is not looked at further.
    list.len() == index
}

fn fit_choice(
    document: &Document,
    words: &[Value],
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    if words.contains(value) {
        return true;
    }
    let texts = words.iter().filter_map(Value::as_str);
    let meant = value.as_str().and_then(|found| nearest(found, texts));
    let shown = words.iter().map(Value::to_string).collect::<Vec<_>>();
    let why = format!("must be {}", one_of(&shown));
    let write = match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("write {} = {}", last(key), shown[0]),
    };
    document.error(report, key, why, write);
    false
}

fn fit_text(
    document: &Document,
    schema: &Value,
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    if !value.is_string() {
        // The environment has only texts; `1234` there may well be a user name.
        if let Some((_, raw)) = document.variable(key).filter(|_| !value.is_object()) {
            *value = Value::String(raw);
        }
    }
    let complaint = match (value.as_str(), schema.get("format").and_then(Value::as_str)) {
        (Some(text), Some("duration")) => fit_unit::<Span>(text, schema),
        (Some(text), Some("size")) => fit_unit::<Bytes>(text, schema),
        (Some(""), _) => Some("must not be empty".to_owned()),
        (Some(_), _) => None,
        (None, _) => Some(format!("must be {}", wanted(schema))),
    };
    let Some(why) = complaint else { return true };
    document.error(report, key, why, format!("write {}", assignment(key, schema)));
    false
}

fn fit_unit<T>(text: &str, schema: &Value) -> Option<String>
where
    T: std::str::FromStr<Err = super::units::BadUnit> + PartialOrd,
{
    let bound = |name: &str| schema.get(name).and_then(Value::as_str);
    let found = match text.parse::<T>() {
        Ok(found) => found,
        Err(error) => return Some(format!("must be {error}")),
    };
    let (least, most) = (bound("x-least")?, bound("x-most")?);
    let inside = least.parse::<T>().is_ok_and(|least| least <= found)
        && most.parse::<T>().is_ok_and(|most| found <= most);
    (!inside).then(|| format!("must lie between {least:?} and {most:?}"))
}

fn fit_number(
    document: &Document,
    schema: &Value,
    key: &Key,
    value: &mut Value,
    report: &mut Report,
) -> bool {
    let right_kind = match type_of(schema) {
        "integer" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let number = value.as_f64().unwrap_or(f64::NAN);
    let inside = bound("minimum").is_none_or(|least| number >= least)
        && bound("maximum").is_none_or(|most| number <= most);
    if right_kind && inside {
        return true;
    }
    let write = format!("write {}", assignment(key, schema));
    document.error(report, key, format!("must be {}", wanted(schema)), write);
    false
}

/// The schema behind an option.
pub(super) fn without_null(schema: &Value) -> &Value {
    let any = schema.get("anyOf").and_then(Value::as_array);
    any.and_then(|any| any.iter().find(|schema| type_of(schema) != "null")).unwrap_or(schema)
}

/// The values a schema of a choice allows.
pub(super) fn choices(schema: &Value) -> Option<Vec<Value>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter(|word| !word.is_null()).cloned().collect());
    }
    if let Some(word) = schema.get("const") {
        return Some(vec![word.clone()]);
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    Some(variants.iter().filter_map(choices).flatten().collect())
}

/// The schema's type, `null` aside.
pub(super) fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

/// What a schema takes, for people.
pub(super) fn wanted(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let kind = match (type_of(schema), schema.get("format").and_then(Value::as_str)) {
        ("boolean", _) => "true or false",
        ("integer", _) => "a whole number",
        ("number", _) => "a number",
        ("array", _) => "a list",
        (_, Some("duration")) => "a duration in quotes, such as \"10s\" or \"5m\"",
        (_, Some("size")) => "a size in quotes, such as \"500MB\"",
        _ => "a text in quotes",
    };
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{kind} from {least} to {most}"),
        _ => kind.to_owned(),
    }
}

/// `key = value` with the default, or an example.
fn assignment(key: &Key, schema: &Value) -> String {
    let example = schema.get("examples").and_then(|examples| examples.get(0));
    let default = schema.get("default").filter(|default| !default.is_null());
    match default.or(example) {
        Some(value) => format!("{} = {}", last(key), in_toml(value)),
        None => format!("{} as {}", last(key), wanted(schema)),
    }
}

/// The last name on the way to `key`.
fn last(key: &Key) -> String {
    key.to_string().rsplit('.').next().unwrap_or_default().to_owned()
}

/// A JSON value as TOML has it: the same for all that a default or an example may be.
pub(super) fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// `a, b or c`.
pub(super) fn one_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
