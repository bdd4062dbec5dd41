//! Actions as requests.

use serde_json::{Value, json};

use super::fault::MoonrakerFault;
use crate::core::types::{PrinterAction, PrinterStatus};

/// The method and parameters that do `action`, given what the printer last reported.
pub(super) fn request(
    action: &PrinterAction,
    status: &PrinterStatus,
) -> Result<(&'static str, Value), MoonrakerFault> {
    Ok(match action {
        PrinterAction::Pause => ("printer.print.pause", Value::Null),
        PrinterAction::Resume => ("printer.print.resume", Value::Null),
        PrinterAction::Cancel => ("printer.print.cancel", Value::Null),
        PrinterAction::TurnOffHeaters => {
            ("printer.gcode.script", json!({ "script": "TURN_OFF_HEATERS" }))
        }
        PrinterAction::ExcludeObject { object } => {
            check_object(object, status)?;
            ("printer.gcode.script", json!({ "script": format!("EXCLUDE_OBJECT NAME={object}") }))
        }
    })
}

/// The name becomes part of a G-code line: only what can be nothing else may pass, and only a name of this print.
fn check_object(name: &str, status: &PrinterStatus) -> Result<(), MoonrakerFault> {
    let harmless = |c: char| c.is_alphanumeric() || "_-.+:".contains(c);
    let bad = |why: String| Err(MoonrakerFault::BadObject { why });
    if name.is_empty() || name.len() > 256 || !name.chars().all(harmless) {
        return bad(format!(
            "{:?} may have only letters, digits, '_', '-', '.', '+' and ':', 1 to 256 bytes",
            name.chars().take(64).collect::<String>()
        ));
    }
    match &status.objects {
        None => bad("this printer has no [exclude_object] section".into()),
        Some(objects) if !objects.known.iter().any(|known| known.name == name) => {
            bad(format!("this print has no object named {name:?}"))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::{Objects, PrintObject};

    fn status_with(names: &[&str]) -> PrinterStatus {
        let known =
            names.iter().map(|name| PrintObject { name: (*name).into(), ..Default::default() });
        let objects = Objects { known: known.collect(), ..Default::default() };
        PrinterStatus { objects: Some(objects), ..Default::default() }
    }

    fn exclude(name: &str, status: &PrinterStatus) -> Result<Value, String> {
        let action = PrinterAction::ExcludeObject { object: name.into() };
        request(&action, status).map(|(_, params)| params).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_known_object_is_excluded_by_name() {
        let status = status_with(&["CUBE_ID_0_COPY_0", "ФИГУРА.1"]);
        let script = json!({ "script": "EXCLUDE_OBJECT NAME=CUBE_ID_0_COPY_0" });
        assert_eq!(exclude("CUBE_ID_0_COPY_0", &status), Ok(script));
        assert!(exclude("ФИГУРА.1", &status).is_ok());
    }

    #[test]
    fn nothing_that_could_be_other_gcode_passes_even_if_the_printer_lists_it() {
        for name in [
            "",
            "A B",
            "A\nM112",
            "A\rM112",
            "A;G28",
            "A\"",
            "A'",
            "A=1",
            "A#",
            "A*",
            "A\\",
            "A\u{2028}B",
            "A\u{0}",
        ] {
            assert!(exclude(name, &status_with(&[name])).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_object_of_another_print_is_refused() {
        let why = exclude("SPHERE", &status_with(&["CUBE"])).unwrap_err();
        assert!(why.contains("no object named \"SPHERE\""), "{why}");
        assert!(
            exclude("CUBE", &PrinterStatus::default()).unwrap_err().contains("[exclude_object]")
        );
    }
}
