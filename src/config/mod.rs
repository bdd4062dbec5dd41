//! Configuration: `strandwatch.toml`, over it the environment, beside it `secrets.toml`.
//!
//! The way of a value: `document` reads it and knows where it stands; `shape` holds it against the schema of `raw`;
//! `check` and its helpers check what no schema can say and give it its type in [`Checked`]. Problems gather on the way,
//! so that people see all of them at once.

mod broker;
mod check;
mod checked;
mod document;
mod paths;
mod printers;
mod problem;
mod raw;
mod reference;
mod secrets;
mod shape;
mod units;
mod web;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use checked::{
    Act, Camera, CameraSource, Checked, Endpoint, HomeAssistant, Log, Login, Managed, Mqtt,
    Printer, Rule, Store, Tls, Watch,
};
pub use paths::default_files;
pub use problem::{Level, Problem, Problems, by_place};
pub use raw::{LogFormat, LogLevel, UrlKind};
pub use reference::{event_schema, reference};

use document::Document;
use problem::{Key, Report};

/// Loads and checks the configuration: the file given, else the first of [`default_files`] that is there, else the
/// defaults; over it the environment's `STRANDWATCH_…`.
///
/// # Errors
/// Every problem at once, warnings with them, when at least one is an error.
pub fn load(explicit: Option<&Path>) -> Result<Checked, Problems> {
    let path = explicit
        .map(PathBuf::from)
        .or_else(|| default_files().into_iter().find(|path| path.exists()));
    let text = match path.as_deref().map(std::fs::read_to_string) {
        None => String::new(),
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(unreadable(&path.unwrap_or_default(), &error)),
    };
    let mut report = Report::default();
    let checked = check_text(path.as_deref(), text, &mut report);
    match checked {
        Some(checked) if !report.has_errors() => Ok(checked),
        _ => Err(Problems { list: report.problems, unreadable: false }),
    }
}

fn check_text(path: Option<&Path>, text: String, report: &mut Report) -> Option<Checked> {
    let (document, mut values) = Document::main(path, text, report)?;
    shape::fit(&document, &shape::schema_of::<raw::Raw>(), &Key::default(), &mut values, report);
    match serde_json::from_value::<raw::Raw>(values) {
        Ok(raw) => Some(check::check(&document, &raw, report)),
        Err(error) => {
            let write = "compare it with config/reference.toml";
            document.error(report, &Key::default(), error.to_string(), write);
            None
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let (why, write) = if error.kind() == ErrorKind::NotFound {
        ("there is no such file".to_owned(), "correct the path".to_owned())
    } else if error.kind() == ErrorKind::InvalidData {
        ("it is not UTF-8 text".to_owned(), "save it as UTF-8".to_owned())
    } else {
        let write = format!("ls -l {} shows who may read it", path.display());
        (format!("cannot be read: {error}"), write)
    };
    let mut report = Report::default();
    report.file(Level::Error, path, why, write);
    Problems { list: report.problems, unreadable: true }
}
