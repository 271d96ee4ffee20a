//! Drives the real `fireside` binary over real sockets, from the wire contract alone: every test starts its own
//! server on port 0 with its own data directory and an empty environment, and talks to it as a client would, or as
//! one should not. What these tests know, a client can know: of the library they take only the table of routes, with
//! what stands in it, and the way to more descriptors.

// The modules are test code in Clippy's sense only with `cfg(test)` on them; without it, it would forbid `unwrap` in
// every function that is not itself a `#[test]`.
#[cfg(test)]
mod access;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod ai_chat;
#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod arm64;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod base_path;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod chatai;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod flutter;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod library;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod portable;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod rendering;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod search;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tags;
#[cfg(test)]
mod todo;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod usage;
