//! What is wrong with a configuration, said so that it can be put right without looking anything up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing starts with it.
    Error,
    /// It works, and somebody should look at it.
    Warning,
}

/// One problem: where it is, what stands there, what is wrong with it, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// The file, or the environment variable as `$NAME`.
    pub place: String,
    /// The line in that file, from 1.
    pub line: Option<usize>,
    /// The column in that line, from 1.
    pub column: Option<usize>,
    /// The key, such as `printer[1].camera[0].rotate`; empty when it concerns the whole file.
    pub key: String,
    /// What stands there, as it was written; never a secret.
    pub found: Option<String>,
    /// What is wrong with it.
    pub why: String,
    /// What to write or to do instead.
    pub write: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, _) => {}
        }
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}")?;
        match (self.key.as_str(), &self.found) {
            ("", None) => write!(f, ": {}", self.why)?,
            ("", Some(found)) => write!(f, ": {found}\n    {}", self.why)?,
            (key, None) => write!(f, ": {key}\n    {}", self.why)?,
            (key, Some(found)) => write!(f, ": {key} = {found}\n    {}", self.why)?,
        }
        write!(f, "\n    {}", self.write)
    }
}

/// Why there is no configuration: every problem at once, errors and warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// In the order of the files.
    pub list: Vec<Problem>,
    /// Whether the file that was asked for could not even be read.
    pub unreadable: bool,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has problems\n")?;
        f.write_str(&by_place(&self.list))
    }
}

/// The problems as text for people, grouped by file.
pub fn by_place(problems: &[Problem]) -> String {
    let mut places: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        places.entry(&problem.place).or_default().push(problem);
    }
    let mut text = String::new();
    for (place, mut problems) in places {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        text.push_str(place);
        text.push('\n');
        for problem in problems {
            text.push_str(&format!("  {}\n", problem.to_string().replace('\n', "\n  ")));
        }
    }
    text
}

/// One step from a table to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list.
    Item(usize),
}

/// The way to a value: `printer[1].camera[0].rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Key(pub Vec<Step>);

impl Key {
    /// The way from the top to `key`.
    pub fn new(key: &str) -> Self {
        Self::default().at(key)
    }

    /// One step further, into a table.
    pub fn at(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// One step further, into a list.
    pub fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The way without its last step.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The name of the value itself.
    pub fn last(&self) -> Option<&str> {
        match self.0.last()? {
            Step::Key(key) => Some(key),
            Step::Item(_) => None,
        }
    }

    /// The environment variable that sets this key.
    pub fn variable(&self) -> String {
        let levels = self.0.iter().map(|step| match step {
            Step::Key(key) => key.to_uppercase(),
            Step::Item(index) => index.to_string(),
        });
        format!("{}{}", super::document::PREFIX, levels.collect::<Vec<_>>().join("__"))
    }

    /// The section it stands in as TOML's header has it, `[[printer.camera]]`; the top has none.
    pub fn header(&self) -> Option<String> {
        let names = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        });
        let name = names.collect::<Vec<_>>().join(".");
        match self.0.last()? {
            Step::Item(_) => Some(format!("[[{name}]]")),
            Step::Key(_) => Some(format!("[{name}]")),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The candidate that `found` was most likely meant to be, if any is near.
pub(super) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let found = found.to_lowercase().replace(['-', ' '], "_");
    candidates
        .into_iter()
        .map(|candidate| (distance(&found, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance * 3 <= candidate.chars().count().max(found.chars().count())
                || (found.len() >= 4 && candidate.contains(&found))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut best =
                (rows[i - 1][j - 1] + changed).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// Where problems gather.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// All of them, so far.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether anything was found that nothing starts with.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.level == Level::Error)
    }

    /// Adds a problem that concerns a whole file.
    pub fn file(&mut self, level: Level, path: &Path, why: String, write: String) {
        self.problems.push(Problem {
            level,
            place: path.display().to_string(),
            line: None,
            column: None,
            key: String::new(),
            found: None,
            why,
            write,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_finds_the_key_that_was_meant() {
        let keys = ["host", "port", "username", "false_alarms_per_100h", "clear_interval"];
        for (found, meant) in [
            ("prot", Some("port")),
            ("Host", Some("host")),
            ("user_name", Some("username")),
            ("false-alarms-per-100h", Some("false_alarms_per_100h")),
            ("interval", Some("clear_interval")),
            ("password", None),
            ("x", None),
        ] {
            assert_eq!(nearest(found, keys), meant, "{found}");
        }
    }

    #[test]
    fn a_key_reads_as_in_the_file_and_as_in_the_environment() {
        let key = Key::new("printer").item(1).at("camera").item(0).at("rotate");
        assert_eq!(key.to_string(), "printer[1].camera[0].rotate");
        assert_eq!(key.parent().header().unwrap(), "[[printer.camera]]");
        assert_eq!(Key::new("mqtt").at("host").variable(), "STRANDWATCH_MQTT__HOST");
    }
}
