# What setup.sh, install.sh and uninstall.sh share. Sourced, with $me set to the script's name.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$me" "$*"; }
fail() { printf '%s: %s\n' "$me" "$*" >&2; exit 1; }

# Which of the given Debian packages are not installed, one a line.
missing_packages() {
    local package
    for package; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
    done
}

# Puts ONNX Runtime's library, by version and hash as klipper/onnxruntime.txt has it, into the folder $1. $2 is a Python
# that has pip.
fetch_onnxruntime() {
    local folder=$1 python=$2 wanted=klipper/onnxruntime.txt machine wheels
    machine=$(uname -m)
    [[ $machine == x86_64 || $machine == aarch64 ]] ||
        fail "there is no ONNX Runtime for $machine: a 64-bit system is needed (x86_64 or aarch64)"
    wheels=$(mktemp -d)
    # The Python version names the wheel only: the library in it is the same for all.
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$wheels" \
        --no-deps --only-binary :all: --require-hashes \
        --implementation cp --python-version 3.12 --abi cp312 --platform "manylinux_2_28_$machine" -r "$wanted"
    mkdir -p "$folder"
    "$python" - "$wheels"/*.whl "$folder" <<'EXTRACT'
import pathlib, sys, zipfile
wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
[name] = [n for n in wheel.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so.")]
library = pathlib.Path(name).name
(folder / library).write_bytes(wheel.read(name))
(folder / "libonnxruntime.so").symlink_to(library)
EXTRACT
    rm -r "$wheels"
}
