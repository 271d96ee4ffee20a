//! Fireside: a chat server for AI models that is one file. Synchronous Rust, SQLite inside, its chat UI inside.
//!
//! # The way through the house
//!
//! ```text
//! socket → http (parse, park, route) → api (one file per family of clients) → turn (one message, one reply)
//!                                                                           ├→ models (echo, library, OpenAI-compatible)
//!                                                                           ├→ library (cut, rank)
//!                                                                           └→ store (readers; one writer)
//! reply  ← http (frame, push)        ← api                                  ← the turn, as it goes on
//! ```
//!
//! A request goes down this list once and comes back up once. Nothing lower calls anything higher.
//!
//! # Rooms, and the only places that name a library
//!
//! * [`cli`]: every flag, variable and default, once (clap, clap_complete, dotenvy).
//! * [`commands`]: `serve`, `backup`, `restore`, and `fireside` alone: a few lines each over the library. `ask`, `import`,
//!   `export`, `user`, `key`, `doctor` speak
//!   HTTP to the server that runs on the data folder, or to one that they run themselves meanwhile (ureq, webbrowser).
//! * [`app`]: what a handler may reach.
//! * [`error`]: one error; knows no HTTP. [`limits`]: what several doors let in, in the same measure.
//! * [`library`]: documents to chunks, and the passages that answer a question (unicode-segmentation).
//! * [`portable`]: all that a user has as one document, out and in; other programs' exports, in (base64, flate2).
//! * [`backups`]: copies of the database that the server makes by itself.
//! * [`search`]: what people look for among all that they have, and where in it that stands.
//! * `words`: what a word is (unicode-segmentation, unicode-normalization).
//! * [`http`]: the engine, the router, input and replies; knows no chat (tiny_http, httparse, mio).
//! * [`api`]: one file per family of clients: its table of routes, wire types, handlers.
//! * [`turn`]: the life of one reply.
//! * [`models`]: which model answers, and one file per upstream protocol (ureq).
//! * [`pricing`]: what models cost. [`policy`]: what administrators change while the server runs.
//! * [`reading`]: the text of files, for models (pdf-extract, nanohtml2text; in a process of its own).
//! * [`render`]: messages as HTML that may stand in a page (pulldown-cmark, ammonia).
//! * [`store`]: all SQL: one writer with group commit, a pool of readers (rusqlite).
//! * [`auth`]: passwords, tokens, throttling (argon2, jwt-simple).
//! * [`clock`]: times and ids. [`system`]: what differs from one operating system to the next.
//!
//! `schema.sql` is append-only; `assets/` is the web UI; `tests/` drives the real binary over sockets. A test holds
//! that each library is named in its room alone.
//!
//! # Threads
//!
//! | thread | how many | owns |
//! |---|---|---|
//! | poll (the main thread) | 1 | the listening socket, every parked connection, all deadlines |
//! | worker | `--workers` (64) | one complete request each; those that may write never take the last eight |
//! | receiver | 4 | one large body each, on its way into a temporary file |
//! | turn | one per reply that waits for a model, at most `--max-turns` (256); it waits a second for the next | one blocking call |
//! | models | 1 | asking every provider for its models, once a minute |
//! | writer | 1 | the only write connection |
//! | hash | 2 | argon2 |
//! | backup, export, import | 1, and 2 of the others together | one request's long work, while it lasts ([`chores`]); doctor's slow stream is one |
//! | backups | 1, with `--backup-every` | copies of the database that nobody asked for ([`backups`]) |
//! | render | 1 | Markdown to HTML, for those who ask for it |
//!
//! Idle and slow clients cost descriptors, not threads; a slow model delays nobody but its reader.
//!
//! # Adding things
//!
//! An endpoint: one row in a family's `ROUTES` and one function. A provider: one row in `models/presets.rs`, or one
//! file for a new protocol. A setting: one row in [`cli::SETTINGS`] and its field. A migration: one section at the end
//! of `schema.sql`. An error: one kind, and one line in `http/reply.rs`.

pub mod api;
pub mod app;
pub mod auth;
pub mod backups;
pub mod chores;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod crew;
pub mod error;
mod floor;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hex;
pub mod http;
pub mod library;
pub mod limits;
pub mod models;
#[cfg(test)]
mod patience;
pub mod policy;
pub mod portable;
pub mod pricing;
pub mod reading;
pub mod render;
pub mod search;
pub mod store;
pub mod system;
pub mod turn;
mod words;
