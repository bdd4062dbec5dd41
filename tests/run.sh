#!/usr/bin/env bash
# Installs what is missing and runs every check and every test. The test runner's summary comes last.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

./klipper/setup.sh
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest

cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
cargo test --locked --doc --quiet
cargo nextest run --locked "$@"
