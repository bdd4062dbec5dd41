//! The evidence folder: annotated frames of incidents and the journals of runs, within a quota, the oldest going first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::journal::Journal;
use crate::core::contract::Setup;

/// The folder and how much it may hold. Trouble with it is logged and never stops the daemon.
#[derive(Debug, Clone)]
pub struct Evidence {
    folder: PathBuf,
    quota: u64,
}

impl Evidence {
    /// The folder, which may not be there yet, and its quota in bytes.
    pub fn new(folder: PathBuf, quota: u64) -> Self {
        Self { folder, quota }
    }

    /// Keeps the annotated frame of an incident as `<incident>.jpg`. Blocks.
    pub fn keep_picture(&self, incident: &str, jpeg: &[u8]) {
        let path = self.folder.join(format!("{incident}.jpg"));
        let kept = self.make_room(jpeg.len() as u64).and_then(|()| std::fs::write(&path, jpeg));
        if let Err(error) = kept {
            tracing::warn!(
                "evidence {}: not kept: {error}; is the folder writable?",
                path.display()
            );
        }
    }

    /// Begins the journal of this run, `journal-<boot>.jsonl`. Blocks.
    pub fn begin_journal(&self, setup: &Setup) -> Option<Journal> {
        let path = self.folder.join(format!("journal-{}.jsonl", setup.boot));
        let begun = self
            .make_room(super::journal::LARGEST)
            .map_err(|error| error.to_string())
            .and_then(|()| Journal::create(&path, setup).map_err(|error| error.to_string()));
        match begun {
            Ok(journal) => Some(journal),
            Err(why) => {
                tracing::warn!("this run is not recorded: {why}");
                None
            }
        }
    }

    /// Makes the folder, and removes the oldest of what we put there until `bytes` more fit.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if facts.is_file() && is_ours(&entry.path()) {
                files.push((
                    facts.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    facts.len(),
                    entry.path(),
                ));
            }
        }
        files.sort();
        let mut held: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if held.saturating_add(bytes) <= self.quota {
                break;
            }
            std::fs::remove_file(path)?;
            held = held.saturating_sub(size);
        }
        Ok(())
    }
}

fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("jpg" | "jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_pictures_go_when_the_quota_is_full_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), [0; 500]).unwrap();
        let evidence = Evidence::new(folder.path().to_owned(), 250);
        for (age, incident) in [(3, "first"), (2, "second")] {
            evidence.keep_picture(incident, &[0; 100]);
            let file = std::fs::File::open(folder.path().join(format!("{incident}.jpg"))).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age * 60);
            file.set_modified(then).unwrap();
        }
        evidence.keep_picture("third", &[0; 100]);
        assert_eq!(names(folder.path()), ["notes.txt", "second.jpg", "third.jpg"]);
    }
}
