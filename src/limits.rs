//! What several doors let in, in the same measure at each: none accepts what another refuses. A limit that belongs to one
//! room alone stands there.

use std::ops::RangeInclusive;

/// Characters of a title, of somebody's name, and of a model's.
pub const NAME_CHARS_MAX: usize = 200;

/// Characters of a system prompt: some 5 000 tokens of every prompt.
pub const PROMPT_CHARS_MAX: usize = 20_000;

/// The sampling temperatures that providers know.
pub const TEMPERATURES: RangeInclusive<f64> = 0.0..=2.0;

/// Bytes of what a user says, where it is kept: whatever lists a conversation holds it in memory.
pub const QUESTION_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of what a model says in one reply. A book has about 1 MiB; beyond this it is a server that does not stop.
pub const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Tokens that a reply may be limited to: more than any model writes.
pub const REPLY_TOKENS: RangeInclusive<i64> = 1..=1_000_000;

/// Tags of a conversation.
pub const TAGS_MAX: usize = 20;

/// Characters of a tag: it stands beside titles.
pub const TAG_CHARS_MAX: usize = 50;

/// Files of a message, or of one form, and addresses of files. More than anybody picks by hand.
pub const FILES_MAX: usize = 10;

/// Bytes of a user's settings: room for every switch of a UI, not for files.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;
