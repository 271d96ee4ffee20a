//! The store on a temporary file, through the real schema. The rig, opening and reading here; a module per subject
//! below. Nothing here knows HTTP.

mod accounts;
mod administration;
mod allowance;
mod api_keys;
mod attachments;
mod audit;
mod backup;
mod branches;
mod conversations;
mod documents;
mod housekeeping;
mod html;
mod message_index;
mod messages;
mod owner;
mod plans;
mod providers;
mod settings;
mod tags;
mod tree;
mod usage;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rusqlite::types::FromSql;

use super::{
    Admin, Branch, DATABASE_FILE, Location, Means, MessageDetails, NewConversation, NewMessage, NewUser, Read, Ref,
    Role, SharedStore, State, Store, Tx, User, failed, find_conversation, find_user_by_id, insert_conversation,
    insert_message, insert_user, list_branch,
};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::patience::{PATIENCE, until};

/// A store in a folder of its own, which goes away with it.
pub(crate) struct Rig {
    pub(crate) store: SharedStore,
    location: Location,
}

impl std::ops::Deref for Rig {
    type Target = SharedStore;

    fn deref(&self) -> &SharedStore {
        &self.store
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.store.close();
        std::fs::remove_dir_all(&self.location.folder).ok();
    }
}

/// `seconds` (below an hour) after a moment in the past, as the schema writes times.
fn at(seconds: usize) -> String {
    format!(
        "2026-01-02T03:{:02}:{:02}.000000+00:00",
        seconds / 60 % 60,
        seconds % 60
    )
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        uuid: Clock.uuid(),
        external_id: None,
        username: Some(name.into()),
        email: Some(format!("{name}@example.org")),
        display_name: None,
        password_hash: Some("a hash".into()),
        admin: Admin::No,
        created_at: at(0),
    }
}

fn new_message(conversation_id: i64, user_id: i64, content: &str) -> NewMessage {
    NewMessage {
        uuid: Clock.uuid(),
        conversation_id,
        user_id,
        role: Role::User,
        content: content.into(),
        state: State::Complete,
        model: None,
        error: None,
        created_at: at(0),
        details: MessageDetails::default(),
    }
}

impl Rig {
    pub(crate) fn new() -> Rig {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "fireside-store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let location = Location {
            database: super::database_path(&folder),
            folder,
        };
        let store = Store::open(&location).unwrap();
        Rig {
            store: store.into(),
            location,
        }
    }

    /// Another store on the same file.
    fn another(&self) -> Store {
        Store::open(&self.location).unwrap()
    }

    /// How long the write-ahead log is, if there is one.
    fn log_bytes(&self) -> u64 {
        let log = self.location.folder.join(format!("{DATABASE_FILE}-wal"));
        std::fs::metadata(log).map_or(0, |log| log.len())
    }

    pub(crate) fn user(&self, name: &str) -> User {
        let new = new_user(name);
        self.write(move |tx| insert_user(tx, &new)).unwrap()
    }

    /// A new conversation, made and last updated at `at(seconds)`.
    pub(crate) fn conversation(&self, owner: i64, seconds: usize) -> i64 {
        let new = NewConversation {
            user_id: owner,
            uuid: Clock.uuid(),
            title: None,
            created_at: at(seconds),
        };
        self.write(move |tx| insert_conversation(tx, &new)).unwrap()
    }

    pub(crate) fn message(&self, conversation_id: i64, owner: i64, content: &str) -> i64 {
        self.insert(new_message(conversation_id, owner, content), None).unwrap()
    }

    fn insert(&self, new: NewMessage, parent: Option<i64>) -> Result<i64, Error> {
        self.write(move |tx| insert_message(tx, &new, parent, None))
    }

    /// The texts of the branch that is shown.
    pub(crate) fn branch(&self, conversation_id: i64, owner: i64) -> Vec<String> {
        self.read(|read| {
            let leaf_id = find_conversation(read, owner, &Ref::Id(conversation_id))?.leaf_id;
            let branch = Branch {
                conversation_id,
                leaf_id,
                before: None,
                limit: 1000,
            };
            Ok(list_branch(read, &branch)?
                .into_iter()
                .map(|message| message.content)
                .collect())
        })
        .unwrap()
    }

    /// The first value of a query's first row, past all that the store offers.
    pub(crate) fn value<T: FromSql>(&self, sql: &str) -> T {
        self.read(|read| read.0.query_row(sql, (), |row| row.get(0)).map_err(failed))
            .unwrap()
    }

    /// Statements that nobody but a test has a reason for.
    pub(crate) fn batch(&self, sql: &str) {
        let sql = sql.to_owned();
        self.write(move |tx| tx.0.0.execute_batch(&sql).map_err(failed))
            .unwrap();
    }
}

/// The database may not grow: to SQLite, a full disk.
pub(crate) fn fill_disk(store: &Store) {
    let sql = "PRAGMA max_page_count = 1";
    store
        .write(|tx| tx.0.0.query_row(sql, (), |_| Ok(())).map_err(failed))
        .unwrap();
}

/// There is room again.
pub(crate) fn free_disk(store: &Store) {
    let sql = "PRAGMA max_page_count = 4294967294";
    store
        .write(|tx| tx.0.0.query_row(sql, (), |_| Ok(())).map_err(failed))
        .unwrap();
}

#[track_caller]
fn check_kind<T: std::fmt::Debug>(outcome: Result<T, Error>, kind: Kind) -> Error {
    let error = outcome.expect_err("an error");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

#[test]
fn reopening_keeps_everything() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    rig.message(conversation, ann.id, "kept");
    let installation = rig.installation().to_owned();
    rig.close();
    // Folded in: the file alone holds everything, and copying it is a backup.
    assert_eq!(rig.log_bytes(), 0);
    let again = rig.another();
    assert_eq!(again.installation(), installation);
    let found = again
        .read(|read| find_conversation(read, ann.id, &Ref::Id(conversation)))
        .unwrap();
    assert_eq!((found.message_count, found.last_message_content.as_str()), (1, "kept"));
    let user = again.read(|read| find_user_by_id(read, ann.id)).unwrap().unwrap();
    assert_eq!((user.uuid, user.conversation_count), (ann.uuid, 1));
    again.close();
}

#[test]
fn something_else_is_done_while_a_store_is_opened() {
    let rig = Rig::new();
    rig.store.close();
    let (begin, begun) = channel();
    let find = |_: &Read<'_>| Ok(begun.recv_timeout(PATIENCE).is_ok());
    let meanwhile = move || {
        begin.send(()).unwrap();
        thread::current().id()
    };
    let (again, was_at_the_same_time, other) = Store::open_and_find(&rig.location, find, meanwhile).unwrap();
    assert!(was_at_the_same_time && other != thread::current().id());
    // It was the writer's thread, which had nothing to do yet.
    assert_eq!(again.write(|_| Ok(thread::current().id())).unwrap(), other);
    again.close();
}

#[test]
fn what_a_start_cannot_find_is_said_with_the_file() {
    let rig = Rig::new();
    rig.store.close();
    let given = Arc::new(());
    let meanwhile = {
        let given = Arc::clone(&given);
        move || given
    };
    let find = |_: &Read<'_>| Err::<(), _>(Error::new(Kind::Internal, "no such table: settings"));
    let error = Store::open_and_find(&rig.location, find, meanwhile).err().unwrap();
    assert!(error.to_string().contains(DATABASE_FILE), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    // The thread that waited for it has ended, and what it had made is gone.
    assert_eq!(Arc::strong_count(&given), 1);
}

#[test]
fn a_panic_beside_the_opening_is_an_error() {
    let rig = Rig::new();
    rig.store.close();
    let meanwhile = || panic!("on purpose");
    let outcome = Store::open_and_find(&rig.location, |_| Ok(()), meanwhile);
    let error = outcome.map(|(_, (), ())| ()).unwrap_err();
    assert!(error.to_string().contains("could not be prepared"), "{error}");
}

#[test]
fn two_databases_are_told_apart() {
    let (one, two) = (Rig::new(), Rig::new());
    assert_ne!(one.installation(), two.installation());
    assert!(one.installation().len() == 8 && one.installation().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn two_stores_on_one_file_take_turns() {
    let rig = Rig::new();
    let other = rig.another();
    for round in 0..20 {
        let (name, store) = if round % 2 == 0 {
            ("here", &*rig.store)
        } else {
            ("there", &other)
        };
        let new = new_user(&format!("{name}{round}"));
        let id = store.write(move |tx| insert_user(tx, &new)).unwrap().id;
        for store in [&*rig.store, &other] {
            assert!(store.read(|read| find_user_by_id(read, id)).unwrap().is_some());
        }
    }
    other.close();
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM users"), 20);
}

#[test]
fn readers_cannot_write() {
    let rig = Rig::new();
    let outcome = rig.read(|read| read.0.execute("DELETE FROM settings", ()).map_err(failed));
    assert_eq!(check_kind(outcome, Kind::StorageFull).retry_after_s(), Some(5));
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM settings"), 2);
}

#[test]
fn a_reading_that_panics_gives_its_connection_back() {
    let rig = Rig::new();
    for _ in 0..3 {
        let store = SharedStore::clone(&rig.store);
        let reading = thread::spawn(move || store.read(|_| -> Result<(), Error> { panic!("on purpose") }));
        assert!(reading.join().is_err());
    }
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM users"), 0);
}

#[test]
fn a_reading_waits_for_a_connection() {
    let rig = Rig::new();
    let (busy, is_busy) = channel();
    let (release, released) = channel::<()>();
    let released = std::sync::Mutex::new(released);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (store, busy, released) = (&rig.store, busy.clone(), &released);
            scope.spawn(move || {
                store.read(|_| {
                    busy.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                    Ok(())
                })
            });
            is_busy.recv().unwrap();
        }
        let third = scope.spawn(|| rig.value::<i64>("SELECT count(*) FROM users"));
        assert!(!third.is_finished());
        release.send(()).unwrap();
        assert_eq!(third.join().unwrap(), 0);
        release.send(()).unwrap();
    });
}

#[test]
fn readers_see_one_moment_of_the_store() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let store = SharedStore::clone(&rig.store);
    let seen = rig
        .write(move |tx: &Tx<'_>| {
            insert_user(tx, &new_user("bob"))?;
            // Not on disk yet: nobody else may see it.
            store.read(|read| Ok(find_user_by_id(read, ann.id + 1)?.is_some()))
        })
        .unwrap();
    assert!(!seen);
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM users"), 2);
}

#[test]
fn a_folder_without_a_name_of_ours() {
    let folder = PathBuf::from("some/folder");
    assert_eq!(super::database_path(&folder), folder.join("fireside.db"));
}
