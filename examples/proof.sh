#!/bin/sh
# Proves the promises of the README the long way: power cuts by the hundred, a disk that fails again and again, crashes,
# locks, eleven thousand sockets, hostile requests, providers that never answer. `cargo test` runs the short forms of the
# same tests.
#
#   sh examples/proof.sh            everything
#   sh examples/proof.sh WORD …     the tests whose names contain one of these words, such as durability::power
#
# It takes Linux, a Rust toolchain, a C compiler, 12 000 descriptors (ulimit -n) for the sockets, and root for the tests
# that mount a small disk or become another user; a test that lacks what it needs says "skipped" and why. Building the
# tests with optimisations takes some minutes, running them about fifteen; after PROOF_MINUTES (default 60) they are
# stopped. The figures are in lines of their own among the names of the tests. Ends with 0 if everything holds.
set -eu
cd "$(dirname "$0")/.."

# As many descriptors as this user may have.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

if [ $# -eq 0 ]; then
  # Faults: the disk, crashes, the network, providers, backups. Attacks: framing, heads, names, forms, tokens, access.
  set -- durability:: engine:: upstream:: uploads:: transfers:: access:: accounts:: cors:: streams:: sockets:: api_keys:: providers:: imports::
fi

cargo test --release --locked --test server --no-run

echo "proof: $(date -u +%Y-%m-%dT%H:%M:%SZ), $(uname -srm), $(nproc 2>/dev/null || echo '?') processors, $(ulimit -n) descriptors"
echo "proof: FIRESIDE_TEST_SLOW=1 cargo test --release --test server -- $*"
status=0
FIRESIDE_TEST_SLOW=1 timeout "$((${PROOF_MINUTES:-60} * 60))" \
  cargo test --release --locked --test server -- "$@" --nocapture --test-threads 2 || status=$?
case $status in
  0) echo "proof: everything holds" ;;
  124) echo "proof: stopped after ${PROOF_MINUTES:-60} minutes" ;;
  *) echo "proof: something does not hold" ;;
esac
exit "$status"
