//! All SQL: one SQLite file, one writer, a pool of readers. The only room that names rusqlite.
//!
//! Functions of the table modules take a [`Read`] or a [`Tx`] and return domain types. [`Store::read`] and
//! [`Store::write`] hand those out. Constraint violations become errors here, not in a SELECT that races.

mod administration;
mod allowance;
mod api_keys;
mod attachments;
mod audit;
mod backup;
mod blobs;
mod branches;
mod conversations;
mod documents;
mod few;
mod housekeeping;
mod html;
mod inspect;
mod llm_logs;
mod memo;
mod message_index;
mod messages;
mod migrate;
mod open;
mod pen;
mod portable;
mod providers;
mod readers;
mod search;
mod seek;
mod sessions;
mod settings;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod usage;
mod users;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Params, Row};

use crate::error::{Error, Kind};

pub use administration::{
    Access, Account, AccountPatch, LimitsPatch, count_accounts, find_account, find_setting, find_user_id,
    list_accounts, remove_account, save_setting, update_account,
};
pub use allowance::{Allowance, Consumption, UserLimits, check_allowance, count_message, find_consumption};
pub use api_keys::{
    ApiKey, KeyHolder, NewApiKey, check_budget, delete_api_key, delete_api_keys, find_key_holder, insert_api_key,
    list_api_keys, touch_api_key,
};
pub use attachments::{
    Attachment, NewAttachment, Reading, check_quota, delete_attachment, delete_unsent, find_attachment, find_reading,
    list_attachments, save_reading, send_again, send_attachments,
};
pub use audit::{
    Act, Doer, Entry, EntryFilter, Means, Subject, changed_secret, count_entries, differences, insert_changes,
    insert_entry, list_entries,
};
pub use backup::{check_backup, copy_database, note_in};
pub use blobs::AttachmentReader;
pub use branches::{DeletedBranch, delete_branch, find_deleted_branch, restore_branch};
pub use conversations::{
    Conversation, ConversationPatch, Listed, NewConversation, Page, delete_conversation, find_conversation,
    insert_conversation, list_conversations, list_conversations_by_age, list_conversations_pinned_first,
    owner_of_conversation, restore_conversation, summarise_conversation, update_conversation,
};
pub use documents::{
    DOCUMENTS_MAX, Document, IndexWords, LIBRARY_BYTES_MAX, LibrarySize, NewChunk, NewDocument, Piece, Removal,
    find_document, find_document_by_content, hide_document, insert_chunks, insert_document, list_documents,
    list_documents_by_age, list_pieces, measure_library, read_document, remove_hidden, show_document,
};
pub use html::{Rendered, list_html, save_html};
pub use inspect::{Inspection, inspect};
pub use llm_logs::{LlmConversation, LlmItem, LlmLogs, LlmResponse};
pub use memo::Memo;
pub use message_index::Phrase;
pub use messages::{
    Branch, Message, MessageDetails, NewMessage, Role, Source, State, Utterance, find_message, finish_message,
    insert_message, insert_sibling, interrupt_streaming, list_branch, list_reply_models, list_utterances, mark_read,
    resume_reply, save_partial, save_sources, save_thoughts, withdraw_reply,
};
pub use open::{DATABASE_FILE, Location};
pub use portable::{
    Arrival, Known, MESSAGES_MAX, PortableConversation, PortableMessage, SOURCES_MAX, date_attachments, derived_uuid,
    find_portable_settings, import_conversations, import_settings, list_arriving, list_portable_attachments,
    list_portable_conversations, list_portable_messages, owner_of_attachment,
};
pub use providers::{
    ModelSettings, NewProvider, ProviderPatch, StoredProvider, delete_provider, find_model_settings, find_provider,
    insert_provider, list_providers, save_model_settings, update_provider,
};
pub use search::{FoundChunk, Hit, index_word, list_chunks, list_hits};
pub use seek::{
    Among, Candidate, Ending, FoundMessage, FoundTitle, Sought, Within, list_found_messages, list_found_titles,
    list_texts, seek, seek_enough,
};
pub use sessions::{
    NewSession, Session, SessionKey, SessionOf, SignedIn, delete_session, end_other_sessions, find_revocation,
    find_session, insert_revocation, insert_session, list_ended_sessions, list_sessions,
};
pub use settings::{find_settings, update_settings};
pub use tags::{Tag, count_tagged, delete_tag, list_tagged, list_tags, rename_tag};
pub use tree::{Around, MessageIds, Node, Tree, list_around, list_tree, show_branch};
pub use usage::{
    NewUsage, Scope, UsageBy, UsageDetail, UsageOf, UsageRange, UsageSum, insert_usage, list_conversation_usage,
    list_usage, sum_usage,
};
pub use users::{
    Admin, NewUser, User, UserPatch, count_admins, count_users, find_account_of_owner, find_user_by_external_id,
    find_user_by_id, find_user_by_login, find_user_by_uuid, insert_user, update_user,
};

use readers::Readers;
use writer::Writer;
pub use writer::WriterFigures;

/// The store: opened once, shared by every thread.
pub struct Store {
    readers: Readers,
    writer: Writer,
    installation: String,
    database: PathBuf,
}

impl Store {
    /// Opens (and creates or migrates) the database at `location`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] with a sentence for the terminal: not ours, written by a newer version, damaged, no disk space.
    /// [`Kind::Internal`] when no thread starts.
    pub fn open(location: &Location) -> Result<Store, Error> {
        let (store, (), ()) = Store::open_and_find(location, |_| Ok(()), || ())?;
        Ok(store)
    }

    /// As [`Store::open`]. Returns also what `find` reads before anything is written: a damaged database, of which what a
    /// start needs cannot be read, is left as it is. And what `meanwhile` gives, which is done at the same time by a thread
    /// that has nothing to do yet.
    ///
    /// # Errors
    /// Those of [`Store::open`] and, with the path, of `find`.
    pub fn open_and_find<F, M: Send + 'static>(
        location: &Location,
        find: impl FnOnce(&Read<'_>) -> Result<F, Error>,
        meanwhile: impl FnOnce() -> M + Send + 'static,
    ) -> Result<(Store, F, M), Error> {
        let path = &location.database;
        let starting = Writer::start(meanwhile)?;
        let opened = open::open(path)?;
        // What a server that was killed has left is given up: replies that were being written, files that came half.
        let recover = |tx: &Tx<'_>| {
            let found = find(tx)?;
            interrupt_streaming(tx)?;
            blobs::abandon_unused(tx)?;
            Ok(found)
        };
        let found = starting.run_here(&opened.connection, recover);
        let found = found.map_err(|error| open::refused(path, error))?;
        let (writer, made) = starting.finish(opened.connection)?;
        let store = Store {
            readers: Readers::new(path),
            writer,
            installation: opened.installation,
            database: path.clone(),
        };
        Ok((store, found, made))
    }

    /// Runs `work` on one of the read-only connections. Waits up to five seconds for one to be free.
    ///
    /// # Errors
    /// Those of `work`; [`Kind::Unavailable`] when no connection came free.
    pub fn read<T>(&self, work: impl FnOnce(&Read<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.readers.with(work)
    }

    /// Runs `work` as [`Store::read`] does, and stops its queries after `time_max`.
    ///
    /// # Errors
    /// Those of [`Store::read`]; [`Kind::Unavailable`] when the time is over ([`is_stopped`] tells it from others).
    pub fn read_within<T, E: From<Error>>(
        &self,
        time_max: Duration,
        work: impl FnOnce(&Read<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.readers.within(time_max, work)
    }

    /// Runs `work` in the writer's next transaction and returns when that is on disk.
    ///
    /// `work` may be run more than once (when another job of the same transaction has failed), so it must not
    /// change anything but the database.
    ///
    /// # Errors
    /// Those of `work`; [`Kind::Unavailable`] (queue full, database locked, disk failing) and [`Kind::StorageFull`].
    pub fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.run(Duration::ZERO, work)
    }

    /// As [`Store::write`], for those who write while many others do: `work` waits a moment for company, unless somebody
    /// comes who does not wait. A commit takes the same for many as for one.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn write_in_company<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.run(writer::GATHER, work)
    }

    /// Runs `work` as [`Store::write`] does, and takes back what it did: what would happen.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn rehearse<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let told = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&told);
        let outcome = self.write(move |tx| {
            let value = work(tx)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            // A job that fails is taken back.
            Err::<(), _>(Error::new(Kind::Internal, "a rehearsal is over"))
        });
        let value = told.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (value, outcome) {
            (Some(value), _) => Ok(value),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::new(Kind::Internal, "a rehearsal ended without a value")),
        }
    }

    /// Has the writer clear away at once what it would clear away within the hour.
    pub fn clear_away_soon(&self) {
        self.writer.clear_away_soon();
    }

    /// What the writer has done so far, and has before it.
    pub fn figures(&self) -> WriterFigures {
        self.writer.figures()
    }

    /// Queues `work` for the writer's next transaction and does not wait: for what may be lost. Like that of
    /// [`Store::write`] it may be run more than once. Whether it failed nobody learns.
    pub fn write_later<T: Send + 'static>(&self, work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static) {
        self.writer.post(work);
    }

    /// Why the last write failed, if it did: the store's health in a sentence.
    pub fn trouble(&self) -> Option<String> {
        self.writer.trouble()
    }

    /// Eight hexadecimal digits that tell this database from every other.
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Finishes what is queued, folds the write-ahead log into the database file and stops the writer.
    pub fn close(&self) {
        self.writer.close();
    }
}

/// What somebody calls a conversation, a message, an attachment or a document: either kind of id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    /// The integer id.
    Id(i64),
    /// The UUID, in lower case with hyphens.
    Uuid(String),
}

impl Ref {
    /// The integer id or the UUID, whichever it is.
    fn parts(&self) -> (Option<i64>, Option<&str>) {
        match self {
            Ref::Id(id) => (Some(*id), None),
            Ref::Uuid(uuid) => (None, Some(uuid)),
        }
    }
}

/// A connection that can be read from.
pub struct Read<'c>(&'c Connection);

/// While this exists, a connection's queries all see the same moment.
struct Snapshot<'c>(Option<&'c Connection>);

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0
            && let Err(error) = connection
                .prepare_cached("COMMIT")
                .and_then(|mut statement| statement.execute(()))
        {
            log::error!("a read-only transaction did not end: {error}");
        }
    }
}

impl Read<'_> {
    /// Has several queries see the same moment, also at less cost, as each would lock the database anew. Within a
    /// transaction they do anyway.
    fn snapshot(&self) -> Result<Snapshot<'_>, Error> {
        if !self.0.is_autocommit() {
            return Ok(Snapshot(None));
        }
        let mut begin = self.0.prepare_cached("BEGIN").map_err(failed)?;
        begin.execute(()).map_err(failed)?;
        Ok(Snapshot(Some(self.0)))
    }

    /// The first row of a query, if there is one.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => map(row).map(Some).map_err(failed),
            None => Ok(None),
        }
    }

    /// All rows of a query.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, map).map_err(failed)?;
        rows.collect::<rusqlite::Result<Vec<T>>>().map_err(failed)
    }

    /// One row of a query after the other, until `visit` breaks off.
    fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), Error> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if visit(row).map_err(failed)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The writer's connection inside a transaction. Reads see what the transaction wrote.
pub struct Tx<'c>(Read<'c>);

impl<'c> std::ops::Deref for Tx<'c> {
    type Target = Read<'c>;

    fn deref(&self) -> &Read<'c> {
        &self.0
    }
}

impl Tx<'_> {
    /// Runs a statement; returns the number of rows it changed.
    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let mut statement = self.0.0.prepare_cached(sql).map_err(failed)?;
        statement.execute(params).map_err(failed)
    }

    /// Runs an INSERT; returns the new row's integer id.
    fn insert(&self, sql: &str, params: impl Params) -> Result<i64, Error> {
        self.execute(sql, params)?;
        Ok(self.0.0.last_insert_rowid())
    }
}

/// What SQLite says, in our kinds. Constraint violations that mean something are told apart by their callers first.
fn failed(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (
            Kind::StorageFull,
            "The disk is full. Nothing was stored; free some space and try again",
        ),
        // A quota, or a limit on the size of files: SQLite knows only the disk's own word for being full.
        Some(_) if code(&error) == Some(rusqlite::ffi::SQLITE_IOERR_WRITE) => (
            Kind::StorageFull,
            "The disk takes no more of the database. Nothing was stored; free some space, or look at its limits and health",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            Kind::StorageFull,
            "The database cannot be written to. Nothing was stored",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Unavailable,
            "The database is locked by another program. Nothing was stored; try again",
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => (
            Kind::Unavailable,
            "The disk reported an error. Nothing was stored; try again",
        ),
        Some(ErrorCode::OperationInterrupted) => (
            Kind::Unavailable,
            "This took too long and was stopped. Ask for less: add a word, or a filter such as after:",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (Kind::Unavailable, "The database file is damaged. Restore a backup")
        }
        _ => (Kind::Internal, "A query failed"),
    };
    let error = Error::new(kind, message).caused_by(error);
    match kind {
        Kind::Unavailable | Kind::StorageFull => error.retry_after(5),
        _ => error,
    }
}

/// SQLite's own number for what went wrong.
fn code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

/// Whether this is a query that [`Store::read_within`] has stopped.
pub fn is_stopped(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let sqlite = source.and_then(|source| source.downcast_ref::<rusqlite::Error>());
    sqlite.is_some_and(|error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
}

/// A list in one parameter, for `json_each`: one statement whatever the list's length.
fn json_list<T: Clone + Into<serde_json::Value>>(items: &[T]) -> String {
    serde_json::Value::from(items).to_string()
}

/// Whether this is the violation of a UNIQUE constraint on `column` (`table.column`).
fn violates(error: &Error, column: &str) -> bool {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<rusqlite::Error>()) {
        Some(rusqlite::Error::SqliteFailure(_, Some(message))) => {
            message.starts_with("UNIQUE constraint failed") && message.contains(column)
        }
        _ => false,
    }
}

/// The folder's mode is the caller's business; this only names the file inside it.
pub fn database_path(folder: &Path) -> PathBuf {
    folder.join(DATABASE_FILE)
}

/// The version of SQLite that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// A shared store, as the application holds it.
pub type SharedStore = Arc<Store>;
