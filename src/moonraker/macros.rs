//! What the printer's own macros (`klipper/strandwatch.cfg`) ask of us, and what they are told.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::core::authz::{Principal, VerifiedCredential};
use crate::core::types::Name;
use crate::ports::IncomingRequest;

/// The method that the macros call. Its parameters are `command` and the command's own arguments; empty ones are as good
/// as none.
pub(super) const METHOD: &str = "strandwatch_command";

/// The object that a printer with our macros has.
const MACRO: &str = "gcode_macro _STRANDWATCH";

/// Tells the macros that somebody listens.
pub(super) const HERE: &str = "SET_GCODE_VARIABLE MACRO=_STRANDWATCH VARIABLE=here VALUE=1";

/// Tells them that their call was heard.
pub(super) const HEARD: &str = "SET_GCODE_VARIABLE MACRO=_STRANDWATCH VARIABLE=waiting VALUE=0\n\
                                SET_GCODE_VARIABLE MACRO=_STRANDWATCH VARIABLE=here VALUE=1";

/// Whether `printer.objects.list` has our macros.
pub(super) fn are_among(listed: &Value) -> bool {
    let objects = listed.get("objects").and_then(Value::as_array);
    objects.into_iter().flatten().filter_map(Value::as_str).any(|name| name == MACRO)
}

/// The request that a call makes; `None` when it names no command. The call was made just now, and once: Moonraker
/// neither keeps nor repeats calls.
pub(super) fn request(
    params: &Value,
    printer: &Name,
    now: SystemTime,
    count: u64,
) -> Option<IncomingRequest> {
    let command = params.get("command")?.as_str()?.to_owned();
    let given = params.as_object()?.iter().filter(|(key, value)| *key != "command" && *value != "");
    let mut body: Map<String, Value> =
        given.map(|(key, value)| (key.clone(), value.clone())).collect();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    body.insert("id".to_owned(), Value::from(format!("{}-{count}", since.as_millis())));
    body.insert("issued_at".to_owned(), Value::from(since.as_secs_f64()));
    Some(IncomingRequest {
        sender: Ok(Principal::new(VerifiedCredential::PrinterMacro).ok()?),
        printer: printer.to_string(),
        command,
        retained: false,
        payload: serde_json::to_vec(&body).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_becomes_a_request_of_the_console_at_its_own_printer_made_now() {
        let params = json!({ "command": "snooze", "minutes": 30, "incident": "", "id": "forged", "issued_at": 1 });
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let request = request(&params, &Name::parse("voron").unwrap(), now, 7).unwrap();
        assert!(request.sender.unwrap().is_console());
        assert_eq!((request.printer.as_str(), request.command.as_str()), ("voron", "snooze"));
        let body: Value = serde_json::from_slice(&request.payload).unwrap();
        let expected =
            json!({ "minutes": 30, "id": "1700000000500-7", "issued_at": 1_700_000_000.5 });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_call_that_names_no_command_asks_for_nothing() {
        let voron = Name::parse("voron").unwrap();
        for params in [json!(null), json!({}), json!({ "command": 7 }), json!(["pause"])] {
            assert_eq!(request(&params, &voron, SystemTime::now(), 1), None, "{params}");
        }
    }
}
