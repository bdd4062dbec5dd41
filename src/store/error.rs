//! Why a store's file cannot be had, and what to do.

use std::path::PathBuf;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be made or written.
    #[error(
        "cannot write the store {}: {why}; give its folder to the user that runs strandwatch, or set store.path to another place",
        file.display()
    )]
    Unwritable {
        /// The database.
        file: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Somebody else holds it.
    #[error(
        "the store {} is locked by another process; stop the other strandwatch (or the tool that has it open) and start again",
        file.display()
    )]
    Locked {
        /// The database.
        file: PathBuf,
    },
    /// Written by a newer version.
    #[error(
        "the store {} has schema {found} and this strandwatch knows {known}; install the newer strandwatch again, or move the file away to begin a new one",
        file.display()
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another program's database.
    #[error(
        "{} is a database of another program; set store.path to a file that strandwatch may have for itself",
        file.display()
    )]
    Foreign {
        /// The database.
        file: PathBuf,
    },
    /// Damaged, and it could not be moved out of the way.
    #[error(
        "the store {} is damaged ({why}) and could not be set aside: {error}; move it away yourself and start again",
        file.display()
    )]
    Stuck {
        /// The database.
        file: PathBuf,
        /// The damage.
        why: String,
        /// Why it could not be moved.
        error: std::io::Error,
    },
    /// SQLite failed otherwise.
    #[error("cannot open the store {}: {why}", file.display())]
    Sqlite {
        /// The database.
        file: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// No thread to be had.
    #[error("cannot start the thread of the store {}: {error}", file.display())]
    Thread {
        /// The database.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}
