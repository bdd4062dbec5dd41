#!/usr/bin/env bash
# Installs Strandwatch into a fresh Debian, as a normal user with sudo; again, which must change nothing; then takes it
# back and compares the file system with what it was. Needs root, debootstrap and a Debian mirror. Prints every
# difference and ends with 1 if there is one.
#
#   ./tests/install/run.sh [SUITE]      bookworm (the default) or trixie
#
# The bare Debian is kept in target/rig/debian-SUITE; each run works on a copy. The binary is target/debug/strandwatch,
# or whatever STRANDWATCH_BINARY names: it must have been built for this Debian or an older one.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

suite=${1:-bookworm}
base=target/rig/debian-$suite
binary=${STRANDWATCH_BINARY:-target/debug/strandwatch}
say() { printf 'test: %s\n' "$*"; }
fail() { printf 'test: FAILED: %s\n' "$*" >&2; exit 1; }

(($(id -u) == 0)) || fail "debootstrap and chroot need root"
[[ -x $binary ]] || fail "$binary is not there: cargo build"
if [[ ! -d $base ]]; then
    # The mirror of this very system, where it is a Debian.
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?' | head -n1) || true
    say "making a bare $suite from ${mirror:-its usual mirror}"
    rm -rf "$base.part"
    mkdir -p "$base.part"
    # systemd as on any real system; no kernel and no init run here.
    debootstrap --variant=minbase --include=sudo,ca-certificates,systemd,systemd-sysv,dbus,python3,git "$suite" "$base.part" ${mirror:+"$mirror"} >"$base.log" ||
        fail "debootstrap: see $base.log"
    mv "$base.part" "$base"
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp -a "$base/." "$root"
# The way out of this machine, as this machine has it.
cp /etc/resolv.conf "$root/etc/"
printf "127.0.0.1 localhost %s\n" "$(hostname)" >"$root/etc/hosts"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for file in /etc/pip.conf $(grep -ls '^Acquire' /etc/apt/apt.conf.d/*); do [[ ! -f $file ]] || cp "$file" "$root$file"; done

# Runs a command inside, as the user that runs Klipper, in namespaces of its own.
inside() {
    unshare --mount --pid --fork --mount-proc="$root/proc" chroot "$root" \
        runuser -u pi -- env -i HOME=/home/pi USER=pi PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt bash -euc "cd ~/strandwatch && $1" </dev/null
}

# Every file with type, mode, owner and content, but for what package management writes about itself (Debian also leaves
# the users and groups of packages that are removed), and for caches.
listing() {
    (
        cd "$root"
        find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/tmp \
            -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt -o -path ./var/lib/dpkg \
            -o -path ./home/pi/strandwatch -o -path ./home/pi/.cache \) -prune -o -printf '%y %m %u:%g %p %l\n' | sort
        find etc home usr opt root var/lib -xdev \( -path var/lib/apt -o -path var/lib/dpkg -o -path home/pi/strandwatch \
            -o -path home/pi/.cache -o -regex 'etc/g?\(passwd\|shadow\|group\)-?' \) -prune \
            -o -type f -print0 | sort -z | xargs -0 sha256sum
    )
}

same() {
    diff "$1" "$2" >"$root/tmp/difference" || {
        cat "$root/tmp/difference"
        fail "$3"
    }
}

say "a user pi with Klipper's and Moonraker's files"
chroot "$root" useradd -m -s /bin/bash pi
printf 'pi ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/pi"
home=$root/home/pi
mkdir -p "$home"/printer_data/{config,comms,logs} "$home/strandwatch"
printf '[printer]\nkinematics: none\n\n#*# <---- SAVE_CONFIG ---->\n' >"$home/printer_data/config/printer.cfg"
printf '[server]\nport: 7125\n' >"$home/printer_data/config/moonraker.conf"
printf 'klipper_mcu\nwebcamd\n' >"$home/printer_data/moonraker.asvc"
git ls-files -z klipper models config | xargs -0 cp --parents -t "$home/strandwatch"
cp "$binary" "$home/strandwatch/built"
chroot "$root" chown -R pi: /home/pi
inside 'git init -q -b main && git remote add origin https://example.org/strandwatch.git'
chroot "$root" apt-get update -qq
listing >"$root/tmp/before"

say "a dry run"
inside './klipper/install.sh --binary built --yes --dry-run' >"$root/tmp/log" || { cat "$root/tmp/log"; fail "the dry run failed"; }
listing >"$root/tmp/after"
same "$root/tmp/before" "$root/tmp/after" "a dry run changed something"

say "the installation"
inside './klipper/install.sh --binary built --yes' >"$root/tmp/log" 2>&1 || { cat "$root/tmp/log"; fail "the installation failed"; }
cat "$root/tmp/log"
listing >"$root/tmp/installed"
inside 'strandwatch score models/self-test.png' || fail "the installed program does not score a picture"
inside 'strandwatch check --config ~/printer_data/config/strandwatch.toml' || fail "the configuration is not accepted"
chroot "$root" systemd-analyze verify --man=no strandwatch.service || fail "systemd does not like the unit"
[[ -L $root/etc/systemd/system/multi-user.target.wants/strandwatch.service ]] || fail "the service is not enabled"
[[ ! -e $root/etc/systemd/system/multi-user.target.wants/mosquitto.service ]] || fail "Debian's own broker would start"
[[ $(head -n1 "$home/printer_data/config/printer.cfg") == '[include strandwatch.cfg]' ]] || fail "no macros in printer.cfg"
grep -qx strandwatch "$home/printer_data/moonraker.asvc" || fail "not in moonraker.asvc"
grep -qx 'origin: https://example.org/strandwatch.git' "$home/printer_data/config/strandwatch-update.conf" || fail "no [update_manager]"

say "again: nothing may change, nor an edited configuration"
printf '\n# my own words\n' >>"$home/printer_data/config/strandwatch.toml"
listing >"$root/tmp/installed"
inside './klipper/install.sh --binary built --yes' >"$root/tmp/log" 2>&1 || { cat "$root/tmp/log"; fail "the second installation failed"; }
cat "$root/tmp/log"
listing >"$root/tmp/after"
same "$root/tmp/installed" "$root/tmp/after" "the second installation changed something"

say "uninstalling"
inside './klipper/uninstall.sh --yes --keep-config --dry-run' >"$root/tmp/log" || { cat "$root/tmp/log"; fail "the dry run failed"; }
! grep -E '\+ .*(strandwatch.toml|\.config)' "$root/tmp/log" || fail "--keep-config would not keep it"
listing >"$root/tmp/after"
same "$root/tmp/installed" "$root/tmp/after" "a dry run of uninstalling changed something"
inside './klipper/uninstall.sh --yes' >"$root/tmp/log" 2>&1 || { cat "$root/tmp/log"; fail "uninstalling failed"; }
cat "$root/tmp/log"
listing >"$root/tmp/after"
same "$root/tmp/before" "$root/tmp/after" "something is left, or gone"
say "well: installed twice, taken back without a trace"
