//! The journal: what went into the core, so that any run can be decided again.
//!
//! A journal is JSON lines. The first is `{"format":1,"setup":…}` ([`Setup`]), every other `{"now":…,"input":…}` ([`Now`],
//! [`Input`]), in the order in which the core took them, ticks included. Numbers are written so that reading gives them
//! back exactly; scores are rounded *before* the core takes them ([`FrameScore::quantised`]), so that lines stay short and
//! a replay still decides on what the live decision saw.
//!
//! A journal that begins with a print, rather than with the daemon, opens with the [`Standing`] inputs.
//!
//! [`FrameScore::quantised`]: crate::core::types::FrameScore::quantised

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::contract::{Input, Setup};
use crate::core::types::{Name, Now};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 1;
/// A journal grows no larger than this, bytes.
pub const LARGEST: u64 = 64 << 20;
/// What was appended is handed to the system at least this often, ms.
const FLUSH_EVERY_MS: u64 = 5_000;

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be created.
    #[error("journal {path}: cannot be created: {source}; is the folder there and writable?")]
    Create {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be written on.
    #[error("journal {path}: cannot be written: {source}; is the disk full?")]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be read.
    #[error("journal {path}: cannot be read: {source}")]
    Read {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its first line is not that of a journal, or of another version.
    #[error("journal {path}: not a journal of format {FORMAT}: {what}")]
    Header {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A line is damaged.
    #[error(
        "journal {path}, line {line}: {what}; cut the file before this line to replay what comes before it"
    )]
    Line {
        /// Where.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

#[derive(Serialize)]
struct WrittenHeader<'a> {
    format: u32,
    setup: &'a Setup,
}

#[derive(Serialize)]
struct WrittenLine<'a> {
    now: Now,
    input: &'a Input,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Deserialize)]
struct Header {
    setup: Setup,
}

#[derive(Deserialize)]
struct Line {
    now: Now,
    input: Input,
}

/// A journal being written. Trouble is logged once and ends the journal, never the daemon.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
    flushed_ms: u64,
}

impl Journal {
    /// Begins a journal of a core that was made from `setup`; a file of this name is replaced.
    pub fn create(path: &Path, setup: &Setup) -> Result<Self, JournalError> {
        let file = File::create(path)
            .map_err(|source| JournalError::Create { path: path.to_owned(), source })?;
        let mut journal = Self {
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
            bytes: 0,
            flushed_ms: 0,
        };
        journal.write_line(&WrittenHeader { format: FORMAT, setup })?;
        Ok(journal)
    }

    /// Appends one input, at the time at which the core takes it. Does nothing once the journal has ended.
    pub fn append(&mut self, now: Now, input: &Input) {
        let due = now.mono_ms.saturating_sub(self.flushed_ms) >= FLUSH_EVERY_MS;
        let written = self
            .write_line(&WrittenLine { now, input })
            .and_then(|()| if due { self.write_out() } else { Ok(()) });
        if due {
            self.flushed_ms = now.mono_ms;
        }
        self.bear(written);
        if self.bytes >= LARGEST && self.file.is_some() {
            tracing::warn!("journal {}: full, the rest is not recorded", self.path.display());
            self.flush();
            self.file = None;
        }
    }

    /// Hands what was appended to the system: at the end of a print, and before the daemon goes.
    pub fn flush(&mut self) {
        let written = self.write_out();
        self.bear(written);
    }

    /// Bytes so far; a journal ends at [`LARGEST`].
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write_out(&mut self) -> Result<(), JournalError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|source| JournalError::Write { path: self.path.clone(), source })
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written =
            serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut text| {
                text.push(b'\n');
                file.write_all(&text)?;
                self.bytes += text.len() as u64;
                Ok(())
            });
        written.map_err(|source| JournalError::Write { path: self.path.clone(), source })
    }

    fn bear(&mut self, written: Result<(), JournalError>) {
        if let Err(error) = written {
            tracing::warn!("{error}; this print is not recorded any further");
            self.file = None;
        }
    }
}

/// The newest of every input that holds until the next of its kind: what a core must hear to be where another one is.
#[derive(Debug, Default)]
pub struct Standing {
    inputs: BTreeMap<Topic, Input>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    CommandPlane,
    Audit,
    Grants,
    Model,
    SelfTest,
    Source(Name, Name),
    Printer(Name),
}

impl Standing {
    /// Takes note of an input.
    pub fn note(&mut self, input: &Input) {
        let topic = match input {
            Input::CommandPlane { .. } => Topic::CommandPlane,
            Input::Audited { .. } => Topic::Audit,
            Input::Grants { .. } => Topic::Grants,
            Input::Model { .. } => Topic::Model,
            Input::SelfTest { .. } => Topic::SelfTest,
            Input::Source { printer, camera, .. } => Topic::Source(printer.clone(), camera.clone()),
            Input::Printer { printer, .. } => Topic::Printer(printer.clone()),
            Input::Score { .. }
            | Input::Enrolment { .. }
            | Input::Request { .. }
            | Input::Unverified { .. }
            | Input::ActionAnswered { .. }
            | Input::SnapshotTaken { .. }
            | Input::Tick => return,
        };
        self.inputs.insert(topic, input.clone());
    }

    /// What a journal of `printer` alone opens with when it begins in the middle of a run. Its replay takes the same
    /// decisions from here on; ids are counted anew, and what was gathered before (evidence, votes, a snooze) is not in it.
    pub fn of<'a>(&'a self, printer: &'a Name) -> impl Iterator<Item = &'a Input> {
        let others = move |topic: &Topic| matches!(topic, Topic::Source(of, _) | Topic::Printer(of) if of != printer);
        self.inputs.iter().filter(move |(topic, _)| !others(topic)).map(|(_, input)| input)
    }
}

/// A journal being read: its setup, then its inputs one by one.
#[derive(Debug)]
pub struct Reader<R> {
    path: PathBuf,
    from: R,
    line: usize,
    torn: Option<usize>,
    /// What the core was made from.
    pub setup: Setup,
}

impl Reader<BufReader<File>> {
    /// Opens a journal.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path)
            .map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
        Self::new(path, BufReader::new(file))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a journal from anywhere; `path` names it in errors.
    pub fn new(path: &Path, mut from: R) -> Result<Self, JournalError> {
        let path = path.to_owned();
        let mut text = Vec::new();
        if let Err(source) = from.read_until(b'\n', &mut text) {
            return Err(JournalError::Read { path, source });
        }
        let header = serde_json::from_slice(&text).map_err(|error| error.to_string());
        let header = header.and_then(|Version { format }| {
            if format == FORMAT {
                serde_json::from_slice(&text).map_err(|error| error.to_string())
            } else {
                Err(format!("it says format {format}"))
            }
        });
        match header {
            Ok(Header { setup }) => Ok(Self { path, from, line: 1, torn: None, setup }),
            Err(what) => Err(JournalError::Header { path, what }),
        }
    }

    /// The last line's number when it was torn (the daemon was killed while writing it), known once all is read.
    pub fn torn(&self) -> Option<usize> {
        self.torn
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<(Now, Input), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        let path = self.path.clone();
        match self.from.read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(_) => self.line += 1,
            Err(source) => return Some(Err(JournalError::Read { path, source })),
        }
        match serde_json::from_slice(&text) {
            Ok(Line { now, input }) => Some(Ok((now, input))),
            Err(_) if text.last() != Some(&b'\n') => {
                self.torn = Some(self.line);
                None
            }
            Err(error) => {
                let what = error.to_string();
                Some(Err(JournalError::Line { path, line: self.line, what }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::contract::Output;
    use crate::core::tests::scenario::{START, Scenario, name, setup};

    fn journal_of(scenario: &Scenario, path: &Path) {
        let mut journal = Journal::create(path, &scenario.setup).unwrap();
        for (now, input) in &scenario.inputs {
            journal.append(*now, input);
        }
        journal.flush();
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("print.jsonl");
        (dir, path)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_dir, path) = file();
        let scenario = Scenario::acting();
        journal_of(&scenario, &path);
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.setup, scenario.setup);
        let inputs: Result<Vec<_>, _> = reader.by_ref().collect();
        assert_eq!(inputs.unwrap(), scenario.inputs);
        assert_eq!(reader.torn(), None);
    }

    #[test]
    fn a_torn_last_line_is_borne_and_told() {
        let (_dir, path) = file();
        let scenario = Scenario::printing();
        journal_of(&scenario, &path);
        let text = std::fs::read(&path).unwrap();
        let last = scenario.inputs.len();
        for cut in 1..40 {
            let mut reader = Reader::new(&path, &text[..text.len() - 1 - cut]).unwrap();
            assert_eq!(reader.by_ref().filter(Result::is_ok).count(), last - 1);
            assert_eq!(reader.torn(), Some(last + 1));
        }
    }

    #[test]
    fn damage_in_the_middle_is_named_by_its_line() {
        let (_dir, path) = file();
        journal_of(&Scenario::printing(), &path);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        for (bad, what) in [
            ("", "EOF"),
            ("{\"now\":{\"mono_ms\":1,\"unix_ms\":1},\"input\":{\"input\":\"gcode\"}}", "gcode"),
            ("{\"now\":{\"mono_ms\":-1,\"unix_ms\":1},\"input\":{\"input\":\"tick\"}}", "-1"),
        ] {
            lines[2] = bad;
            let text = lines.join("\n");
            let error = Reader::new(&path, text.as_bytes()).unwrap().find_map(Result::err);
            let error = error.unwrap().to_string();
            assert!(error.contains("line 3") && error.contains(what), "{error}");
        }
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in
            ["", "\n", "PK\u{3}\u{4}", "{}", "{\"format\":2,\"setup\":{}}", "{\"format\":1}"]
        {
            let error = Reader::new(Path::new("x"), text.as_bytes()).unwrap_err();
            assert!(matches!(error, JournalError::Header { .. }), "{text:?}: {error}");
        }
        assert!(matches!(Reader::open(Path::new("/nowhere")), Err(JournalError::Read { .. })));
        let nowhere = Journal::create(Path::new("/nowhere/x"), &setup());
        assert!(matches!(nowhere, Err(JournalError::Create { .. })));
    }

    #[test]
    fn a_full_disk_ends_the_journal_and_nothing_else() {
        let mut journal = Journal::create(Path::new("/dev/full"), &setup()).unwrap();
        for _ in 0..10_000 {
            journal.append(START, &Input::Tick);
        }
        journal.flush();
        assert!(journal.file.is_none());
        assert!(journal.bytes() < 100_000);
    }

    #[test]
    fn lines_reach_the_file_within_seconds() {
        let (_dir, path) = file();
        let mut journal = Journal::create(&path, &setup()).unwrap();
        journal.append(START, &Input::Tick);
        let later = Now { mono_ms: START.mono_ms + FLUSH_EVERY_MS, ..START };
        journal.append(later, &Input::Tick);
        // Not closed, not flushed by hand: what a kill would leave.
        assert_eq!(Reader::open(&path).unwrap().count(), 2);
    }

    #[test]
    fn standing_inputs_put_another_core_where_this_one_is() {
        let (_dir, path) = file();
        let mut scenario = Scenario::printing();
        let mut standing = Standing::default();
        for (_, input) in &scenario.inputs {
            standing.note(input);
        }
        let mut journal = Journal::create(&path, &scenario.setup).unwrap();
        for input in standing.of(&name("voron")) {
            journal.append(scenario.now, input);
        }
        let before = scenario.inputs.len();
        scenario.score(0.9).for_secs(120);
        for (now, input) in &scenario.inputs[before..] {
            journal.append(*now, input);
        }
        journal.flush();
        let replayed = crate::app::replay::replay_journal(&path).unwrap().outputs;
        let acts = |outputs: &[(Now, Output)]| {
            let act = outputs.iter().find(|(_, output)| matches!(output, Output::Action(_)));
            act.unwrap().0.mono_ms
        };
        // The first frame stands for no time in either.
        assert!(acts(&replayed).abs_diff(acts(&scenario.outputs)) <= 1_000);
    }
}
