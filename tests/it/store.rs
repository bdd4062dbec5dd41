//! The store: durable, in order, bounded, and clear about a file that it cannot have.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use strandwatch::core::contract::{Decision, ReplyStatus};
use strandwatch::ports::Store;
use strandwatch::store::{OUTBOX_LIMIT, SqliteStore, StoreError};

use crate::support::mqtt::event;

fn open(file: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(file, OUTBOX_LIMIT).unwrap()
}

fn refused(file: &Path) -> StoreError {
    let error = match SqliteStore::open(file, OUTBOX_LIMIT) {
        Ok(_) => panic!("{} was opened", file.display()),
        Err(error) => error,
    };
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    error
}

async fn seqs(store: &SqliteStore, limit: usize) -> Vec<u64> {
    let events = store.undelivered(limit).await.unwrap();
    events.into_iter().map(|(_, event)| event.seq).collect()
}

#[tokio::test]
async fn events_come_back_whole_in_order_until_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/folder/store.sqlite3");
    let store = open(&file);
    for seq in 1..=5 {
        store.append_event(event(seq)).await.unwrap();
    }
    let events = store.undelivered(3).await.unwrap();
    assert_eq!(
        events.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(),
        [event(1), event(2), event(3)]
    );
    store.delivered(events[1].0).await.unwrap();
    store.delivered(events[0].0).await.unwrap();
    store.delivered(events[0].0).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&file);
    assert_eq!(seqs(&store, 10).await, [3, 4, 5]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else may read it");
}

#[tokio::test]
async fn a_key_is_never_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s"));
    store.append_event(event(1)).await.unwrap();
    let (key, _) = store.undelivered(1).await.unwrap().remove(0);
    store.delivered(key).await.unwrap();
    store.append_event(event(2)).await.unwrap();
    store.delivered(key).await.unwrap();
    assert_eq!(seqs(&store, 10).await, [2]);
}

#[tokio::test]
async fn what_is_appended_is_on_disk_although_the_store_was_never_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    let abandoned = open(&file);
    abandoned.append_event(event(1)).await.unwrap();
    abandoned.put("k".to_owned(), json!(1)).await.unwrap();
    // What a killed process leaves behind: the files as they are now.
    for name in ["s", "s-wal"] {
        std::fs::copy(folder.path().join(name), folder.path().join(format!("copy-{name}")))
            .unwrap();
    }
    std::fs::rename(folder.path().join("copy-s"), folder.path().join("t")).unwrap();
    std::fs::rename(folder.path().join("copy-s-wal"), folder.path().join("t-wal")).unwrap();
    let store = open(&folder.path().join("t"));
    assert_eq!(seqs(&store, 10).await, [1]);
    assert_eq!(store.list(String::new()).await.unwrap(), [("k".to_owned(), json!(1))]);
}

#[tokio::test]
async fn the_outbox_is_bounded_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    let store = SqliteStore::open(&file, 3).unwrap();
    for seq in 1..=5 {
        store.append_event(event(seq)).await.unwrap();
    }
    assert_eq!(seqs(&store, 10).await, [3, 4, 5]);
    store.close().await;
    let store = SqliteStore::open(&file, 2).unwrap();
    store.append_event(event(6)).await.unwrap();
    assert_eq!(seqs(&store, 10).await, [5, 6]);
}

#[tokio::test]
async fn an_event_of_another_time_does_not_hold_up_those_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    let store = open(&file);
    store.close().await;
    let raw = Connection::open(&file).unwrap();
    for text in ["{}", "not JSON", r#"{"event_type":"danced"}"#] {
        raw.execute("INSERT INTO outbox (event) VALUES (?1)", [text]).unwrap();
    }
    drop(raw);
    let store = open(&file);
    store.append_event(event(4)).await.unwrap();
    assert_eq!(seqs(&store, 1).await, [4]);
}

#[tokio::test]
async fn documents_are_put_listed_by_prefix_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s"));
    for (key, value) in [("a/2", 2), ("b/1", 9), ("a/1", 0), ("a/1", 1), ("a%", 7)] {
        store.put(key.to_owned(), json!({ "v": value })).await.unwrap();
    }
    let listed = store.list("a/".to_owned()).await.unwrap();
    assert_eq!(
        listed,
        [("a/1".to_owned(), json!({ "v": 1 })), ("a/2".to_owned(), json!({ "v": 2 }))]
    );
    store.remove("a/1".to_owned()).await.unwrap();
    store.remove("a/1".to_owned()).await.unwrap();
    assert_eq!(store.list("a/".to_owned()).await.unwrap().len(), 1);
    assert_eq!(store.list(String::new()).await.unwrap().len(), 3);
    assert_eq!(store.list("ü".to_owned()).await.unwrap(), []);
}

#[tokio::test]
async fn after_closing_calls_fail_and_do_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s"));
    store.close().await;
    store.close().await;
    let fault = store.append_event(event(1)).await.unwrap_err();
    assert!(fault.to_string().contains("closed"), "{fault}");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    for damage in ["not a database at all ".repeat(200).into_bytes(), {
        let store = open(&folder.path().join("whole"));
        for seq in 0..500 {
            store.append_event(event(seq)).await.unwrap();
        }
        store.close().await;
        let mut bytes = std::fs::read(folder.path().join("whole")).unwrap();
        // The header stays; every page after the first is overwritten.
        bytes[4096..].fill(0xa5);
        bytes
    }] {
        std::fs::write(&file, &damage).unwrap();
        let store = open(&file);
        store.append_event(event(1)).await.unwrap();
        assert_eq!(seqs(&store, 10).await, [1]);
        store.close().await;
        let aside = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.display().to_string().contains("s.corrupt-"))
            .expect("the damaged file is kept");
        assert_eq!(std::fs::read(&aside).unwrap(), damage);
        std::fs::remove_file(aside).unwrap();
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    drop(open(&file));
    let raw = Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = refused(&file);
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("moonraker-sql.db");
    let raw = Connection::open(&file).unwrap();
    raw.execute_batch("CREATE TABLE namespace_store (key TEXT)").unwrap();
    drop(raw);
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(refused(&file), StoreError::Foreign { .. }));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_locked_file_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    let raw = Connection::open(&file).unwrap();
    raw.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = refused(&file);
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    // A file for a folder, a folder for a file, and a file system that takes no files even from root.
    for file in [&in_the_way.join("s"), folder.path(), Path::new("/proc/self/strandwatch.sqlite3")]
    {
        let error = refused(file);
        assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("store.path"), "{error}");
    }
}

#[test]
fn a_file_without_permission_to_write_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    drop(open(&file));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    if std::fs::OpenOptions::new().write(true).open(&file).is_ok() {
        eprintln!("this user may write everything: nothing to be seen here");
        return;
    }
    assert!(matches!(refused(&file), StoreError::Unwritable { .. }));
}

fn decision(client: &str, n: usize) -> Decision {
    Decision {
        at: 1_700_000_000.0 + n as f64,
        client: client.to_owned(),
        verified: true,
        printer: "voron".to_owned(),
        command: "pause".to_owned(),
        request: Some(n.to_string()),
        status: ReplyStatus::Refused,
        reason: Some("lacks the right".to_owned()),
    }
}

#[tokio::test]
async fn decisions_come_back_newest_first_by_client_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    let store = open(&file);
    for n in 0..5 {
        store.log_decision(decision(["phone", "panel"][n % 2], n)).await.unwrap();
    }
    store.close().await;
    let store = open(&file);
    assert_eq!(
        store.decisions(None, 2).await.unwrap(),
        [decision("phone", 4), decision("panel", 3)]
    );
    let of_panel = store.decisions(Some("panel".to_owned()), 10).await.unwrap();
    assert_eq!(of_panel, [decision("panel", 3), decision("panel", 1)]);
}

#[tokio::test]
async fn the_log_of_decisions_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s");
    open(&file).close().await;
    let connection = Connection::open(&file).unwrap();
    let text = serde_json::to_string(&decision("phone", 0)).unwrap();
    connection
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO decision (client, decision) SELECT 'phone', ?1 FROM n",
            [&text],
        )
        .unwrap();
    drop(connection);
    let store = open(&file);
    for n in 0..100 {
        store.log_decision(decision("phone", n)).await.unwrap();
    }
    let kept = store.decisions(None, usize::MAX).await.unwrap();
    assert_eq!(kept.len(), 20_000);
    assert_eq!(kept[0], decision("phone", 99));
}

/// A daemon and a `client add` beside it may both find no file yet.
#[test]
fn all_who_begin_a_file_at_once_have_it() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("strandwatch.db");
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        SqliteStore::open(&file, 10).map(drop)
                    })
                })
                .collect();
            for one in opening {
                one.join().unwrap().unwrap();
            }
        });
        let files = std::fs::read_dir(folder.path()).unwrap().flatten();
        let aside: Vec<_> =
            files.filter(|entry| entry.file_name().to_string_lossy().contains("corrupt")).collect();
        assert!(aside.is_empty(), "{aside:?}");
    }
}
