//! What must hold whatever comes in: for every way by which bytes that others chose reach this program, a function that
//! takes such bytes and panics where it does not. `fuzz/` looks for bytes that break one of them; the test below goes over
//! what that search begins with and over all that it has ever found. To add a case, put a file into `fuzz/seeds/NAME`.
//!
//! Each room holds its own: only there is what they look at in sight. Not part of the program.

#![expect(clippy::expect_used, reason = "to panic is what these functions are for")]

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::clock::Clock;
use crate::store::{Admin, Location, NewUser, SharedStore, Store};
use crate::{api, auth, http, models, portable, render, search, store};

/// A way in, and what must hold there.
pub struct Door {
    /// What its target, its seeds and its dictionary are called.
    pub name: &'static str,
    /// Takes what somebody sends.
    pub check: fn(&[u8]),
}

/// All of them.
pub const DOORS: &[Door] = &[
    door("head", http::fuzzing::head),
    door("chunked", http::fuzzing::chunked),
    door("multipart", http::fuzzing::multipart),
    door("input", input),
    door("jwt", auth::fuzzing::jwt),
    door("sse", models::fuzzing::sse),
    door("import", portable::fuzzing::import),
    door("markdown", render::fuzzing::markdown),
    door("search", search::fuzzing::search),
];

const fn door(name: &'static str, check: fn(&[u8])) -> Door {
    Door { name, check }
}

/// Takes what somebody sends to the door of this name.
pub fn check(name: &str, bytes: &[u8]) {
    let door = DOORS.iter().find(|door| door.name == name);
    (door.expect("a door of this name").check)(bytes);
}

/// A query and a JSON body against what every route reads.
fn input(bytes: &[u8]) {
    static SPECS: OnceLock<Vec<http::Spec>> = OnceLock::new();
    http::fuzzing::input(SPECS.get_or_init(api::specs), bytes);
}

/// The same bytes as they may arrive: all at once, one by one, and in pieces of sizes that follow from the bytes alone, so
/// that the same bytes always come in the same pieces.
pub(crate) fn cuttings(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut dice = Dice::of(bytes);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        // Mostly small ones, and some that hold much.
        let most = if dice.below(4) == 0 { rest.len() } else { 24 };
        let (piece, behind) = rest.split_at(rest.len().min(1 + dice.below(most)));
        pieces.push(piece);
        rest = behind;
    }
    [vec![bytes], bytes.chunks(1).collect(), pieces]
}

/// Numbers that follow from some bytes (xorshift64* from their FNV-1a).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(bytes: &[u8]) -> Dice {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Dice(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1)
    }

    /// A number below the bound; 0 where that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(thrown).unwrap_or(0) % bound.max(1)
    }
}

/// A store in a folder of its own, which goes away with it.
pub(crate) struct Scratch {
    pub(crate) store: SharedStore,
    /// The id of its one account.
    pub(crate) owner: i64,
    pub(crate) folder: PathBuf,
}

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("fireside-fuzzing-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let location = Location {
            database: store::database_path(&folder),
            folder: folder.clone(),
        };
        let store = Store::open(&location).expect("a store");
        let ann = NewUser {
            uuid: Clock.uuid(),
            external_id: None,
            username: Some("ann".to_owned()),
            email: None,
            display_name: None,
            password_hash: None,
            admin: Admin::No,
            created_at: Clock.now().text(),
        };
        let user = store.write(move |tx| store::insert_user(tx, &ann)).expect("an account");
        Scratch {
            store: store.into(),
            owner: user.id,
            folder,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.store.close();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::Path;

    use super::*;

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path());
        entries
            .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn what_the_search_begins_with_and_has_found_holds() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let mut broken = Vec::new();
        for door in DOORS {
            let mut paths: Vec<_> = fs::read_dir(seeds.join(door.name))
                .expect(door.name)
                .map(|entry| entry.expect("an entry").path())
                .collect();
            paths.sort();
            assert!(paths.len() > 2, "{} has {paths:?}", door.name);
            for path in paths {
                let bytes = fs::read(&path).expect("a file");
                if catch_unwind(|| (door.check)(&bytes)).is_err() {
                    broken.push(path);
                }
            }
        }
        assert!(broken.is_empty(), "what breaks in {broken:#?} stands above");
    }

    #[test]
    fn every_door_has_its_target_and_its_seeds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let doors: BTreeSet<String> = DOORS.iter().map(|door| door.name.to_owned()).collect();
        assert_eq!(names(&root.join("targets")), doors);
        assert_eq!(names(&root.join("seeds")), doors);
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
        for name in doors {
            assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        }
    }

    #[test]
    fn pieces_are_all_of_it() {
        let bytes: Vec<u8> = (0..=255).collect();
        for pieces in cuttings(&bytes) {
            assert_eq!(pieces.concat(), bytes);
        }
        assert!(cuttings(&bytes)[2].len() > 3);
    }
}
