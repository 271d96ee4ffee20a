//! What `fireside version --licenses` prints: every crate that is linked into the program, its licence, and the texts that
//! go with it where the licence wants them to. `UPDATE=1 cargo test --test licenses` writes it anew, from what cargo says
//! and from the crates' own folders.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

/// The system that the program is shipped for. For ARM it holds the same but for a crate that looks at the processor.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The most that the list may add to the program, in bytes.
const BYTES_MAX: usize = 60 * 1024;

/// Something that is linked.
struct Part {
    /// Its name and version.
    name: String,
    licence: String,
    texts: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kept() -> PathBuf {
    root().join("src/commands/licenses.txt.gz")
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        PLATFORM,
    ];
    let output = Command::new(cargo)
        .args(words)
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// The crates that are linked: those that are needed to run, not only to build or to test, and no macros.
fn linked(metadata: &Value) -> BTreeMap<String, &Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
        .iter()
        .map(|one| (text(one, "id"), one))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"], "nodes")
        .iter()
        .map(|one| (text(one, "id"), one))
        .collect();
    let is_macro = |package: &Value| {
        let mut kinds = list(package, "targets").iter().flat_map(|target| list(target, "kind"));
        kinds.any(|kind| kind == "proc-macro")
    };
    let own = text(&metadata["resolve"], "root");
    let (mut waiting, mut seen) = (vec![own], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if is_macro(packages[id]) || !seen.insert(id) {
            continue;
        }
        for dependency in list(nodes[id], "deps") {
            if list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null()) {
                waiting.push(text(dependency, "pkg"));
            }
        }
    }
    let seen = seen.into_iter().filter(|id| *id != own).map(|id| packages[id]);
    seen.map(|package| {
        (
            format!("{} {}", text(package, "name"), text(package, "version")),
            package,
        )
    })
    .collect()
}

/// The texts that a crate comes with, of the licences that are kept to: MIT's alone where it may be chosen.
fn texts(package: &Value) -> Vec<String> {
    let folder = Path::new(text(package, "manifest_path")).parent().expect("a folder");
    let names = fs::read_dir(folder)
        .expect("a crate's folder")
        .map(|entry| entry.expect("an entry").file_name());
    let names: BTreeSet<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let starts = |name: &str, words: &[&str]| words.iter().any(|word| name.to_ascii_uppercase().starts_with(word));
    let is_licence = |name: &&String| starts(name, &["LICENSE", "LICENCE", "COPYING", "UNLICENSE"]);
    let is_notice = |name: &&String| starts(name, &["NOTICE", "COPYRIGHT"]);
    let licence = text(package, "license");
    let is_free_to_choose = !licence.contains("AND") && licence.split([' ', '/', '(', ')']).any(|word| word == "MIT");
    let licences: Vec<&String> = names.iter().filter(is_licence).collect();
    let is_mit = |name: &&&String| name.to_ascii_uppercase().contains("MIT");
    let of_mit: Vec<&String> = licences.iter().filter(is_mit).copied().collect();
    let chosen = if is_free_to_choose && !of_mit.is_empty() {
        of_mit
    } else {
        licences
    };
    let is_file = |path: &PathBuf| path.is_file();
    let paths = chosen
        .into_iter()
        .chain(names.iter().filter(is_notice))
        .map(|name| folder.join(name));
    let mut texts: Vec<String> = paths
        .filter(is_file)
        .map(|path| String::from_utf8_lossy(&fs::read(path).expect("a text")).into_owned())
        .collect();
    if texts.is_empty() {
        let authors = list(package, "authors")
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        assert!(
            is_free_to_choose,
            "{} has no text of its licence, {licence}",
            text(package, "name")
        );
        texts.push(mit(if authors.is_empty() { "its authors" } else { &authors }));
    }
    texts
}

/// The text of MIT's licence, as ours is.
fn mit(holders: &str) -> String {
    let ours = fs::read_to_string(root().join("LICENSE")).expect("our licence");
    let (before, after) = ours
        .split_once("Copyright (c) 2026 The Fireside developers")
        .expect("our copyright");
    format!("{before}Copyright (c) {holders}{after}")
}

/// What is in it besides crates.
fn others(crates: &BTreeMap<String, &Value>) -> Vec<Part> {
    let named = |start: &str| crates.iter().find(|(name, _)| name.starts_with(start)).expect(start);
    let (swagger, package) = named("utoipa-swagger-ui-vendored ");
    let folder = Path::new(text(package, "manifest_path")).parent().expect("a folder");
    let apache = fs::read_to_string(folder.join("LICENSE-APACHE")).expect("Apache's licence");
    let part = |name: &str, licence: &str, texts: Vec<String>| Part {
        name: name.to_owned(),
        licence: licence.to_owned(),
        texts,
    };
    vec![
        part(
            "Rust's standard library",
            "MIT OR Apache-2.0",
            vec![mit("The Rust Project Contributors")],
        ),
        part(
            &format!("SQLite, in {}", named("libsqlite3-sys ").0),
            "public domain",
            Vec::new(),
        ),
        part(
            &format!("Swagger UI, in {swagger}"),
            "Apache-2.0",
            vec![
                "swagger-ui\nCopyright 2020-2021 SmartBear Software Inc.".to_owned(),
                apache,
            ],
        ),
    ]
}

/// Lines without what stands at their ends, and no empty ones before and behind.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// All of it, each text once.
fn written(parts: &[Part]) -> String {
    let width = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    let mut all = String::from("Fireside is MIT's. Linked into it, as it is built for Linux, are:\n\n");
    for Part { name, licence, .. } in parts {
        all += &format!("{name:<width$}  {licence}\n");
    }
    all += "\nThe source of each crate is what https://crates.io has under its name and version, unchanged. Where one of several\n\
            licences may be chosen and MIT's is among them, it is. These are the texts.\n";
    let mut of_text: BTreeMap<Vec<String>, (String, Vec<&str>)> = BTreeMap::new();
    for Part { name, texts, .. } in parts {
        for text in texts {
            // The same words, however they are broken into lines.
            let words = text.split_whitespace().map(str::to_owned).collect();
            let (_, names) = of_text.entry(words).or_insert_with(|| (trimmed(text), Vec::new()));
            names.push(name);
        }
    }
    let mut texts: Vec<(String, Vec<&str>)> = of_text.into_values().collect();
    texts.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (text, mut names) in texts {
        names.dedup();
        all += &format!("\n{}\n{}:\n\n{text}\n", "-".repeat(72), names.join(", "));
    }
    all
}

#[test]
fn the_list_is_what_is_linked() {
    let metadata = metadata();
    let crates = linked(&metadata);
    let mut parts: Vec<Part> = crates
        .iter()
        .map(|(name, package)| Part {
            name: name.clone(),
            licence: text(package, "license").replace(" / ", " OR ").replace('/', " OR "),
            texts: texts(package),
        })
        .collect();
    parts.extend(others(&crates));
    let text = written(&parts);
    if std::env::var_os("UPDATE").is_some() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(text.as_bytes()).expect("memory");
        fs::write(kept(), packed.finish().expect("memory")).expect("a file");
    }
    let packed = fs::read(kept()).unwrap_or_default();
    assert!(packed.len() < BYTES_MAX, "{} bytes", packed.len());
    let mut old = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut old).ok();
    let first = old.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        old == text,
        "src/commands/licenses.txt.gz is old ({first:?}): UPDATE=1 cargo test --test licenses"
    );
    assert!(crates.keys().any(|name| name.starts_with("rusqlite ")));
    for only_built_or_tested_with in ["headless_chrome ", "cc ", "serde_derive ", "syn "] {
        assert!(!crates.keys().any(|name| name.starts_with(only_built_or_tested_with)));
    }
}
