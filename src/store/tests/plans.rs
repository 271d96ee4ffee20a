//! How SQLite goes about every statement of this room: by an index, never through a whole table. The statements are
//! read from the source, so that none is forgotten.

use super::*;

/// The files that hold statements.
const SOURCES: &[(&str, &str)] = &[
    ("administration", include_str!("../administration.rs")),
    ("allowance", include_str!("../allowance.rs")),
    ("audit", include_str!("../audit.rs")),
    ("attachments", include_str!("../attachments.rs")),
    ("blobs", include_str!("../blobs.rs")),
    ("branches", include_str!("../branches.rs")),
    ("conversations", include_str!("../conversations.rs")),
    ("documents", include_str!("../documents.rs")),
    ("housekeeping", include_str!("../housekeeping.rs")),
    ("message_index", include_str!("../message_index.rs")),
    ("html", include_str!("../html.rs")),
    ("messages", include_str!("../messages.rs")),
    ("portable", include_str!("../portable.rs")),
    ("search", include_str!("../search.rs")),
    ("seek", include_str!("../seek.rs")),
    ("sessions", include_str!("../sessions.rs")),
    ("settings", include_str!("../settings.rs")),
    ("tags", include_str!("../tags.rs")),
    ("tree", include_str!("../tree.rs")),
    ("usage", include_str!("../usage.rs")),
    ("users", include_str!("../users.rs")),
    ("api_keys", include_str!("../api_keys.rs")),
];

/// The string literals of a source, outside comments. Rust's raw strings are not used for statements.
fn literals(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line.trim_end_matches('\\'), "\n"])
        .collect();
    code.split('"').skip(1).step_by(2).map(Into::into).collect()
}

/// The statements of a source, with `1` in the place of column lists. (`{rest}` is where another literal goes.)
fn statements(source: &str) -> Vec<String> {
    const VERBS: &[&str] = &[
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "DELETE ",
        "WITH ",
        "FROM ",
        ", sessions.version, is_owners FROM ",
        ", api_keys.id, api_keys.expires_at FROM ",
    ];
    let is_statement = |text: &&String| VERBS.iter().any(|verb| text.starts_with(verb)) && !text.contains("{rest}");
    let whole = |text: &String| {
        let text = ["{COLUMNS}", "{LISTED_COLUMNS}", "{columns}"]
            .into_iter()
            .fold(text.clone(), |text, columns| text.replace(columns, "1"));
        match text.starts_with("FROM ") || text.starts_with(',') {
            true => format!("SELECT 1 {text}"),
            false => text,
        }
    };
    literals(source).iter().filter(is_statement).map(whole).collect()
}

/// The lines of a statement's plan.
fn plan(rig: &Rig, sql: &str) -> Vec<String> {
    rig.write({
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        move |tx| {
            let mut statement = tx.0.0.prepare(&sql).map_err(failed)?;
            let mut rows = statement.raw_query();
            let mut lines = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                lines.push(row.get(3).map_err(failed)?);
            }
            Ok(lines)
        }
    })
    .unwrap()
}

/// What is read from its beginning to its end because it is small: what the query has made itself, and an index of
/// nothing but the replies that are being written.
const SMALL: &[&str] = &[
    "SCAN branch",
    "SCAN hits",
    "SCAN best",
    "SCAN json_each VIRTUAL TABLE INDEX 1:",
    "SCAN CONSTANT ROW",
    "SCAN messages USING INDEX messages_streaming",
    "SCAN messages USING COVERING INDEX messages_streaming",
];

/// What goes through a table all the same: of which file, in how many statements, and why that may be.
const WHOLE: &[(&str, &str, usize)] = &[
    // Administrators' lists and counts, of accounts.
    ("administration", "SCAN users", 2),
    // The account of installations with one user.
    ("users", "SCAN users", 1),
    // The oldest entries of the log, of which a batch is read.
    ("audit", "SCAN audit", 1),
];

fn is_scan(line: &str) -> bool {
    // The full-text index asked for a word (M) or a row (=): it is read from there on, not from its beginning.
    let is_lookup = line.starts_with("SCAN library_index VIRTUAL TABLE INDEX") && line.ends_with([':', '='])
        || line.starts_with("SCAN library_index VIRTUAL TABLE INDEX") && line.contains('M')
        || line.starts_with("SCAN message_index VIRTUAL TABLE INDEX") && line.contains('M')
        || line.starts_with("SCAN title_index VIRTUAL TABLE INDEX") && line.contains('M');
    line.starts_with("SCAN ") && !is_lookup && !SMALL.contains(&line)
}

#[test]
fn no_statement_reads_a_whole_table() {
    let rig = Rig::new();
    let mut count = 0;
    for (file, source) in SOURCES {
        let mut scans = Vec::new();
        for sql in statements(source) {
            // Bounds of an id that hold for every row make a search of a scan, by name.
            assert!(!sql.contains(" id > 0 AND"), "{file}: {sql}");
            let plan = plan(&rig, &sql);
            scans.extend(
                plan.into_iter()
                    .filter(|line| is_scan(line))
                    .map(|line| (line, sql.clone())),
            );
            count += 1;
        }
        let known = WHOLE.iter().filter(|(of, _, _)| of == file);
        let known: Vec<&str> = known.flat_map(|(_, line, times)| vec![*line; *times]).collect();
        let lines: Vec<&str> = scans.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, known, "{file}: {scans:#?}");
    }
    assert!(count >= 30, "only {count} statements were found");
}

#[test]
fn either_id_is_looked_up_and_not_searched_for() {
    let rig = Rig::new();
    let mut count = 0;
    for (file, source) in SOURCES {
        for sql in statements(source).iter().filter(|sql| sql.contains(" OR ")) {
            let plan = plan(&rig, sql);
            // Anything else would read all of a user's conversations, or all of a conversation's messages.
            assert!(
                plan.iter().any(|line| line == "MULTI-INDEX OR"),
                "{file}: {sql}\n{plan:#?}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 11);
}

#[test]
fn lists_come_out_of_their_index_in_order() {
    let rig = Rig::new();
    let lists: Vec<String> = statements(include_str!("../conversations.rs"))
        .into_iter()
        .filter(|sql| sql.contains("ORDER BY"))
        .collect();
    let plans: Vec<Vec<String>> = lists.iter().map(|list| plan(&rig, list)).collect();
    let by = |index| vec![format!("SEARCH conversations USING {index}")];
    let updated = "INDEX conversations_by_user (user_id=?)";
    let age = "COVERING INDEX conversations_by_age (user_id=? AND deleted_at=?)";
    let pinned = "INDEX conversations_pinned (user_id=?)";
    assert_eq!(plans, [by(updated), by(age), by(pinned), by(updated)]);
}

/// The examination sees what it is there to see.
#[test]
fn a_scan_is_noticed() {
    let rig = Rig::new();
    for sql in [
        "SELECT * FROM users WHERE display_name = ?1",
        "DELETE FROM messages WHERE content = ?1",
        "SELECT count(*) FROM conversations",
    ] {
        assert!(plan(&rig, sql).iter().any(|line| is_scan(line)), "{sql}");
    }
}

/// A row that goes looks for those that point to it: by an index that holds them all, or through the whole table.
#[test]
fn every_reference_can_be_followed_back() {
    let rig = Rig::new();
    let without: String = rig.value(
        "SELECT coalesce(group_concat(tables.name || '.' || keys.\"from\"), '')
         FROM sqlite_schema AS tables JOIN pragma_foreign_key_list(tables.name) AS keys
         WHERE tables.type = 'table' AND NOT EXISTS (
             SELECT 1 FROM pragma_index_list(tables.name) AS indices
             JOIN pragma_index_info(indices.name) AS columns
             WHERE NOT indices.partial AND columns.seqno = 0 AND columns.name = keys.\"from\")
         AND NOT EXISTS (
             SELECT 1 FROM pragma_table_info(tables.name) AS own
             WHERE own.name = keys.\"from\" AND own.pk = 1 AND own.type = 'INTEGER')",
    );
    assert_eq!(without, "");
}
