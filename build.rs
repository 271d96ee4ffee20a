//! What the linker does for a quick start. Where it cannot, the program is the same, and starts half a millisecond later.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // A program that is linked statically as a whole has nothing to look for, and is relocated by itself.
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    let is_for_another = env::var("HOST") != env::var("TARGET");
    if target("OS") != "linux" || target("ENV") != "gnu" || is_static || is_for_another {
        return;
    }
    if has_unwinder() {
        // Inside: one library less that has to be found, mapped and bound.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
    // A megabyte of relocations in a twentieth of the space, where this C library reads them so: from 2.36 on. A program
    // that is built with such a library needs one.
    if c_library().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether whoever links here has GCC's unwinder as an archive: names of files that it finds come back as whole paths.
fn has_unwinder() -> bool {
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let asked = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    asked.is_ok_and(|said| said.stdout.starts_with(b"/"))
}

/// The version of this machine's C library.
fn c_library() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
