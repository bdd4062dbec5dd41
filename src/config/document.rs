//! One source of configuration, and where in it a key stands: a TOML file, and over it the environment.

use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Serialized};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Key, Level, Problem, Report, Step};

/// What an environment variable that sets a key begins with; `__` stands between levels.
pub(super) const PREFIX: &str = "STRANDWATCH_";

/// Variables that begin like that and are not configuration: the tests' own.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with("test_") && name != "rig"
}

/// A file's text with its values, the environment's over them.
#[derive(Debug)]
pub(super) struct Document {
    /// Where the text comes from; `None` when there is no file at all.
    pub path: Option<PathBuf>,
    text: String,
    /// What the environment sets.
    environment: Value,
    /// Whether its values must not be shown.
    pub secret: bool,
}

impl Document {
    /// Reads the main file's text, and over it the environment.
    pub fn main(path: Option<&Path>, text: String, report: &mut Report) -> Option<(Self, Value)> {
        let variables = || Env::prefixed(PREFIX).filter(|name| is_ours(name.as_str())).split("__");
        let environment = Figment::from(variables()).extract().unwrap_or(Value::Null);
        let document = Self { path: path.map(Path::to_owned), text, environment, secret: false };
        let table = document.parse(report)?;
        let merged = Figment::from(Serialized::defaults(table)).merge(variables()).extract();
        document.values(merged, report)
    }

    /// Reads the text of the secrets file.
    pub fn secrets(path: &Path, text: String, report: &mut Report) -> Option<(Self, Value)> {
        let document =
            Self { path: Some(path.to_owned()), text, environment: Value::Null, secret: true };
        let table = document.parse(report)?;
        let values = Figment::from(Serialized::defaults(table)).extract();
        document.values(values, report)
    }

    fn values(
        self,
        values: Result<Value, figment::Error>,
        report: &mut Report,
    ) -> Option<(Self, Value)> {
        match values {
            Ok(values) => Some((self, values)),
            Err(error) => {
                let write = "check this file and the STRANDWATCH_ variables".to_owned();
                self.add(report, Level::Error, &Key::default(), error.to_string(), write);
                None
            }
        }
    }

    /// Parses the text, or reports every error of its syntax.
    fn parse(&self, report: &mut Report) -> Option<toml::Table> {
        let (_, mut errors) = DeTable::parse_recoverable(&self.text);
        let table = toml::from_str(&self.text);
        // Some faults, such as a number that fits no type, show only when values are made.
        errors.extend(table.as_ref().err().filter(|_| errors.is_empty()).cloned());
        for error in &errors {
            let (line, column) = self.position(error.span().map_or(0, |span| span.start));
            report.problems.push(Problem {
                level: Level::Error,
                place: self.place(),
                line: Some(line),
                column: Some(column),
                key: String::new(),
                found: (!self.secret).then(|| self.line_text(line)).filter(|text| !text.is_empty()),
                why: format!("not valid TOML: {}", error.message()),
                write: "write each setting as key = value; texts stand in \"quotes\"".to_owned(),
            });
        }
        table.ok()
    }

    /// The variable that sets `key`, if the environment does, with its raw value.
    pub fn variable(&self, key: &Key) -> Option<(String, String)> {
        let value = key.0.iter().try_fold(&self.environment, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Item(index) => value.get(index),
        });
        value?;
        (1..=key.0.len()).rev().find_map(|length| {
            let name = Key(key.0[..length].to_vec()).variable();
            std::env::var(&name).ok().map(|raw| (name, raw))
        })
    }

    /// Adds a problem with `key`, saying where it stands and what stands there.
    pub fn add(&self, report: &mut Report, level: Level, key: &Key, why: String, write: String) {
        let mut problem = Problem {
            level,
            place: self.place(),
            line: None,
            column: None,
            key: key.to_string(),
            found: None,
            why,
            write,
        };
        if let Some((name, raw)) = self.variable(key) {
            problem.place = format!("${name}");
            problem.found = Some(shorten(&raw));
        } else if let Ok(table) = DeTable::parse(&self.text) {
            let (span, value) = find(&table, &key.0);
            problem.line = span.map(|span| self.position(span.start).0);
            problem.found = value.map(|value| self.show(value));
        }
        report.problems.push(problem);
    }

    /// Adds an error.
    pub fn error(
        &self,
        report: &mut Report,
        key: &Key,
        why: impl Into<String>,
        write: impl Into<String>,
    ) {
        self.add(report, Level::Error, key, why.into(), write.into());
    }

    /// Adds an error without showing what was found, as that is a secret.
    pub fn error_unseen(
        &self,
        report: &mut Report,
        key: &Key,
        why: impl Into<String>,
        write: impl Into<String>,
    ) {
        self.error(report, key, why, write);
        if let Some(problem) = report.problems.last_mut() {
            problem.found = None;
        }
    }

    /// Adds a warning.
    pub fn warning(
        &self,
        report: &mut Report,
        key: &Key,
        why: impl Into<String>,
        write: impl Into<String>,
    ) {
        self.add(report, Level::Warning, key, why.into(), write.into());
    }

    fn place(&self) -> String {
        self.path.as_ref().map_or_else(
            || "(defaults: there is no configuration file)".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// The value as it was written.
    fn show(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.text.get(value.span()).unwrap_or_default();
        let value = value.get_ref();
        if value.is_table() {
            "(a table)".to_owned()
        } else if value.is_array() && (text.contains('\n') || text.starts_with("[[")) {
            "(a list)".to_owned()
        } else if self.secret {
            format!("({}, not shown)", value.type_str())
        } else {
            shorten(text)
        }
    }

    /// Line and column of a byte, from 1.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn line_text(&self, line: usize) -> String {
        shorten(self.text.lines().nth(line - 1).unwrap_or_default().trim())
    }
}

/// Where `steps` lead: the nearest thing that is there, and the value itself if it is.
fn find<'t, 'i>(
    table: &'t Spanned<DeTable<'i>>,
    steps: &[Step],
) -> (Option<Range<usize>>, Option<&'t Spanned<DeValue<'i>>>) {
    let mut near = None;
    let mut value: Option<&Spanned<DeValue<'i>>> = None;
    for step in steps {
        let next = match (step, value.map(Spanned::get_ref)) {
            (Step::Key(key), None) => table.get_ref().get_key_value(key.as_str()),
            (Step::Key(key), Some(DeValue::Table(inner))) => inner.get_key_value(key.as_str()),
            (Step::Item(index), Some(DeValue::Array(items))) => {
                let Some(item) = items.get(*index) else { return (near, None) };
                near = Some(item.span());
                value = Some(item);
                continue;
            }
            _ => None,
        };
        let Some((key, inner)) = next else { return (near, None) };
        near = Some(key.span());
        value = Some(inner);
    }
    (near, value)
}

/// At most the first line and 60 characters of it.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 60 && line.len() == text.trim_end().len() {
        line.to_owned()
    } else {
        format!("{}…", line.chars().take(60).collect::<String>())
    }
}
