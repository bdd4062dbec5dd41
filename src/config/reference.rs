//! The reference of the configuration and the schema of the events, generated from their types.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde_json::Value;

use super::raw::{Act, Camera, Client, HomeAssistant, Log, Mqtt, Printer, Raw, Store, Watch};
use super::shape::{choices, in_toml, one_of, schema_of, type_of, without_null};
use crate::core::event::Event;

const HEAD: &str = "\
# Every key of strandwatch.toml, with its default. `strandwatch check --reference` prints this page.
#
# Write only what you want to change: an empty file is valid, and so is none. The environment goes before the file:
# STRANDWATCH_MQTT__HOST=broker sets host under [mqtt]. Paths may begin with ~/, and relative ones begin at this file's
# folder. `strandwatch check` finds every mistake at once.
";

/// `config/reference.toml`: every key with its documentation and its default. It is itself a valid configuration.
pub fn reference() -> String {
    let sections = [
        section::<Raw>("", ""),
        section::<Printer>("[[printer]]", ""),
        section::<Camera>("[[printer.camera]]", ""),
        section::<Watch>("[watch]", ""),
        section::<Act>("[act]", ""),
        section::<Mqtt>("[mqtt]", ""),
        section::<Client>("[[mqtt.client]]", "#"),
        section::<HomeAssistant>("[home_assistant]", ""),
        section::<Store>("[store]", ""),
        section::<Log>("[log]", ""),
    ];
    format!("{HEAD}\n{}", sections.join("\n"))
}

/// `config/event.schema.json`: the JSON schema of an event.
pub fn event_schema() -> String {
    let schema = schemars::schema_for!(Event);
    format!("{:#}\n", schema.to_value())
}

fn section<T: schemars::JsonSchema + DeserializeOwned>(header: &str, comment: &str) -> String {
    let schema = schema_of::<T>();
    let mut text = String::new();
    if !header.is_empty() {
        text.push_str(&paragraph(&describe(&schema)));
        text.push_str(&format!("{comment}{header}\n"));
    }
    let scalars = fields_of::<T>().iter().filter_map(|name| {
        let schema = &schema["properties"][*name];
        let inner = without_null(schema);
        let is_section = type_of(inner) == "object"
            || type_of(inner) == "array" && type_of(without_null(&inner["items"])) == "object";
        (!is_section).then_some((*name, schema))
    });
    for (position, (name, schema)) in scalars.enumerate() {
        let gap = if position > 0 { "\n" } else { "" };
        text.push_str(&format!("{gap}{}#{name} = {}\n", explain(schema), value(schema)));
    }
    text
}

/// What stands above a key.
fn explain(schema: &Value) -> String {
    let mut text = paragraph(&describe(schema));
    let inner = without_null(schema);
    let variants = inner.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    for variant in variants {
        for word in choices(variant).into_iter().flatten() {
            text.push_str(&paragraph(&format!("  {}: {}", in_toml(&word), describe(variant))));
        }
    }
    let inside = |name: &str| inner.get(name).filter(|value| !value.is_null()).map(in_toml);
    let bounds = inside("x-least")
        .zip(inside("x-most"))
        .or_else(|| inside("minimum").zip(inside("maximum")));
    if let Some(words) = choices(inner).filter(|_| inner.get("enum").is_some()) {
        let words: Vec<String> = words.iter().map(in_toml).collect();
        text.push_str(&format!("# {}.\n", one_of(&words)));
    } else if let Some((least, most)) = bounds {
        text.push_str(&format!("# From {least} to {most}.\n"));
    }
    text
}

/// The default; where there is none, an example.
fn value(schema: &Value) -> String {
    let default = schema.get("default").filter(|default| !default.is_null());
    default.or_else(|| schema["examples"].get(0)).map_or_else(|| "\"\"".to_owned(), in_toml)
}

fn describe(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` as comment lines of at most 100 characters.
fn paragraph(text: &str) -> String {
    let indent = &text[..text.len() - text.trim_start().len()];
    let mut lines = vec![format!("#{indent}")];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("#{indent} {word}")),
        }
    }
    format!("{}\n", lines.join("\n"))
}

/// The names of a struct's fields in the order of declaration, which a schema does not keep.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Ask<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(serde::de::Error::custom("only the names were asked for"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(serde::de::Error::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut fields: &'static [&'static str] = &[];
    // Always an error: nothing is deserialised, only asked.
    let _ = T::deserialize(Ask(&mut fields));
    fields
}
