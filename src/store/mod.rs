//! What must survive a restart, in one SQLite file: the outbox of events and small documents.
//!
//! One thread owns the connection; callers reach it through a bounded channel and wait when that is full, so a slow
//! disk slows its callers and loses nothing. The file is in WAL mode with `synchronous=FULL`: when
//! [`Store::append_event`] returns, the event has been flushed to the disk, and neither SIGKILL nor a power cut takes
//! it back. (In WAL mode SQLite's usual `NORMAL` flushes at checkpoints only.)
//!
//! A file that is damaged is set aside as `<file>.corrupt-<unix time>` and a new one begun, with an error in the log:
//! a printer is better watched without its history than not at all. Every other trouble at the start is refused with
//! the file's name and what to do, as going on would hide a mistake: a database of a newer Strandwatch, a database of
//! another program, one held by another process, a place that cannot be written.

mod database;
mod error;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::core::contract::Decision;
use crate::core::event::Event;
use crate::ports::{Store, StoreFault};
use database::Database;
pub use error::StoreError;

/// How many undelivered events are kept by default; about 50 MB.
pub const OUTBOX_LIMIT: usize = 100_000;

/// Calls waiting for the disk; a caller beyond that waits.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Database) + Send>;

enum Call {
    Work(Job),
    Close(oneshot::Sender<()>),
}

/// Every document whose key starts with `prefix`, without taking the store: for a look beside a running daemon. There
/// being no file is no document.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn look(path: &Path, prefix: &str) -> Result<Vec<(String, Value)>, StoreFault> {
    if path.exists() { Database::look(path)?.list(prefix) } else { Ok(Vec::new()) }
}

/// [`Store`] in an SQLite file.
pub struct SqliteStore {
    calls: mpsc::Sender<Call>,
}

impl SqliteStore {
    /// Opens the file, or begins it (with its folder), and starts the thread that owns it. Blocks for the time of a
    /// check of the file.
    ///
    /// At most `outbox_limit` events wait for delivery; beyond that the oldest are dropped, with an error in the log.
    ///
    /// # Errors
    /// When the file cannot be had, as [`StoreError`] lists; damage alone is no error, see the module.
    pub fn open(path: &Path, outbox_limit: usize) -> Result<Arc<Self>, StoreError> {
        let mut database = Database::open(path, outbox_limit)?;
        let (calls, mut queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(call) = queue.blocking_recv() {
                    match call {
                        Call::Work(job) => job(&mut database),
                        Call::Close(done) => {
                            drop(database);
                            let _ = done.send(());
                            return;
                        }
                    }
                }
            })
            .map_err(|error| StoreError::Thread { file: path.to_owned(), error })?;
        Ok(Arc::new(Self { calls }))
    }

    /// Serves the calls made so far, then closes the file. Calls after that fail.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.calls.send(Call::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreFault> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreFault>> {
        Box::pin(async move {
            let (answer, result) = oneshot::channel();
            let job: Job = Box::new(move |database| {
                let _ = answer.send(work(database));
            });
            let stopped = || StoreFault("the store is closed already".to_owned());
            self.calls.send(Call::Work(job)).await.map_err(|_| stopped())?;
            result.await.map_err(|_| stopped())?
        })
    }
}

impl Store for SqliteStore {
    fn append_event(&self, event: Event) -> BoxFuture<'_, Result<(), StoreFault>> {
        self.call(move |database| database.append(&event))
    }

    fn undelivered(&self, limit: usize) -> BoxFuture<'_, Result<Vec<(i64, Event)>, StoreFault>> {
        self.call(move |database| database.undelivered(limit))
    }

    fn delivered(&self, key: i64) -> BoxFuture<'_, Result<(), StoreFault>> {
        self.call(move |database| database.delivered(key))
    }

    fn log_decision(&self, decision: Decision) -> BoxFuture<'_, Result<(), StoreFault>> {
        self.call(move |database| database.log_decision(&decision))
    }

    fn decisions(
        &self,
        client: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Decision>, StoreFault>> {
        self.call(move |database| database.decisions(client.as_deref(), limit))
    }

    fn put(&self, key: String, value: Value) -> BoxFuture<'_, Result<(), StoreFault>> {
        self.call(move |database| database.put(&key, &value))
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, Result<Vec<(String, Value)>, StoreFault>> {
        self.call(move |database| database.list(&prefix))
    }

    fn remove(&self, key: String) -> BoxFuture<'_, Result<(), StoreFault>> {
        self.call(move |database| database.remove(&key))
    }

    fn version(&self) -> BoxFuture<'_, Result<i64, StoreFault>> {
        self.call(|database| database.version())
    }
}
