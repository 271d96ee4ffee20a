//! What the linker does for a quick start. Where it cannot, the program is the same, and starts half a millisecond later.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // A program that is linked statically as a whole has nothing to look for, and is relocated by itself.
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if target("OS") != "linux" || target("ENV") != "gnu" || is_static {
        return;
    }
    // The unwinder inside: one library less that has to be found, mapped and bound.
    println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    // A megabyte of relocations in a twentieth of the space, where this C library reads them so: from 2.36 on. A program
    // that is built with such a library needs one.
    if env::var("HOST") == env::var("TARGET") && c_library().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library.
fn c_library() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
