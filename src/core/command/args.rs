//! A request's own arguments, read and refused.

use serde_json::{Map, Value};

use super::BadRequest;

pub(super) struct Args<'a>(pub(super) &'a Map<String, Value>);

impl Args<'_> {
    pub(super) fn text(&self, name: &str) -> Result<String, BadRequest> {
        match self.0.get(name) {
            Some(Value::String(text)) if !text.is_empty() && text.chars().count() <= 256 => {
                Ok(text.clone())
            }
            other => Err(wrong(name, "a text of 1 to 256 characters", other)),
        }
    }

    pub(super) fn truth(&self, name: &str) -> Result<bool, BadRequest> {
        let found = self.0.get(name);
        found.and_then(Value::as_bool).ok_or_else(|| wrong(name, "true or false", found))
    }

    pub(super) fn number(&self, name: &str, least: f64, most: f64) -> Result<f64, BadRequest> {
        match self.0.get(name).and_then(Value::as_f64) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(wrong(name, &format!("a number from {least} to {most}"), self.0.get(name))),
        }
    }
}

pub(super) fn wrong(name: &str, wants: &str, found: Option<&Value>) -> BadRequest {
    let found = found.map_or_else(|| "nothing".to_owned(), |value| shorten(&value.to_string()));
    BadRequest { id: None, reason: format!("{name}: expected {wants}, found {found}") }
}

/// The first 40 characters: what others wrote may be long.
pub(in crate::core) fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(40).collect::<String>())
    }
}
