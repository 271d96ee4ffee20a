-- Fireside's schema. Append-only: each section is headed "-- vN: reason" and never edited after a release;
-- the whole file run on an empty database is the current schema.
--
-- Times are RFC 3339 text in UTC with six fractional digits, so they sort as text and read well in any SQLite shell.
-- Every conversation and message has an integer id (never reused) and a UUID: some clients know one kind, some the other.

-- v1: accounts, conversations, messages, attachments, usage
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid               TEXT NOT NULL UNIQUE,
    external_id        TEXT UNIQUE,                    -- the identity in another system's tokens; such users have no password
    email              TEXT COLLATE NOCASE UNIQUE,     -- before username: where both are taken, the name is what is reported
    username           TEXT COLLATE NOCASE UNIQUE,     -- null: the e-mail address serves as the name
    display_name       TEXT,
    role               TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('admin', 'user')),
    password_hash      TEXT,                           -- PHC string
    session_version    INTEGER NOT NULL DEFAULT 1,     -- raised when every older session must end
    system_prompt      TEXT,
    conversation_count INTEGER NOT NULL DEFAULT 0,     -- kept by triggers: counting rows is linear, and every list shows a total
    attachment_bytes   INTEGER NOT NULL DEFAULT 0,     -- kept by triggers as well: it is held against the quota on every upload
    disabled_at        TEXT,
    created_at         TEXT NOT NULL
);

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,                       -- the token's jti
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL,                       -- valid while it equals users.session_version
    user_agent TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE revocations (                             -- tokens of other systems that were logged out here
    token_sha256 TEXT PRIMARY KEY,
    expires_at   TEXT                                  -- null: the token never expires, so neither does this row
) WITHOUT ROWID;
CREATE INDEX revocations_by_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE conversations (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid                 TEXT NOT NULL UNIQUE,
    user_id              INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title                TEXT,
    summary              TEXT,
    created_at           TEXT NOT NULL,
    updated_at           TEXT NOT NULL,
    is_pinned            INTEGER NOT NULL DEFAULT 0,
    is_archived          INTEGER NOT NULL DEFAULT 0,
    deleted_at           TEXT,                         -- hidden at once, purged after 30 days
    leaf_id              INTEGER,                      -- the newest message of the branch that is shown
    message_count        INTEGER NOT NULL DEFAULT 0,   -- of that branch; with the two below it saves every list a join
    last_message_time    TEXT,
    last_message_content TEXT NOT NULL DEFAULT '',     -- its first 200 characters
    model                TEXT,                         -- null: the server's default
    system_prompt        TEXT,
    temperature          REAL,
    max_tokens           INTEGER,
    library              INTEGER NOT NULL DEFAULT 0    -- 1: replies draw on the user's documents
);
CREATE INDEX conversations_by_user ON conversations (user_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX conversations_pinned ON conversations (user_id, updated_at DESC, id DESC)
WHERE is_pinned = 1 AND deleted_at IS NULL; -- lists that begin with them would else read all the others
CREATE INDEX conversations_by_age ON conversations (user_id, deleted_at); -- then in order of id; whole: users go by it too
CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TRIGGER conversation_inserted AFTER INSERT ON conversations WHEN NEW.deleted_at IS NULL BEGIN
    UPDATE users SET conversation_count = conversation_count + 1 WHERE id = NEW.user_id;
END;
CREATE TRIGGER conversation_hidden AFTER UPDATE OF deleted_at ON conversations
WHEN (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL) BEGIN
    UPDATE users SET conversation_count = conversation_count + CASE WHEN NEW.deleted_at IS NULL THEN 1 ELSE -1 END
    WHERE id = NEW.user_id;
END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversations WHEN OLD.deleted_at IS NULL BEGIN
    UPDATE users SET conversation_count = conversation_count - 1 WHERE id = OLD.user_id;
END;

CREATE TABLE messages (                                -- a tree: an edit or a regeneration is a sibling, never an overwrite
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid             TEXT NOT NULL UNIQUE,
    conversation_id  INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id          INTEGER NOT NULL,                 -- the conversation's owner, also on replies
    parent_id        INTEGER REFERENCES messages (id), -- no cascade: one row would take all that was said after it
    role             TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content          TEXT NOT NULL,
    state            TEXT NOT NULL DEFAULT 'complete'
                     CHECK (state IN ('complete', 'streaming', 'interrupted', 'stopped', 'failed')),
    model            TEXT,                             -- the model that ran (replies only)
    error            TEXT,                             -- why a reply failed, in a sentence
    reasoning        TEXT,
    tool_calls       TEXT,                             -- JSON: [{name, arguments, result}]
    html             TEXT,                             -- rendered once, when complete
    html_version     INTEGER,                          -- of the renderer that made it
    summary          TEXT,
    type             TEXT NOT NULL DEFAULT 'text',
    media_urls       TEXT,                             -- JSON: [string]; null is []
    reply_to_id      TEXT,                             -- UUID of the message this one answers, as its sender said
    status           TEXT NOT NULL DEFAULT 'sent' CHECK (status IN ('sent', 'delivered', 'read')),
    importance_level TEXT NOT NULL DEFAULT 'normal',
    created_at       TEXT NOT NULL
);
CREATE INDEX messages_by_conversation ON messages (conversation_id);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE INDEX messages_streaming ON messages (id) WHERE state = 'streaming';

CREATE TABLE blobs (                                   -- attachments' bytes, once however often they are sent
    id         INTEGER PRIMARY KEY AUTOINCREMENT,      -- never reused: somebody may still be reading the parts of a blob that goes
    sha256     TEXT UNIQUE,                            -- null until every part is there; without it nobody finds the blob
    uses       INTEGER NOT NULL DEFAULT 0,             -- attachments that point here, kept by triggers; unused blobs are cleared away
    touched_at TEXT NOT NULL                           -- when its last part came; what has just come is about to be used
);
CREATE INDEX blobs_unused ON blobs (touched_at) WHERE uses = 0;

CREATE TABLE blob_parts (                              -- 256 KiB each, so that no one write or read is large
    id      INTEGER PRIMARY KEY,
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    part    INTEGER NOT NULL,                          -- 0, 1, 2 …
    bytes   BLOB NOT NULL,
    UNIQUE (blob_id, part)
);

CREATE TABLE attachments (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid         TEXT NOT NULL UNIQUE,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    filename     TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size         INTEGER NOT NULL,
    sha256       TEXT NOT NULL REFERENCES blobs (sha256),
    text         TEXT,                                 -- what models are given of it, once somebody has read it
    problem      TEXT,                                 -- why it could not be read, in a sentence
    sent_count   INTEGER NOT NULL DEFAULT 0,           -- of messages that have it, kept by triggers; 0: uploaded, not sent yet
    created_at   TEXT NOT NULL
);
CREATE INDEX attachments_by_user ON attachments (user_id);
CREATE INDEX attachments_by_blob ON attachments (sha256);
CREATE INDEX attachments_unsent ON attachments (created_at) WHERE sent_count = 0;

CREATE TABLE message_attachments (                     -- a file may be sent with several messages, and stays until the last goes
    message_id    INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    attachment_id INTEGER NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
    PRIMARY KEY (message_id, attachment_id)
) WITHOUT ROWID;
CREATE INDEX message_attachments_by_attachment ON message_attachments (attachment_id);

-- A small file counts as 4 KiB: rows cost as well.
CREATE TRIGGER attachment_inserted AFTER INSERT ON attachments BEGIN
    UPDATE blobs SET uses = uses + 1 WHERE sha256 = NEW.sha256;
    UPDATE users SET attachment_bytes = attachment_bytes + max(NEW.size, 4096) WHERE id = NEW.user_id;
END;
CREATE TRIGGER attachment_removed AFTER DELETE ON attachments BEGIN
    UPDATE blobs SET uses = uses - 1 WHERE sha256 = OLD.sha256;
    UPDATE users SET attachment_bytes = attachment_bytes - max(OLD.size, 4096) WHERE id = OLD.user_id;
END;
CREATE TRIGGER attachment_sent AFTER INSERT ON message_attachments BEGIN
    UPDATE attachments SET sent_count = sent_count + 1 WHERE id = NEW.attachment_id;
END;
CREATE TRIGGER attachment_unsent AFTER DELETE ON message_attachments BEGIN
    UPDATE attachments SET sent_count = sent_count - 1 WHERE id = OLD.attachment_id;
    DELETE FROM attachments WHERE id = OLD.attachment_id AND sent_count = 0;
END;
-- Some clients upload first and then name the address in their message: that sends the upload, also once more.
CREATE TRIGGER message_with_media AFTER INSERT ON messages WHEN json_valid(NEW.media_urls) BEGIN
    INSERT INTO message_attachments (message_id, attachment_id)
    SELECT NEW.id, id FROM attachments
    WHERE user_id = NEW.user_id AND uuid IN (
        SELECT substr(value, instr(value, '/media/') + 7, 36) FROM json_each(NEW.media_urls)
    );
END;

CREATE TABLE usage_details (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    INTEGER REFERENCES messages (id) ON DELETE SET NULL, -- what was spent stays spent when the message goes
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    scope         TEXT NOT NULL CHECK (scope IN ('title', 'intent', 'summary', 'tool', 'final')),
    model         TEXT NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    estimated     INTEGER NOT NULL DEFAULT 0,          -- 1: counted by us, because the model's server did not say
    price         REAL NOT NULL DEFAULT 0,             -- USD
    created_at    TEXT NOT NULL
);
CREATE INDEX usage_details_by_message ON usage_details (message_id);
CREATE INDEX usage_details_by_user ON usage_details (user_id, created_at);

-- v2: the library: documents, their chunks, and the index that passages are found by
CREATE TABLE documents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid        TEXT NOT NULL UNIQUE,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title       TEXT NOT NULL,
    author      TEXT,
    source      TEXT,                                  -- the name of the file it came from
    size        INTEGER NOT NULL,                      -- of its text, in bytes
    sha256      TEXT NOT NULL,                         -- of title, author and text: the same is not added twice
    chunk_count INTEGER NOT NULL,
    hidden_at   TEXT,                                  -- while it is being added or removed, chunk by chunk, nobody sees it
    created_at  TEXT NOT NULL
);
CREATE INDEX documents_by_user ON documents (user_id, id DESC, hidden_at, size, chunk_count); -- whole: users go by it too
CREATE UNIQUE INDEX documents_by_content ON documents (user_id, sha256) WHERE hidden_at IS NULL;
CREATE INDEX documents_hidden ON documents (hidden_at) WHERE hidden_at IS NOT NULL;

CREATE TABLE chunks (                                  -- one after the other they are the document's text, to the byte
    id          INTEGER PRIMARY KEY AUTOINCREMENT,     -- and the index's rowid
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    user_id     INTEGER NOT NULL,                      -- the document's owner
    position    INTEGER NOT NULL,                      -- 0, 1, 2 …
    heading     TEXT,                                  -- the headings it stands under
    text        TEXT NOT NULL,
    UNIQUE (document_id, position)
);

-- Every word in it begins with its owner's id (12qwhale), so a search reads nobody else's entries. It holds no text.
CREATE VIRTUAL TABLE library_index USING fts5 (
    title, heading, text,
    content = '', contentless_delete = 1,
    tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);
CREATE TRIGGER chunk_removed AFTER DELETE ON chunks BEGIN
    DELETE FROM library_index WHERE rowid = OLD.id;
END;

-- v3: API keys, tags, providers, what users set for themselves
CREATE TABLE api_keys (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid             TEXT NOT NULL UNIQUE,
    user_id          INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name             TEXT NOT NULL,
    hint             TEXT NOT NULL,                    -- its first characters, by which people tell their keys apart
    key_sha256       TEXT NOT NULL UNIQUE,             -- of 256 random bits: nothing to guess, so nothing slow to hash
    budget_usd_month REAL,                             -- what its replies may cost in a calendar month (UTC)
    created_at       TEXT NOT NULL,
    expires_at       TEXT,
    last_used_at     TEXT                              -- to the minute: a write for every request would cost more than the request
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

ALTER TABLE usage_details ADD COLUMN api_key_id INTEGER REFERENCES api_keys (id) ON DELETE SET NULL;
CREATE INDEX usage_details_by_api_key ON usage_details (api_key_id, created_at, price); -- whole: sums read it alone

ALTER TABLE conversations ADD COLUMN tags TEXT CHECK (json_valid(tags)); -- JSON: [string]; null is []. Lists show them without a join
CREATE TABLE conversation_tags (                       -- the same, to be looked up by; kept by triggers
    user_id         INTEGER NOT NULL,
    name            TEXT NOT NULL COLLATE NOCASE,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, name, conversation_id)
) WITHOUT ROWID;
CREATE INDEX conversation_tags_by_conversation ON conversation_tags (conversation_id);
CREATE TRIGGER conversation_tagged AFTER UPDATE OF tags ON conversations WHEN OLD.tags IS NOT NEW.tags BEGIN
    DELETE FROM conversation_tags WHERE conversation_id = NEW.id;
    INSERT OR IGNORE INTO conversation_tags (user_id, name, conversation_id)
    SELECT NEW.user_id, value, NEW.id FROM json_each(NEW.tags);
END;

ALTER TABLE users ADD COLUMN settings TEXT CHECK (json_valid(settings)); -- JSON: what the UI keeps for them

-- What was rendered of a text goes when the text changes, whoever changes it.
CREATE TRIGGER message_rewritten AFTER UPDATE OF content ON messages WHEN OLD.html IS NOT NULL BEGIN
    UPDATE messages SET html = NULL, html_version = NULL WHERE id = NEW.id;
END;

CREATE TABLE providers (                               -- those that administrators have added, beside the environment's
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE,    -- in provider/model
    protocol   TEXT NOT NULL CHECK (protocol IN ('openai', 'anthropic')),
    base_url   TEXT NOT NULL,
    api_key    TEXT,                                   -- sent to base_url only, never shown again; the file is the owner's alone
    is_enabled INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL
);

ALTER TABLE users ADD COLUMN removed_at TEXT;          -- what the account holds is being cleared away, and it goes last
CREATE INDEX users_removed ON users (removed_at) WHERE removed_at IS NOT NULL;

-- Full text of messages, and of conversations' titles: in an index of its own, or whoever has few would read of all
-- messages that a word begins so. FTS5 lists rows in order of their ids and can stop early, so these ids hold the time:
-- hours since 1970 << 32 | the message's or the conversation's id. Thus what is imported stands among what is as old. (Ids
-- alone would make the index 40 % smaller.) As in library_index every word begins with its owner's id, and no text is held.
CREATE VIRTUAL TABLE message_index USING fts5 (
    text,
    content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);
CREATE VIRTUAL TABLE title_index USING fts5 (
    text,
    content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);
ALTER TABLE messages ADD COLUMN search_row INTEGER
    AS (max(coalesce(unixepoch(created_at) / 3600, 0), 0) << 32 | id) VIRTUAL;
ALTER TABLE conversations ADD COLUMN search_row INTEGER
    AS (max(coalesce(unixepoch(created_at) / 3600, 0), 0) << 32 | id) VIRTUAL;
CREATE TABLE search_queue (id INTEGER PRIMARY KEY);    -- what the writer has yet to index; with a minus, a title
INSERT INTO search_queue (id) SELECT id FROM messages WHERE state = 'complete';
INSERT INTO search_queue (id) SELECT -id FROM conversations WHERE title IS NOT NULL;
CREATE TRIGGER message_to_search AFTER INSERT ON messages WHEN NEW.state = 'complete' BEGIN
    INSERT OR IGNORE INTO search_queue (id) VALUES (NEW.id);
END;
CREATE TRIGGER message_completed AFTER UPDATE OF content, state, conversation_id ON messages
WHEN NEW.state = 'complete' BEGIN
    INSERT OR IGNORE INTO search_queue (id) VALUES (NEW.id);
END;
CREATE TRIGGER message_goes_on AFTER UPDATE OF state ON messages
WHEN OLD.state = 'complete' AND NEW.state <> 'complete' BEGIN -- so what is found need not be asked whether it is whole
    DELETE FROM search_queue WHERE id = OLD.id;
    DELETE FROM message_index WHERE rowid = OLD.search_row;
END;
CREATE TRIGGER message_gone AFTER DELETE ON messages BEGIN
    DELETE FROM search_queue WHERE id = OLD.id;
    DELETE FROM message_index WHERE rowid = OLD.search_row;
END;
CREATE TRIGGER title_to_search AFTER INSERT ON conversations WHEN NEW.title IS NOT NULL BEGIN
    INSERT OR IGNORE INTO search_queue (id) VALUES (-NEW.id);
END;
CREATE TRIGGER title_changed AFTER UPDATE OF title ON conversations WHEN OLD.title IS NOT NEW.title BEGIN
    INSERT OR IGNORE INTO search_queue (id) VALUES (-NEW.id);
END;
CREATE TRIGGER title_gone AFTER DELETE ON conversations BEGIN
    DELETE FROM search_queue WHERE id = -OLD.id;
    DELETE FROM title_index WHERE rowid = OLD.search_row;
END;

ALTER TABLE conversations ADD COLUMN import_sha256 TEXT; -- of what was imported last: the same again changes nothing

-- A deleted branch is a hidden conversation of its own, cleared away like any other that was deleted.
ALTER TABLE conversations ADD COLUMN cut_from_id INTEGER;  -- the conversation that it was taken from
ALTER TABLE conversations ADD COLUMN cut_below_id INTEGER; -- the message that it stood below

ALTER TABLE messages ADD COLUMN sources TEXT CHECK (json_valid(sources)); -- JSON: [{document_id, position, title, author, heading, text}]

-- What administrators allow a single user; null: as everybody. 0 of the first two is no limit.
ALTER TABLE users ADD COLUMN messages_per_day INTEGER;
ALTER TABLE users ADD COLUMN budget_usd_month REAL;
ALTER TABLE users ADD COLUMN upload_quota_mib INTEGER;

CREATE TABLE consumption (                             -- kept, not counted: it is held against the limits on every send
    user_id  INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    day      TEXT NOT NULL DEFAULT '',                 -- 2026-11-22 (UTC): the last one on which something was sent
    messages INTEGER NOT NULL DEFAULT 0,               -- sent on that day
    month    TEXT NOT NULL DEFAULT '',                 -- 2026-11 (UTC): the last one in which something was paid for
    usd      REAL NOT NULL DEFAULT 0                   -- spent in that month
);
INSERT INTO consumption (user_id, month, usd)
SELECT user_id, strftime('%Y-%m', 'now'), total(price) FROM usage_details
WHERE created_at >= strftime('%Y-%m-01', 'now') GROUP BY user_id;

ALTER TABLE sessions ADD COLUMN is_owners INTEGER NOT NULL DEFAULT 0; -- 1: begun with the secret of the data folder (the command line)

CREATE TABLE audit (                                   -- what administrators did; nothing refers to it, so it outlasts its people
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         TEXT NOT NULL,
    user_id    TEXT,                                   -- UUID of who did it; null: whoever owns the data folder
    user_name  TEXT NOT NULL,                          -- as it was then
    address    TEXT,                                   -- null: not over the network
    means      TEXT NOT NULL CHECK (means IN ('session', 'command_line', 'setup')),
    act        TEXT NOT NULL,
    subject_id TEXT,                                   -- UUID of the user that it was done to, if it was one
    subject    TEXT,                                   -- the name of what it was done to, as it was then
    changes    TEXT NOT NULL CHECK (json_valid(changes)) -- JSON: [{field, from, to}]; of secrets only the field
);
