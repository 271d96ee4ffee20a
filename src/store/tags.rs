//! Tags: what owners file their conversations under. A conversation's row holds its own, and triggers keep a table of all
//! of them to look them up by. Names are the same without regard to the case of A to Z; each has one spelling.

use rusqlite::params;

use super::conversations::{LISTED_COLUMNS, Listed, map_listed};
use super::{Page, Read, Tx, json_list};
use crate::error::{Error, Kind};

/// Tags that a list holds. People have dozens; who has more sees the first ones.
const TAGS_MAX: i64 = 1000;

/// A tag and where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// As its owner spells it.
    pub name: String,
    /// Conversations that have it and are not deleted.
    pub conversation_count: i64,
}

/// A conversation's tags as they stand in its row.
pub(super) fn parse(tags: Option<&str>) -> Vec<String> {
    tags.and_then(|tags| serde_json::from_str(tags).ok())
        .unwrap_or_default()
}

/// Gives a conversation these tags and no others. A tag that another of the owner's conversations has is spelled as
/// there; one that is named twice counts once.
pub(super) fn set_tags(tx: &Tx<'_>, owner: i64, conversation_id: i64, tags: &[String]) -> Result<(), Error> {
    let known: Vec<String> = tx.all(
        "SELECT DISTINCT name FROM conversation_tags
         WHERE user_id = ?1 AND name IN (SELECT value FROM json_each(?2)) AND conversation_id <> ?3",
        params![owner, json_list(tags), conversation_id],
        |row| row.get(0),
    )?;
    let mut spelled: Vec<&str> = Vec::new();
    for tag in tags {
        let same = known.iter().find(|name| name.eq_ignore_ascii_case(tag));
        let name = same.unwrap_or(tag).as_str();
        if !spelled.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            spelled.push(name);
        }
    }
    let tags = (!spelled.is_empty()).then(|| json_list(&spelled));
    tx.execute(
        "UPDATE conversations SET tags = ?2 WHERE id = ?1",
        params![conversation_id, tags],
    )?;
    Ok(())
}

/// The owner's tags by name, at most 1 000.
///
/// # Errors
/// Those of the store.
pub fn list_tags(read: &Read<'_>, owner: i64) -> Result<Vec<Tag>, Error> {
    read.all(
        "SELECT name, count(*) FROM conversation_tags JOIN conversations ON id = conversation_id
         WHERE conversation_tags.user_id = ?1 AND deleted_at IS NULL GROUP BY name ORDER BY name LIMIT ?2",
        params![owner, TAGS_MAX],
        |row| {
            Ok(Tag {
                name: row.get(0)?,
                conversation_count: row.get(1)?,
            })
        },
    )
}

/// How many of the owner's conversations have a tag.
///
/// # Errors
/// Those of the store.
pub fn count_tagged(read: &Read<'_>, owner: i64, name: &str) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM conversation_tags JOIN conversations ON id = conversation_id
               WHERE conversation_tags.user_id = ?1 AND name = ?2 AND deleted_at IS NULL";
    let count = read.first(sql, params![owner, name], |row| row.get(0))?;
    Ok(count.unwrap_or(0))
}

/// The owner's conversations with a tag as `show` shows them, most recently updated first.
///
/// # Errors
/// Those of the store.
pub fn list_tagged<T>(
    read: &Read<'_>,
    owner: i64,
    name: &str,
    page: Page,
    mut show: impl FnMut(Listed<'_>) -> T,
) -> Result<Vec<T>, Error> {
    let sql = format!(
        "SELECT {LISTED_COLUMNS} FROM conversation_tags JOIN conversations ON id = conversation_id
         WHERE conversation_tags.user_id = ?1 AND name = ?2 AND deleted_at IS NULL
         ORDER BY updated_at DESC, id DESC LIMIT ?3 OFFSET ?4"
    );
    let params = params![owner, name, page.limit, page.offset];
    read.all(&sql, params, |row| map_listed(row).map(&mut show))
}

/// Renames a tag wherever the owner has it. If there is one of the new name already, the two become one.
///
/// # Errors
/// [`Kind::NotFound`] when no conversation that can be seen has it.
pub fn rename_tag(tx: &Tx<'_>, owner: i64, name: &str, new_name: &str) -> Result<Tag, Error> {
    require_tag(tx, owner, name)?;
    tx.execute(
        "UPDATE conversations SET tags = (
             SELECT json_group_array(iif(value COLLATE NOCASE IN (?2, ?3), ?3, value)) FROM json_each(tags)
             WHERE NOT (value COLLATE NOCASE IN (?2, ?3)
                 AND key > (SELECT min(key) FROM json_each(tags) WHERE value COLLATE NOCASE IN (?2, ?3))))
         WHERE id IN (SELECT conversation_id FROM conversation_tags WHERE user_id = ?1 AND name IN (?2, ?3))",
        params![owner, name, new_name],
    )?;
    Ok(Tag {
        name: new_name.to_owned(),
        conversation_count: count_tagged(tx, owner, new_name)?,
    })
}

/// Takes a tag from all of the owner's conversations, those that are deleted and may be restored included.
///
/// # Errors
/// [`Kind::NotFound`] when no conversation that can be seen has it.
pub fn delete_tag(tx: &Tx<'_>, owner: i64, name: &str) -> Result<(), Error> {
    require_tag(tx, owner, name)?;
    tx.execute(
        "UPDATE conversations SET tags = nullif(
             (SELECT json_group_array(value) FROM json_each(tags) WHERE value <> ?2 COLLATE NOCASE), '[]')
         WHERE id IN (SELECT conversation_id FROM conversation_tags WHERE user_id = ?1 AND name = ?2)",
        params![owner, name],
    )?;
    Ok(())
}

fn require_tag(read: &Read<'_>, owner: i64, name: &str) -> Result<(), Error> {
    match count_tagged(read, owner, name)? {
        0 => Err(Error::new(Kind::NotFound, "Tag not found")),
        _ => Ok(()),
    }
}
