#!/usr/bin/env bash
# Installs Strandwatch on the printer's host: Debian 12 or 13, or Raspberry Pi OS 64-bit; x86-64 or aarch64. Run it as the
# user that runs Klipper and Moonraker; it uses sudo where it must. Run it again to bring an installation up to date.
#
#   ./klipper/install.sh [--data DIR]... [--binary FILE] [--yes] [--dry-run]
#
#   --data DIR     the printer's data folder, such as ~/printer_data; several for several printers of this host
#   --binary FILE  install this binary instead of building one here
#   --yes          say yes to every question (see below); without it, and without a terminal, the answer is no
#   --dry-run      print every step and do none
#
# It asks before it changes a file of Klipper's or Moonraker's: the line in printer.cfg that includes the macros, the
# line in moonraker.asvc that lets Mainsail restart the service, the [update_manager] section. What it did is noted in
# /usr/local/share/strandwatch/installed, and ./klipper/uninstall.sh takes it all back.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

me=install
. klipper/lib.sh

prefix=/usr/local
share=$prefix/share/strandwatch
ledger=$share/installed
unit=/etc/systemd/system/strandwatch.service
packages=(
    ca-certificates glib-networking python3 python3-venv mosquitto
    libgstreamer1.0-0 libgstreamer-plugins-base1.0-0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav
)

data=() binary='' yes=0 dry=0
while (($#)); do
    case $1 in
        --data) [[ -n ${2:-} ]] || fail "--data needs a folder"; data+=("$2"); shift 2 ;;
        --binary) [[ -n ${2:-} ]] || fail "--binary needs a file"; binary=$2; shift 2 ;;
        --yes) yes=1; shift ;;
        --dry-run) dry=1; shift ;;
        -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "$1 is not an option: ./klipper/install.sh --help lists them" ;;
    esac
done

# Shows a step, and does it unless this is a dry run.
run() {
    printf '  + %s\n' "$*"
    ((dry)) || "$@"
}

# Asks for consent to a change of somebody else's file.
consent() {
    if ((yes)); then return 0; fi
    if [[ ! -t 0 ]]; then
        say "not asked, as there is no terminal: $1 (--yes does it)"
        return 1
    fi
    local answer
    read -r -p "$me: $1? [y/N] " answer
    [[ $answer == [yYjJ]* ]]
}

# Notes what uninstall.sh has to take back, once.
note() {
    local line
    line=$(printf '%s\t' "$@")
    line=${line%$'\t'}
    if ((dry)) || sudo grep -qxF -- "$line" "$ledger" 2>/dev/null; then return 0; fi
    sudo install -d -m 755 "$share"
    printf '%s\n' "$line" | sudo tee -a "$ledger" >/dev/null
}

# Puts the file $1 to $2 with mode $3, as root; says nothing when it is there already.
place() {
    if ! sudo cmp -s "$1" "$2"; then
        run sudo install -D -m "$3" "$1" "$2"
        changed=1
    fi
    note file "$2"
}

# Puts the line $2 into the file $1 of the user's, before all others or ($3 = last) after them.
add_line() {
    local file=$1 line=$2 where=${3:-first}
    if grep -qxF -- "$line" "$file" 2>/dev/null; then return 0; fi
    printf '  + %s: %s\n' "$file" "$line"
    if ((dry)); then return 0; fi
    note line "$file" "$line"
    local text
    text=$(mktemp)
    if [[ $where == first ]]; then
        { printf '%s\n' "$line"; cat "$file"; } >"$text"
    else
        { cat "$file" 2>/dev/null || true; printf '%s\n' "$line"; } >"$text"
    fi
    # Into the file that is there: it may be a link, and keeps its owner and mode.
    cat "$text" >"$file"
    rm "$text"
}

check_host() {
    (($(id -u) != 0)) || fail "run this as the user that runs Klipper, not as root: it uses sudo where it must"
    command -v sudo >/dev/null || fail "sudo is missing: as root, apt-get install sudo and add $USER to the group sudo"
    command -v apt-get >/dev/null || fail "this is not a Debian system; README.md says how to run Strandwatch by hand"
    local machine
    machine=$(uname -m)
    [[ $machine == x86_64 || $machine == aarch64 ]] ||
        fail "$machine is not supported: ONNX Runtime needs a 64-bit system (x86_64 or aarch64)"
    [[ $(dpkg --print-architecture) == @(amd64|arm64) ]] ||
        fail "the kernel is 64-bit, the system ($(dpkg --print-architecture)) is not: Raspberry Pi OS 64-bit is needed"
    local version
    version=$(. /etc/os-release && printf '%s' "${VERSION_ID:-0}")
    [[ $version == 1[23] ]] || say "made for Debian 12 and 13; this says ${version}, going on all the same"
    [[ -z $binary || -x $binary ]] || fail "$binary is not a program that can be run"
    if ((!dry)); then sudo true || fail "sudo does not let $USER act as root"; fi
}

# Which printers: the folders given, else the only one there is, else whichever is chosen.
choose_data() {
    local folder found=()
    if ((${#data[@]} == 0)); then
        for folder in "$HOME"/printer_data "$HOME"/printer_*_data; do
            [[ -f $folder/config/moonraker.conf ]] && found+=("$folder")
        done
        case ${#found[@]} in
            0) fail "no printer's data folder found in $HOME (such as printer_data/config/moonraker.conf): name it with --data" ;;
            1) data=("${found[@]}") ;;
            *)
                [[ -t 0 ]] || fail "there are several printers (${found[*]}): name those to watch, each with --data"
                local answer
                say "there are several printers:"
                for folder in "${!found[@]}"; do printf '  %s  %s\n' "$((folder + 1))" "${found[folder]}"; done
                read -r -p "$me: which are to be watched (such as 1 2; empty: all)? " answer
                [[ -n $answer ]] || answer=$(seq -s ' ' ${#found[@]})
                for folder in $answer; do
                    [[ $folder == [1-9]* && -n ${found[folder - 1]:-} ]] || fail "$folder is none of them"
                    data+=("${found[folder - 1]}")
                done
                ;;
        esac
    fi
    for folder in "${!data[@]}"; do
        [[ -f ${data[folder]}/config/moonraker.conf ]] ||
            fail "${data[folder]} is not a printer's data folder: it has no config/moonraker.conf"
        data[folder]=$(readlink -f "${data[folder]}")
    done
    config=${data[0]}/config/strandwatch.toml
}

installed_packages() { dpkg-query -W -f='${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort; }

# Runs what may install packages, and notes those that were not there before.
noting_packages() {
    local before package
    before=$(installed_packages)
    "$@"
    ((dry)) && return 0
    while read -r package; do note package "$package"; done < <(comm -13 <(printf '%s\n' "$before") <(installed_packages))
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "${packages[@]}")
    ((${#missing[@]})) || return 0
    say "Debian packages:"
    run sudo apt-get update -qq
    local keep_quiet=0 policy=/usr/sbin/policy-rc.d
    if [[ " ${missing[*]} " == *' mosquitto '* && ! -e $policy ]]; then
        # Strandwatch runs a broker of its own: Debian's, which would come up beside it, is not wanted.
        keep_quiet=1
        ((dry)) || printf '#!/bin/sh\nexit 101\n' | sudo install -m 755 /dev/stdin $policy
    fi
    local failed=0
    run sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" || failed=1
    if ((keep_quiet)); then
        ((dry)) || sudo rm -f $policy
        if [[ -x $(command -v systemctl) ]]; then run sudo systemctl --quiet disable mosquitto.service; fi
    fi
    ((!failed)) || fail "apt-get could not install ${missing[*]}: see above; run this again when it can"
}

build() {
    [[ -z $binary ]] || return 0
    say "building, which takes long on a small machine (half an hour or more on a Raspberry Pi 4):"
    run ./klipper/setup.sh
    run env CARGO_TARGET_DIR="$PWD/target" PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" cargo build --release --locked
    binary=$PWD/target/release/strandwatch
}

install_program() {
    say "the program:"
    local file
    place "$binary" $prefix/bin/strandwatch 755
    for file in models/manifest.toml models/*.onnx models/self-test.png; do
        place "$file" "$share/$file" 644
    done
    place klipper/strandwatch.cfg $share/strandwatch.cfg 644
    if ! cmp -s klipper/onnxruntime.txt $share/onnxruntime.txt; then
        printf '  + fetch ONNX Runtime into %s\n' $prefix/lib/strandwatch
        if ((!dry)); then
            local scratch
            scratch=$(mktemp -d)
            python3 -m venv "$scratch/python"
            fetch_onnxruntime "$scratch/library" "$scratch/python/bin/python"
            sudo rm -rf $prefix/lib/strandwatch
            sudo install -d -m 755 $prefix/lib/strandwatch
            sudo cp -P --no-preserve=ownership "$scratch"/library/* $prefix/lib/strandwatch/
            rm -rf "$scratch"
        fi
        note folder $prefix/lib/strandwatch
        place klipper/onnxruntime.txt $share/onnxruntime.txt 644
    fi
    ((dry)) && return 0
    $prefix/bin/strandwatch --version >/dev/null ||
        fail "$prefix/bin/strandwatch does not run here: was it built for another system? (ldd $prefix/bin/strandwatch)"
}

# A printer's name from its folder's: printer_voron_data is voron.
printer_name() {
    local name
    name=$(basename "$1")
    name=${name#printer_}
    name=${name%_data}
    name=$(tr '[:upper:]' '[:lower:]' <<<"$name" | tr -c 'a-z0-9_\n-' '-')
    [[ $name == data || $name != [a-z0-9]* ]] && name=printer
    printf '%s' "$name"
}

write_config() {
    if [[ -e $config ]]; then
        say "$config is there and stays as it is"
        return 0
    fi
    say "the configuration:"
    printf '  + write %s\n' "$config"
    ((dry)) && return 0
    {
        printf '# Strandwatch. What else can be set: strandwatch check --reference\n'
        printf '# After a change: strandwatch check, then sudo systemctl restart strandwatch\n'
        local folder
        for folder in "${data[@]}"; do
            printf '\n[[printer]]\nname = "%s"\nmoonraker = "%s/comms/moonraker.sock"\n' "$(printer_name "$folder")" "$folder"
        done
    } >"$config"
    note config "$config"
}

write_unit() {
    say "the service:"
    local text
    text=$(mktemp)
    sed -e "s|@user@|$(id -un)|; s|@config@|$config|; s|@prefix@|$prefix|" klipper/strandwatch.service >"$text"
    changed=0
    place "$text" $unit 644
    rm "$text"
}

# Klipper's and Moonraker's own files, each with consent.
join_klipper() {
    local folder=$1 origin path
    local macros=$folder/config/strandwatch.cfg update=$folder/config/strandwatch-update.conf
    if [[ -f $folder/config/printer.cfg ]] &&
        consent "include the macros in $folder/config/printer.cfg (console messages, dialogs, STRANDWATCH_… macros)"; then
        if [[ ! -e $macros ]]; then
            run ln -s $share/strandwatch.cfg "$macros"
            note file "$macros"
        fi
        add_line "$folder/config/printer.cfg" '[include strandwatch.cfg]'
    fi
    if [[ ! -f $folder/moonraker.asvc ]]; then
        say "$folder/moonraker.asvc is not there, as Moonraker has not run yet: run this again to let Mainsail restart Strandwatch"
    elif consent "let Mainsail and Fluidd restart Strandwatch ($folder/moonraker.asvc)"; then
        add_line "$folder/moonraker.asvc" strandwatch last
    fi
    path=$PWD
    origin=$(git -C "$path" remote get-url origin 2>/dev/null) || origin=''
    if [[ $origin != https://* ]]; then
        say "no [update_manager] section: $path is not a clone of an https repository"
    elif consent "show updates in Mainsail and Fluidd ($folder/config/moonraker.conf)"; then
        if [[ ! -e $update ]]; then
            printf '  + write %s\n' "$update"
            ((dry)) || printf '[update_manager strandwatch]\ntype: git_repo\npath: %s\norigin: %s\nprimary_branch: %s\nis_system_service: False\ninfo_tags:\n    desc=Strandwatch: after an update run klipper/install.sh again\n' \
                "$path" "$origin" "$(git -C "$path" branch --show-current)" >"$update"
            note file "$update"
        fi
        add_line "$folder/config/moonraker.conf" '[include strandwatch-update.conf]'
    fi
}

start() {
    say "starting:"
    if [[ -d /run/systemd/system ]]; then
        run sudo systemctl daemon-reload
        run sudo systemctl --quiet enable strandwatch.service
        run sudo systemctl restart strandwatch.service
        return 0
    fi
    # As in an image that is being prepared: enabling is but a link.
    local wants=/etc/systemd/system/multi-user.target.wants
    run sudo install -d -m 755 $wants
    run sudo ln -sfn $unit $wants/strandwatch.service
    say "systemd does not run here: the service is enabled and starts when this system boots"
}

changed=0
check_host
choose_data
say "printers: ${data[*]}"
((dry)) && say "a dry run: nothing below is done"
noting_packages install_packages
noting_packages build
install_program
write_config
write_unit
note wants /etc/systemd/system/multi-user.target.wants/strandwatch.service
for folder in "${data[@]}"; do join_klipper "$folder"; done
if ((!dry)) && ! $prefix/bin/strandwatch check --config "$config"; then
    fail "the configuration has problems: see above. Correct $config and run this again"
fi
start
cat <<END
$me: done. What is left to do:
  - when no print runs, restart Moonraker and Klipper, if you let this change their files
  - strandwatch doctor --config $config     says whether everything works
  - journalctl -u strandwatch -f            is its log
  - ./klipper/uninstall.sh                  takes all of this back
END
