//! The file itself: schema, migrations, and every SQL statement.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde_json::Value;

use super::StoreError;
use crate::core::contract::Decision;
use crate::core::event::Event;
use crate::ports::StoreFault;

/// `PRAGMA application_id` of our files: "SWCH".
const APPLICATION_ID: i64 = 0x5357_4348;

/// One script a schema version, applied in order; `PRAGMA user_version` counts them.
const MIGRATIONS: &[&str] = &["
    -- AUTOINCREMENT: a key is never given again, so marking one delivered twice cannot hit a newer event.
    CREATE TABLE outbox (key INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL) STRICT;
    CREATE TABLE document (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
", "
    CREATE TABLE decision (key INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, decision TEXT NOT NULL) STRICT;
    CREATE INDEX decision_of_client ON decision (client, key);
"];

/// Decisions kept in the log of what clients asked for; about 5 MB.
const DECISIONS: i64 = 20_000;

/// How long a statement waits for a lock of another process.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Why an existing file was not taken.
enum Trouble {
    Damaged(String),
    Refused(StoreError),
}

/// The open file.
pub(super) struct Database {
    connection: Connection,
    file: PathBuf,
    outbox_limit: usize,
    /// Rows of `outbox`, counted here as SQLite would have to walk them.
    waiting: usize,
}

impl Database {
    pub(super) fn open(file: &Path, outbox_limit: usize) -> Result<Self, StoreError> {
        prepare_place(file)?;
        let _turn = wait_for_turn(file);
        let connection = match open_checked(file) {
            Ok(connection) => connection,
            Err(Trouble::Refused(error)) => return Err(error),
            Err(Trouble::Damaged(why)) => {
                set_aside(file, &why)?;
                prepare_place(file)?;
                open_checked(file).map_err(|trouble| match trouble {
                    Trouble::Refused(error) => error,
                    Trouble::Damaged(why) => StoreError::Sqlite { file: file.to_owned(), why },
                })?
            }
        };
        let waiting = connection
            .query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0))
            .map_err(|error| sqlite_error(file, &error))?;
        Ok(Self {
            connection,
            file: file.to_owned(),
            outbox_limit: outbox_limit.max(1),
            waiting: usize::try_from(waiting).unwrap_or(0),
        })
    }

    /// Opens a file that is there, to read from it only.
    pub(super) fn look(file: &Path) -> Result<Self, StoreFault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(file, flags)?;
            connection.busy_timeout(LOCK_WAIT)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| {
            StoreFault(format!("cannot read the store {}: {error}", file.display()))
        })?;
        Ok(Self { connection, file: file.to_owned(), outbox_limit: 1, waiting: 0 })
    }

    pub(super) fn append(&mut self, event: &Event) -> Result<(), StoreFault> {
        let text = serde_json::to_string(event)
            .map_err(|error| StoreFault(format!("event {} is no JSON: {error}", event.id)))?;
        self.connection
            .prepare_cached("INSERT INTO outbox (event) VALUES (?1)")
            .and_then(|mut insert| insert.execute([&text]))
            .map_err(|error| self.fault("store an event", &error))?;
        self.waiting += 1;
        if self.waiting > self.outbox_limit {
            self.drop_oldest(self.waiting - self.outbox_limit)?;
        }
        Ok(())
    }

    fn drop_oldest(&mut self, count: usize) -> Result<(), StoreFault> {
        let dropped = self
            .connection
            .prepare_cached(
                "DELETE FROM outbox WHERE key IN (SELECT key FROM outbox ORDER BY key LIMIT ?1)",
            )
            .and_then(|mut delete| delete.execute([i64::try_from(count).unwrap_or(i64::MAX)]))
            .map_err(|error| self.fault("drop the oldest events", &error))?;
        self.waiting = self.waiting.saturating_sub(dropped);
        tracing::error!(
            dropped,
            limit = self.outbox_limit,
            file = %self.file.display(),
            "the outbox is full: the oldest events were dropped undelivered; see why the broker takes none"
        );
        Ok(())
    }

    pub(super) fn undelivered(&mut self, limit: usize) -> Result<Vec<(i64, Event)>, StoreFault> {
        loop {
            let rows = self.oldest(limit)?;
            let none_left = rows.is_empty();
            let mut events = Vec::with_capacity(rows.len());
            for (key, text) in rows {
                match serde_json::from_str(&text) {
                    Ok(event) => events.push((key, event)),
                    Err(error) => {
                        // One row that this version cannot read must not hold up all that follow it.
                        tracing::error!(%error, event = text, "an event in the outbox cannot be read and is dropped");
                        self.delivered(key)?;
                    }
                }
            }
            if none_left || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    fn oldest(&self, limit: usize) -> Result<Vec<(i64, String)>, StoreFault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached("SELECT key, event FROM outbox ORDER BY key LIMIT ?1")
            .and_then(|mut select| {
                select.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|error| self.fault("read the outbox", &error))
    }

    pub(super) fn delivered(&mut self, key: i64) -> Result<(), StoreFault> {
        let gone = self
            .connection
            .prepare_cached("DELETE FROM outbox WHERE key = ?1")
            .and_then(|mut delete| delete.execute([key]))
            .map_err(|error| self.fault("mark an event delivered", &error))?;
        self.waiting = self.waiting.saturating_sub(gone);
        Ok(())
    }

    pub(super) fn log_decision(&mut self, decision: &Decision) -> Result<(), StoreFault> {
        let text = serde_json::to_string(decision)
            .map_err(|error| StoreFault(format!("a decision is no JSON: {error}")))?;
        self.connection
            .prepare_cached("INSERT INTO decision (client, decision) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute([&decision.client, &text]))
            .map_err(|error| self.fault("log a decision", &error))?;
        let newest = self.connection.last_insert_rowid();
        // Now and then only: each time is a flush to the disk of its own.
        if newest % 100 != 0 {
            return Ok(());
        }
        self.connection
            .prepare_cached("DELETE FROM decision WHERE key <= ?1")
            .and_then(|mut delete| delete.execute([newest - DECISIONS]))
            .map_err(|error| self.fault("drop the oldest decisions", &error))?;
        Ok(())
    }

    /// Newest first.
    pub(super) fn decisions(
        &mut self,
        client: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Decision>, StoreFault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<String> = self
            .connection
            .prepare_cached(
                "SELECT decision FROM decision WHERE ?1 IS NULL OR client = ?1
                 ORDER BY key DESC LIMIT ?2",
            )
            .and_then(|mut select| {
                select.query_map(params![client, limit], |row| row.get(0))?.collect()
            })
            .map_err(|error| self.fault("read the log of decisions", &error))?;
        // A row that an older version wrote otherwise must not hide the rest.
        Ok(rows.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    pub(super) fn put(&mut self, key: &str, value: &Value) -> Result<(), StoreFault> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO document (key, value) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![key, value.to_string()]))
            .map_err(|error| self.fault("store a document", &error))?;
        Ok(())
    }

    pub(super) fn list(&mut self, prefix: &str) -> Result<Vec<(String, Value)>, StoreFault> {
        let rows: Vec<(String, String)> = self
            .connection
            .prepare_cached(
                "SELECT key, value FROM document
                 WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key",
            )
            .and_then(|mut select| {
                select.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|error| self.fault("read documents", &error))?;
        rows.into_iter()
            .map(|(key, text)| match serde_json::from_str(&text) {
                Ok(value) => Ok((key, value)),
                Err(error) => Err(StoreFault(format!(
                    "document {key} in the store {} is no JSON: {error}",
                    self.file.display()
                ))),
            })
            .collect()
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<(), StoreFault> {
        self.connection
            .prepare_cached("DELETE FROM document WHERE key = ?1")
            .and_then(|mut delete| delete.execute([key]))
            .map_err(|error| self.fault("remove a document", &error))?;
        Ok(())
    }

    /// Changes when another connection has committed something.
    pub(super) fn version(&mut self) -> Result<i64, StoreFault> {
        self.connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| self.fault("look for changes", &error))
    }

    fn fault(&self, what: &str, error: &rusqlite::Error) -> StoreFault {
        let remedy = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "; make room on the disk",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "; another process holds the file: close it there"
            }
            Some(ErrorCode::ReadOnly) => "; make the file writable for the user of strandwatch",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "; the file is damaged: restart strandwatch, which sets it aside and begins a new one"
            }
            Some(ErrorCode::SystemIoFailure) => "; check the disk or the SD card",
            _ => "",
        };
        StoreFault(format!(
            "could not {what} in the store {}: {error}{remedy}",
            self.file.display()
        ))
    }
}

/// Makes the folder and the file, so that the file is the user's alone: SQLite would follow the umask.
fn prepare_place(file: &Path) -> Result<(), StoreError> {
    let unwritable = |error: std::io::Error| StoreError::Unwritable {
        file: file.to_owned(),
        why: error.to_string(),
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(unwritable)?;
    Ok(())
}

/// Waits until no other process is opening a store in this folder: one that begins the file while another looks at it
/// would be taken for a foreign or a locked one. Where a folder cannot be locked, as on some network shares, there is
/// nothing to wait for.
fn wait_for_turn(file: &Path) -> Option<fs::File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let turn = fs::File::open(folder.unwrap_or(Path::new("."))).ok()?;
    turn.lock().ok()?;
    Some(turn)
}

fn open_checked(file: &Path) -> Result<Connection, Trouble> {
    let trouble = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Trouble::Damaged(error.to_string())
        }
        _ => Trouble::Refused(sqlite_error(file, &error)),
    };
    let mut connection = Connection::open(file).map_err(trouble)?;
    connection.busy_timeout(LOCK_WAIT).map_err(trouble)?;
    refuse_others(&connection, file, trouble)?;
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(trouble)?;
    if verdict != "ok" {
        return Err(Trouble::Damaged(verdict));
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(trouble)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(trouble)?;
    migrate(&mut connection).map_err(trouble)?;
    Ok(connection)
}

/// Refuses a database of a newer schema, and one that is not ours at all.
fn refuse_others(
    connection: &Connection,
    file: &Path,
    trouble: impl Fn(rusqlite::Error) -> Trouble + Copy,
) -> Result<(), Trouble> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id").map_err(trouble)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(trouble)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(Trouble::Refused(StoreError::Foreign { file: file.to_owned() }));
    }
    let found = number("PRAGMA user_version").map_err(trouble)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Trouble::Refused(StoreError::Newer { file: file.to_owned(), found, known }));
    }
    Ok(())
}

/// Brings the schema up to date, all or nothing.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for script in MIGRATIONS.iter().skip(usize::try_from(done).unwrap_or(0)) {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()
}

/// Moves a damaged database and its companions out of the way.
fn set_aside(file: &Path, why: &str) -> Result<(), StoreError> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let with = |suffix: &str| {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let aside = with(&format!(".corrupt-{time}"));
    fs::rename(file, &aside).map_err(|error| StoreError::Stuck {
        file: file.to_owned(),
        why: why.to_owned(),
        error,
    })?;
    // A write-ahead log left behind would be replayed into the new database.
    for companion in ["-wal", "-shm"] {
        let moved = with(&format!(".corrupt-{time}{companion}"));
        match fs::rename(with(companion), moved) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Stuck {
                    file: with(companion),
                    why: why.to_owned(),
                    error,
                });
            }
            _ => {}
        }
    }
    tracing::error!(
        file = %file.display(),
        aside = %aside.display(),
        why,
        "the store is damaged: it was set aside and a new one begun; events not delivered before are in the old file"
    );
    Ok(())
}

fn sqlite_error(file: &Path, error: &rusqlite::Error) -> StoreError {
    let file = file.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { file },
        Some(
            ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DiskFull,
        ) => StoreError::Unwritable { file, why: error.to_string() },
        _ => StoreError::Sqlite { file, why: error.to_string() },
    }
}
