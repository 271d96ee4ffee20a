#!/bin/sh
# Builds Fireside for a Raspberry Pi, or any other Linux on arm64, on a Debian machine of whatever kind: one static file
# that needs nothing of the system it is copied to.
#
#   sh examples/raspberry-pi.sh
#   scp target/aarch64-unknown-linux-gnu/release/fireside pi@raspberrypi.local:
#
# On Debian 12 or 13 it needs the cross compiler for what is C (SQLite, cryptography), and Rust with the standard library
# of arm64, either rustup's or Debian's own. What is missing, it names.
set -eu

TARGET=aarch64-unknown-linux-gnu
GCC=aarch64-linux-gnu-gcc
cd "$(dirname "$0")/.."

refuse() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Debian's packages are called -web where they follow the browsers' needs: the plain ones are older than ours.
rustup_or_debian="With rustup:  rustup target add $TARGET
With Debian's: sudo dpkg --add-architecture arm64 && sudo apt update
               sudo apt install rustc-web cargo-web libstd-rust-web-dev:arm64"

command -v cargo >/dev/null || refuse "There is no Rust on this machine (https://rustup.rs, or Debian's)." "$rustup_or_debian"
RUSTC=${RUSTC:-rustc}
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$("$RUSTC" --version | cut -d ' ' -f 2)
[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    refuse "$RUSTC is $found; Fireside needs $wanted or newer." "$rustup_or_debian"
ls "$("$RUSTC" --print target-libdir --target "$TARGET")"/libstd-*.rlib >/dev/null 2>&1 ||
    refuse "$RUSTC has no standard library of arm64." "$rustup_or_debian"

# Without libc.a it answers with the bare name, not a path.
command -v "$GCC" >/dev/null && [ "$("$GCC" -print-file-name=libc.a)" != libc.a ] ||
    refuse "There is no C compiler for arm64, or not its static library:" \
        "               sudo apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"

export RUSTC
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$GCC
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
cargo build --release --locked --target "$TARGET"

program=${CARGO_TARGET_DIR:-target}/$TARGET/release/fireside
# A file that asks for a loader is not static.
if od -An -c -N 4096 "$program" | tr -d ' \n' | grep -q ld-linux; then
    refuse "$program is not static: is RUSTFLAGS set, or are there other flags in a cargo configuration?"
fi
ls -l "$program"
