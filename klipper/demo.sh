#!/usr/bin/env bash
# The whole system on this machine with nothing to set up: installs what is missing, builds, shows it.
# Arguments go to `strandwatch demo`: --speed FACTOR, --keep.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

./klipper/setup.sh
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" CARGO_TARGET_DIR="$PWD/target"
cargo build --release --locked
export ORT_DYLIB_PATH="$PWD/target/rig/onnxruntime/libonnxruntime.so"
exec target/release/strandwatch demo --moonraker "$PWD/target/rig/moonraker/bin/python" "$@"
