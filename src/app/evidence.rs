//! The evidence folder: a journal of each print, and of each incident a folder with its frames before and after and its
//! facts. All within a quota: the oldest prints without an incident go first, then the oldest of the rest.
//!
//! | | |
//! |---|---|
//! | `<printer>-<unix seconds>.jsonl` | a print, for `strandwatch replay` |
//! | `<printer>-<unix seconds>.incident.jsonl` | one with an alert |
//! | `<incident>/alert.jpg` | what raised the alert, what was seen marked in it |
//! | `<incident>/before-<unix seconds>.jpg`, `after-…` | frames as the camera gave them |
//! | `<incident>/incident.json` | events, boxes, scores, evidence, settings, the model's hash |

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::journal::Journal;
use crate::core::contract::{Input, Setup};
use crate::core::types::{Name, Now};

/// What a print may need, bytes: so much room is made before it begins.
const ROOM_FOR_A_PRINT: u64 = 16 << 20;
/// How the names of journals with an incident end.
const WITH_INCIDENT: &str = ".incident.jsonl";
/// The names of an incident's own files.
const FACTS: &str = "incident.json";

/// The folder and how much it may hold. Trouble with it is logged and never stops the daemon.
#[derive(Debug, Clone)]
pub struct Evidence {
    folder: PathBuf,
    quota: u64,
}

/// The journal of one print.
#[derive(Debug)]
pub struct PrintJournal {
    journal: Journal,
    path: PathBuf,
}

impl PrintJournal {
    /// Appends an input.
    pub fn append(&mut self, now: Now, input: &Input) {
        self.journal.append(now, input);
    }

    /// Hands what was appended to the system.
    pub fn flush(&mut self) {
        self.journal.flush();
    }

    /// It is to be kept longer: renames it. Returns its name.
    pub fn holds_an_incident(&mut self) -> String {
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name(&self.path).ends_with(WITH_INCIDENT) {
            let path = self.path.with_extension(&WITH_INCIDENT[1..]);
            match std::fs::rename(&self.path, &path) {
                Ok(()) => self.path = path,
                Err(error) => {
                    tracing::warn!("journal {}: not renamed: {error}", self.path.display());
                }
            }
        }
        name(&self.path)
    }
}

impl Drop for PrintJournal {
    fn drop(&mut self) {
        self.journal.flush();
    }
}

/// Something that may go when room is needed; the order is that of going.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    incident: bool,
    modified: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Evidence {
    /// The folder, which may not be there yet, and its quota in bytes.
    pub fn new(folder: PathBuf, quota: u64) -> Self {
        Self { folder, quota }
    }

    /// Keeps a picture of an incident as `<incident>/<name>.jpg`. Blocks.
    pub fn keep_picture(&self, incident: &str, name: &str, jpeg: &[u8]) {
        self.keep(incident, &format!("{name}.jpg"), jpeg);
    }

    /// Keeps what is known of an incident, replacing what was. Blocks for a small file.
    pub fn keep_facts(&self, incident: &str, facts: &impl Serialize) {
        match serde_json::to_vec(facts) {
            Ok(text) => self.keep(incident, FACTS, &text),
            Err(error) => tracing::warn!("incident {incident}: its facts are not kept: {error}"),
        }
    }

    fn keep(&self, incident: &str, name: &str, bytes: &[u8]) {
        let folder = self.folder.join(incident);
        let path = folder.join(name);
        let kept = self
            .make_room(bytes.len() as u64, Some(&folder))
            .and_then(|()| std::fs::create_dir_all(&folder))
            .and_then(|()| std::fs::write(&path, bytes));
        if let Err(error) = kept {
            tracing::warn!(
                "evidence {}: not kept: {error}; is the folder writable?",
                path.display()
            );
        }
    }

    /// Begins the journal of a print. Blocks for the time of listing the folder.
    pub fn begin_print(&self, printer: &Name, now: Now, setup: &Setup) -> Option<PrintJournal> {
        let name = format!("{printer}-{}.jsonl", now.unix_ms.div_euclid(1_000));
        let path = self.folder.join(name);
        let begun = self
            .make_room(ROOM_FOR_A_PRINT, None)
            .map_err(|error| format!("evidence {}: {error}", self.folder.display()))
            .and_then(|()| Journal::create(&path, setup).map_err(|error| error.to_string()));
        match begun {
            Ok(journal) => Some(PrintJournal { journal, path }),
            Err(why) => {
                tracing::warn!("this print is not recorded: {why}");
                None
            }
        }
    }

    /// Makes the folder, and removes what may go until `bytes` more fit; `needed` stays.
    fn make_room(&self, bytes: u64, needed: Option<&Path>) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            all.extend(kept(&entry?.path())?);
        }
        all.sort();
        let mut held: u64 = all.iter().map(|kept| kept.bytes).sum();
        for kept in all {
            if held.saturating_add(bytes) <= self.quota {
                break;
            }
            if needed == Some(&kept.path) {
                continue;
            }
            if kept.path.is_dir() {
                std::fs::remove_dir_all(&kept.path)?;
            } else {
                std::fs::remove_file(&kept.path)?;
            }
            held = held.saturating_sub(kept.bytes);
        }
        Ok(())
    }
}

/// What lies at `path`, if we put it there.
fn kept(path: &Path) -> io::Result<Option<Kept>> {
    let facts = path.metadata()?;
    let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kept = |incident: bool, modified: SystemTime, bytes: u64| {
        Some(Kept { incident, modified, bytes, path: path.to_owned() })
    };
    if facts.is_file() {
        let ours = name.ends_with(".jsonl") || name.ends_with(".jpg");
        let incident = name.ends_with(WITH_INCIDENT) || name.ends_with(".jpg");
        return Ok(kept(incident, modified, facts.len()).filter(|_| ours));
    }
    let (mut bytes, mut newest, mut ours) = (0, SystemTime::UNIX_EPOCH, false);
    for file in std::fs::read_dir(path)? {
        let file = file?;
        let facts = file.metadata()?;
        bytes += facts.len();
        newest = newest.max(facts.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let name = file.file_name();
        ours |= name == FACTS || name == "alert.jpg";
    }
    Ok(kept(true, newest, bytes).filter(|_| ours))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::tests::scenario::{START, name, setup};

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put(path: &Path, minutes_ago: u64) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, [0; 100]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(minutes_ago * 60);
        std::fs::File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn good_prints_go_first_then_the_oldest_incidents_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        put(&at("notes.txt"), 90);
        put(&at("other/notes.txt"), 90);
        put(&at("voron-1.incident.jsonl"), 60);
        put(&at("boot-voron-i1/alert.jpg"), 59);
        put(&at("voron-2.jsonl"), 30);
        put(&at("voron-3.jsonl"), 20);
        let evidence = Evidence::new(folder.path().to_owned(), 400);
        evidence.keep_picture("boot-voron-i2", "alert", &[0; 100]);
        let rest = ["boot-voron-i1", "boot-voron-i2", "notes.txt", "other"];
        let with = |more: &[&'static str]| {
            let mut all = [&rest[..], more].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(names(folder.path()), with(&["voron-1.incident.jsonl", "voron-3.jsonl"]));
        evidence.keep_picture("boot-voron-i2", "after", &[0; 200]);
        assert_eq!(names(folder.path()), with(&[]));
    }

    #[test]
    fn a_journal_with_an_incident_is_renamed_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence::new(folder.path().to_owned(), 1 << 30);
        let mut journal = evidence.begin_print(&name("voron"), START, &setup()).unwrap();
        journal.append(START, &Input::Tick);
        assert_eq!(journal.holds_an_incident(), "voron-1700000000.incident.jsonl");
        assert_eq!(journal.holds_an_incident(), "voron-1700000000.incident.jsonl");
        journal.append(START, &Input::Tick);
        drop(journal);
        let path = folder.path().join("voron-1700000000.incident.jsonl");
        assert_eq!(super::super::journal::Reader::open(&path).unwrap().count(), 2);
    }
}
