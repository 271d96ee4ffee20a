//! A conversation's messages as the tree that they are: all of its branches, which of them is shown, and the siblings
//! that one can turn to. Pages of one branch are in `messages`.

use std::collections::HashMap;

use rusqlite::{Row, params};

use super::messages::{Role, State, preview};
use super::{Message, Read, Ref, Tx, json_list};
use crate::error::{Error, Kind};

/// Messages that a tree holds, the newest ones: a conversation of more is read page by page.
const NODES_MAX: usize = 10_000;

/// Bytes of the messages that are read for a tree, after which no older one is added: only their first characters are
/// shown, but the file is read to the end of each.
const TREE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A message's place in the tree, and what tells it from the others.
#[derive(Clone, Debug)]
pub struct Node {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// The message before it.
    pub parent_id: Option<i64>,
    /// Who wrote it.
    pub role: Role,
    /// How far it has come.
    pub state: State,
    /// The model that ran (replies only).
    pub model: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Its first 200 characters.
    pub preview: String,
}

/// A conversation's messages on all branches, oldest first.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The newest 10 000, or fewer if they are large.
    pub nodes: Vec<Node>,
    /// Whether there are older ones.
    pub is_truncated: bool,
}

/// Either id of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageIds {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
}

/// What stands around a message in the tree.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The message before it.
    pub parent: Option<MessageIds>,
    /// All that stand at its place, itself included, oldest first.
    pub siblings: Vec<MessageIds>,
}

/// A conversation's messages on all branches. The conversation must have been found for its owner.
///
/// # Errors
/// Those of the store.
pub fn list_tree(read: &Read<'_>, conversation_id: i64) -> Result<Tree, Error> {
    let mut statement = read
        .0
        .prepare_cached(
            "SELECT id, uuid, parent_id, role, state, model, created_at, content FROM messages
             WHERE conversation_id = ?1 ORDER BY id DESC",
        )
        .map_err(super::failed)?;
    let mut rows = statement.query([conversation_id]).map_err(super::failed)?;
    let mut bytes = 0;
    let mut nodes = Vec::new();
    let mut is_truncated = false;
    while let Some(row) = rows.next().map_err(super::failed)? {
        let content = row
            .get_ref(7)
            .and_then(|content| Ok(content.as_str()?))
            .map_err(super::failed)?;
        bytes += content.len();
        if nodes.len() == NODES_MAX || bytes > TREE_BYTES_MAX && !nodes.is_empty() {
            is_truncated = true;
            break;
        }
        nodes.push(node(row, preview(content)).map_err(super::failed)?);
    }
    nodes.reverse();
    Ok(Tree { nodes, is_truncated })
}

fn node(row: &Row<'_>, preview: &str) -> rusqlite::Result<Node> {
    let (role, state): (String, String) = (row.get(3)?, row.get(4)?);
    Ok(Node {
        id: row.get(0)?,
        uuid: row.get(1)?,
        parent_id: row.get(2)?,
        role: Role::parse(&role),
        state: State::parse(&state),
        model: row.get(5)?,
        created_at: row.get(6)?,
        preview: preview.to_owned(),
    })
}

/// What stands around each of some messages of one conversation, by their ids. Two queries, however many they are; a
/// third that reads the conversation's index if one of them is where it begins.
///
/// # Errors
/// Those of the store.
pub fn list_around(read: &Read<'_>, messages: &[Message]) -> Result<HashMap<i64, Around>, Error> {
    let parents: Vec<i64> = messages.iter().filter_map(|message| message.parent_id).collect();
    let parents = json_list(&parents);
    let ids = |row: &Row<'_>| {
        let ids = MessageIds {
            id: row.get(0)?,
            uuid: row.get(1)?,
        };
        Ok((row.get::<_, Option<i64>>(2)?, ids))
    };
    let sql = "SELECT id, uuid, parent_id FROM messages WHERE id IN (SELECT value FROM json_each(?1))";
    let named: Vec<(Option<i64>, MessageIds)> = read.all(sql, [&parents], ids)?;
    let named: HashMap<i64, MessageIds> = named.into_iter().map(|(_, ids)| (ids.id, ids)).collect();
    let sql =
        "SELECT id, uuid, parent_id FROM messages WHERE parent_id IN (SELECT value FROM json_each(?1)) ORDER BY id";
    let mut siblings = read.all(sql, [&parents], ids)?;
    if let Some(first) = messages.iter().find(|message| message.parent_id.is_none()) {
        // The plus keeps SQLite from reading the first messages of everybody's conversations.
        let sql =
            "SELECT id, uuid, parent_id FROM messages WHERE conversation_id = ?1 AND +parent_id IS NULL ORDER BY id";
        siblings.extend(read.all(sql, [first.conversation_id], ids)?);
    }
    let mut places: HashMap<Option<i64>, Vec<MessageIds>> = HashMap::new();
    for (parent_id, ids) in siblings {
        places.entry(parent_id).or_default().push(ids);
    }
    let around = |message: &Message| Around {
        parent: message.parent_id.and_then(|id| named.get(&id).cloned()),
        siblings: places.get(&message.parent_id).cloned().unwrap_or_default(),
    };
    Ok(messages.iter().map(|message| (message.id, around(message))).collect())
}

/// Shows the branch with a message: the one that ends with the newest of all messages below it, or with itself if there
/// are none. Returns that branch's end.
///
/// # Errors
/// [`Kind::NotFound`] when the conversation has no such message. It must have been found for its owner.
pub fn show_branch(tx: &Tx<'_>, conversation_id: i64, which: &Ref) -> Result<i64, Error> {
    let (id, uuid) = which.parts();
    let sql = "SELECT id FROM messages WHERE (id = ?1 OR uuid = ?2) AND conversation_id = ?3";
    let found: Option<i64> = tx.first(sql, params![id, uuid, conversation_id], |row| row.get(0))?;
    let id = found.ok_or_else(|| Error::new(Kind::NotFound, "Message not found"))?;
    // The newest has none below it: a message is always newer than the one that it answers.
    let leaf: Option<i64> = tx.first(
        "WITH RECURSIVE branch (id) AS (
             SELECT ?1
             UNION ALL
             SELECT messages.id FROM branch JOIN messages ON messages.parent_id = branch.id
         )
         SELECT max(id) FROM branch",
        [id],
        |row| row.get(0),
    )?;
    let leaf = leaf.unwrap_or(id);
    set_leaf(tx, conversation_id, leaf)?;
    Ok(leaf)
}

/// Makes a message the end of the branch that is shown, with what lists say of that branch.
pub(super) fn set_leaf(tx: &Tx<'_>, conversation_id: i64, leaf: i64) -> Result<(), Error> {
    let sql = "SELECT created_at, content FROM messages WHERE id = ?1";
    let end = tx.first(sql, [leaf], |row| {
        let content: String = row.get(1)?;
        Ok((row.get::<_, String>(0)?, preview(&content).to_owned()))
    })?;
    let (time, content) = end.unzip();
    let length = count_branch(tx, leaf)?;
    tx.execute(
        "UPDATE conversations SET leaf_id = ?2, message_count = ?3, last_message_time = ?4, last_message_content = ?5
         WHERE id = ?1",
        params![conversation_id, leaf, length, time, content.unwrap_or_default()],
    )?;
    Ok(())
}

/// How many messages there are from a conversation's first to this one.
pub(super) fn count_branch(read: &Read<'_>, leaf: i64) -> Result<i64, Error> {
    let sql = "WITH RECURSIVE branch (id) AS (
                   SELECT ?1
                   UNION ALL
                   SELECT messages.parent_id FROM branch JOIN messages ON messages.id = branch.id
                   WHERE messages.parent_id IS NOT NULL
               )
               SELECT count(*) FROM branch";
    Ok(read.first(sql, [leaf], |row| row.get(0))?.unwrap_or(0))
}
