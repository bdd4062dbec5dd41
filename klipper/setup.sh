#!/usr/bin/env bash
# Installs what building, testing and the demo need, and only what is missing. Made for Debian 12 and Raspberry Pi OS 12
# (64-bit); run it as often as you like, from anywhere, as root or as a user who may use sudo.
#
# What it changes: Debian packages, and the folder target/rig of this checkout (a Moonraker of its own and ONNX Runtime).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

packages=(
    build-essential cmake pkg-config ca-certificates git openssl
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    gstreamer1.0-libav gstreamer1.0-tools
    glib-networking gir1.2-gst-rtsp-server-1.0 python3-gi
    mosquitto mosquitto-clients
    python3 python3-venv
)
rust_needed=1.92
rig=target/rig

me=setup
. klipper/lib.sh

install_packages() {
    command -v dpkg-query >/dev/null ||
        fail "this is not a Debian system: install the like of ${packages[*]} yourself"
    local missing
    mapfile -t missing < <(missing_packages "${packages[@]}")
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    local as_root=()
    if (($(id -u) != 0)); then
        command -v sudo >/dev/null || fail "run this as root, or install these first: ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

check_rust() {
    # rustup puts itself here, and a fresh login has not seen it yet.
    [[ -d ${CARGO_HOME:-$HOME/.cargo}/bin ]] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || true
    [[ -n $found ]] || fail "Rust is not installed: get $rust_needed or newer with rustup (see https://rustup.rs)"
    [[ $(printf '%s\n' "$rust_needed" "$found" | sort -V | head -n1) == "$rust_needed" ]] ||
        fail "rustc $found is older than $rust_needed: run 'rustup update stable' (Debian's own is too old; see https://rustup.rs)"
}

# Whether what $1 asks for has been put into the folder $2; `done_with` notes that it has.
is_there() { cmp -s "$1" "$2/.from"; }
done_with() { cp "$1" "$2/.from"; }

install_moonraker() {
    local wanted=klipper/moonraker.txt folder=$rig/moonraker
    is_there "$wanted" "$folder" && return 0
    say "installing Moonraker into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    done_with "$wanted" "$folder"
}

install_onnxruntime() {
    local wanted=klipper/onnxruntime.txt folder=$rig/onnxruntime
    is_there "$wanted" "$folder" && return 0
    say "fetching ONNX Runtime into $folder"
    rm -rf "$folder"
    fetch_onnxruntime "$folder" "$rig/moonraker/bin/python"
    done_with "$wanted" "$folder"
}

install_packages
check_rust
mkdir -p "$rig"
install_moonraker
install_onnxruntime
