#!/bin/sh
# Looks for bytes that break what must hold (src/fuzzing.rs): each target in turn, for ten million executions or ten
# minutes, whichever comes first. With names, only those; with SECONDS_EACH, for so long.
#
#     sh fuzz/run.sh [NAME...]
#
# It takes a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz --locked). What
# was found stands in fuzz/artifacts/NAME; once it is mended, move it to fuzz/seeds/NAME, where `cargo test` goes over it
# ever after. What a run has learned stays in fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-600}
[ $# -gt 0 ] || set -- $(ls fuzz/seeds)
cargo +nightly fuzz build -O
failed=
for name in "$@"; do
  mkdir -p "fuzz/corpus/$name"
  echo "== $name"
  # 64 KiB reach every limit that stands within so much; what goes beyond is the business of other tests.
  cargo +nightly fuzz run -O "$name" "fuzz/corpus/$name" "fuzz/seeds/$name" -- \
    -dict="fuzz/dictionaries/$name.dict" -max_len=65536 -max_total_time="$seconds" -runs=10000000 \
    -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 || failed="$failed $name"
done
[ -z "$failed" ] || { echo "broken:$failed"; exit 1; }
