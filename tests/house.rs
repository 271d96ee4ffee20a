//! The house rules that a program can check: each library is named in its room alone, the README's tables are the ones
//! that the program prints, and the tests that its promises name exist. `UPDATE=1 cargo test --test house` writes the
//! tables anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fireside::{api, cli};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its text.
#[cfg(test)]
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).expect("text")));
        }
    }
    found
}

#[test]
fn each_library_is_named_in_its_room_alone() {
    let rooms: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("tiny_http", &["src/http"][..]),
        ("httparse", &["src/http"]),
        ("mio", &["src/http"]),
        ("memchr", &["src/http"]),
        ("socket2", &["src/http", "src/models/dial.rs"]),
        ("rusqlite", &["src/store"]),
        ("ureq", &["src/models", "src/commands/client.rs", "src/commands/client"]),
        ("tungstenite", &["src/http", "src/commands/client"]),
        ("base64", &["src/models", "src/portable"]),
        ("encoding_rs", &["src/reading"]),
        ("nanohtml2text", &["src/reading"]),
        ("pdf_extract", &["src/reading"]),
        ("pulldown_cmark", &["src/render"]),
        ("ammonia", &["src/render"]),
        ("argon2", &["src/auth"]),
        ("jwt_simple", &["src/auth"]),
        ("clap", &["src/cli.rs", "src/cli"]),
        ("clap_complete", &["src/cli.rs"]),
        ("dotenvy", &["src/cli"]),
        ("jiff", &["src/clock.rs"]),
        ("include_dir", &["src/api/ui.rs"]),
        (
            "flate2",
            &[
                "src/api/ui.rs",
                "src/api/swagger.rs",
                "src/portable/zip.rs",
                "src/commands/version.rs",
            ],
        ),
        ("utoipa_swagger_ui_vendored", &["src/api/swagger.rs"]),
        ("unicode_segmentation", &["src/words.rs", "src/library"]),
        ("unicode_normalization", &["src/words.rs"]),
        ("webbrowser", &["src/commands"]),
        ("libc", &["src/system.rs"]),
        ("signal_hook", &["src/system.rs"]),
    ]);
    let mut sources = sources(&root().join("src"));
    // Tests play the other side, with whatever that takes.
    let is_test = |name: &str| name.starts_with("tests") || name.starts_with("fake_") || name.starts_with("fuzzing");
    sources.retain(|(path, _)| {
        !path
            .components()
            .any(|part| is_test(&part.as_os_str().to_string_lossy()))
    });
    assert!(sources.len() > 40, "only {} files were found", sources.len());
    for (library, rooms) in rooms {
        let mut is_named = false;
        for (path, text) in &sources {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if !code.clone().any(|line| line.contains(&format!("{library}::"))) {
                continue;
            }
            is_named = true;
            let is_at_home = rooms.iter().any(|room| path.starts_with(root().join(room)));
            assert!(
                is_at_home,
                "{} names {library}, which belongs into {rooms:?}",
                path.display()
            );
        }
        assert!(
            is_named,
            "nobody names {library}: it is a dependency too many, or this test looks for the wrong word"
        );
    }
}

#[test]
fn what_differs_between_systems_stands_in_one_file() {
    let mut checked = 0;
    for (path, text) in sources(&root().join("src")) {
        if path.ends_with("src/system.rs") || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        // Tests may look at what a system alone shows.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in [
            "os::unix",
            "os::linux",
            "os::windows",
            "(unix)",
            "(windows)",
            "target_os",
            "libc::",
        ] {
            assert!(
                !code.contains(word),
                "{} says {word}: that belongs into src/system.rs",
                path.display()
            );
        }
        checked += 1;
    }
    assert!(checked > 40, "only {checked} files were found");
}

#[test]
fn nothing_lower_calls_anything_higher() {
    // Each room, and those it must not know.
    let above: [(&str, &[&str]); 12] = [
        (
            "src/error.rs",
            &["http", "api", "turn", "models", "store", "auth", "app", "cli"],
        ),
        (
            "src/http",
            &["api", "turn", "models", "library", "store", "auth", "app", "cli"],
        ),
        (
            "src/store",
            &["http", "api", "turn", "models", "library", "auth", "app", "cli"],
        ),
        (
            "src/models",
            &["http", "api", "turn", "store", "library", "auth", "app", "cli"],
        ),
        (
            "src/auth",
            &["http", "api", "turn", "models", "library", "store", "app", "cli"],
        ),
        ("src/library", &["http", "api", "turn", "models", "app", "cli"]),
        ("src/portable", &["http", "api", "turn", "models", "app", "cli"]),
        ("src/search", &["http", "api", "turn", "models", "app", "cli"]),
        (
            "src/pricing.rs",
            &[
                "http", "api", "turn", "models", "library", "store", "auth", "app", "cli",
            ],
        ),
        (
            "src/reading",
            &[
                "http", "api", "turn", "models", "library", "store", "auth", "app", "cli",
            ],
        ),
        (
            "src/render",
            &["http", "api", "turn", "models", "library", "auth", "app", "cli"],
        ),
        ("src/turn", &["http", "api", "auth", "app", "cli"]),
    ];
    for (path, text) in sources(&root().join("src")) {
        for (room, unknown) in above {
            if !path.starts_with(root().join(room)) {
                continue;
            }
            for other in unknown {
                let name = format!("crate::{other}");
                assert!(!text.contains(&name), "{} knows {name}", path.display());
            }
        }
    }
}

#[test]
fn routes_are_unique_and_summarised() {
    let mut seen = BTreeMap::new();
    for route in api::routes() {
        let before = seen.insert((route.method, route.path), route.summary);
        assert!(before.is_none(), "{} {} stands twice", route.method, route.path);
        assert!(
            route.summary.len() > 5,
            "{} {} has no summary",
            route.method,
            route.path
        );
        assert!(route.path.starts_with('/'), "{}", route.path);
    }
    assert!(seen.len() > 20, "only {} routes", seen.len());
}

/// Whether a file of tests, `server/durability/power.rs`, is the module that a name's beginning, `durability::power`,
/// stands for.
#[cfg(test)]
fn is_module(path: &Path, module: &str) -> bool {
    let below = path.strip_prefix(root().join("tests")).expect("a test");
    let mut names: Vec<String> = below
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    // The first is the program that the tests are built into.
    names.remove(0);
    names.join("::") == module
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let promises = readme.split("\n## Promises\n").nth(1).expect("the promises");
    let promises = promises.split("\n## ").next().unwrap_or_default();
    let tests = sources(&root().join("tests"));
    let mut checked = 0;
    for (number, promise) in (1..).zip(promises.split("**").skip(1).step_by(2)) {
        assert!(
            promises.contains(&format!("\n{number}. **{promise}**")),
            "{promise} is not number {number}"
        );
    }
    for name in promises
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::"))
    {
        let (module, function) = name.rsplit_once("::").expect("a module and a name");
        let is_there = tests
            .iter()
            .any(|(path, text)| is_module(path, module) && text.contains(&format!("#[test]\nfn {function}() {{")));
        assert!(is_there, "there is no test {name}");
        checked += 1;
    }
    assert!(checked >= 40, "only {checked} tests are named");
}

#[test]
fn the_readme_holds_the_tables() {
    let path = root().join("README.md");
    let mut readme = fs::read_to_string(&path).unwrap();
    for (name, table) in [("settings", cli::markdown()), ("routes", api::markdown())] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let start = readme.find(&begin).expect(&begin) + begin.len();
        let stop = start + readme[start..].find(&end).expect(&end);
        if std::env::var_os("UPDATE").is_some() {
            readme.replace_range(start..stop, &table);
            fs::write(&path, &readme).unwrap();
        } else {
            let is_same = readme[start..stop] == table;
            assert!(is_same, "the table of {name} is old: UPDATE=1 cargo test --test house");
        }
    }
}
