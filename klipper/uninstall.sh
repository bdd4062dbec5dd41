#!/usr/bin/env bash
# Takes back what install.sh did, as noted in /usr/local/share/strandwatch/installed. Run it as the same user.
#
#   ./klipper/uninstall.sh [--keep-config] [--keep-packages] [--yes] [--dry-run]
#
#   --keep-config    leave strandwatch.toml and the secrets file where they are
#   --keep-packages  leave the Debian packages that were installed for Strandwatch
#   --yes            do not ask; without --keep-config the configuration goes as well
#   --dry-run        print every step and do none
#
# The recordings and everything else in /var/lib/strandwatch go. This checkout stays.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

me=uninstall
. klipper/lib.sh

share=/usr/local/share/strandwatch
ledger=$share/installed
keep_config=0 keep_packages=0 yes=0 dry=0
while (($#)); do
    case $1 in
        --keep-config) keep_config=1 ;;
        --keep-packages) keep_packages=1 ;;
        --yes) yes=1 ;;
        --dry-run) dry=1 ;;
        -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "$1 is not an option: ./klipper/uninstall.sh --help lists them" ;;
    esac
    shift
done

run() {
    printf '  + %s\n' "$*"
    ((dry)) || "$@"
}

ask() {
    if ((yes)); then return 0; fi
    [[ -t 0 ]] || fail "there is no terminal to ask on: --yes goes on without asking"
    local answer
    read -r -p "$me: $1? [y/N] " answer
    [[ $answer == [yYjJ]* ]]
}

# What of a kind was noted, one a line.
noted() { sed -n "s/^$1\t//p" <<<"$notes"; }

(($(id -u) != 0)) || fail "run this as the user that installed Strandwatch, not as root"
[[ -r $ledger ]] || fail "nothing to take back: $ledger is not there"
notes=$(cat "$ledger")
ask "remove Strandwatch and everything it recorded" || exit 0
if ((!keep_config && !yes)) && ! ask "remove its configuration and secrets as well"; then keep_config=1; fi

say "the service:"
if [[ -d /run/systemd/system ]]; then
    # Its end takes its camera out of Moonraker's list.
    run sudo systemctl --quiet disable --now strandwatch.service || true
fi
while read -r link; do run sudo rm -f "$link"; done < <(noted wants)

say "lines in files of Klipper and Moonraker:"
while IFS=$'\t' read -r file line; do
    [[ -f $file ]] && grep -qxF -- "$line" "$file" || continue
    printf '  + %s: without %s\n' "$file" "$line"
    if ((!dry)); then
        text=$(mktemp)
        grep -vxF -- "$line" "$file" >"$text" || true
        cat "$text" >"$file"
        rm "$text"
    fi
done < <(noted line)

say "files:"
while read -r file; do run sudo rm -f "$file"; done < <(noted file)
while read -r folder; do run sudo rm -rf "$folder"; done < <(noted folder)
run sudo rm -rf /var/lib/strandwatch /var/cache/strandwatch
if ((!keep_config)); then
    while read -r file; do run rm -f "$file"; done < <(noted config)
    if [[ -d $HOME/.config/strandwatch ]]; then
        run rm -rf "$HOME/.config/strandwatch"
        run rmdir --ignore-fail-on-non-empty "$HOME/.config"
    fi
fi
if [[ -d /run/systemd/system ]]; then run sudo systemctl daemon-reload; fi

mapfile -t packages < <(noted package)
if ((${#packages[@]} && !keep_packages)); then
    mapfile -t missing < <(missing_packages "${packages[@]}")
    # What the system cannot start without stays, whatever brought it.
    mapfile -t vital < <(dpkg-query -W -f='${Essential}${Protected} ${Package}\n' | sed -n 's/^[a-z]*yes[a-z]* //p')
    mapfile -t packages < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(printf '%s\n' "${missing[@]}" "${vital[@]}" | sort -u))
fi
if ((${#packages[@]} && !keep_packages)); then
    say "Debian packages:"
    # Whatever was installed since and needs one of them keeps them all.
    others=$(apt-get -s purge "${packages[@]}" | sed -n 's/^Purg \([^ ]*\).*/\1/p' | sort -u |
        comm -23 - <(printf '%s\n' "${packages[@]}" | sort))
    if [[ -n $others ]]; then
        say "they stay, as these need them: ${others//$'\n'/ }"
    elif ask "remove the ${#packages[@]} Debian packages that were installed for Strandwatch"; then
        run sudo env DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq "${packages[@]}"
    fi
fi
run sudo rm -rf $share
say "done. Restart Moonraker and Klipper when no print runs, if their files were changed"
((!keep_config)) || say "the configuration stays: $(noted config | tr '\n' ' ')$HOME/.config/strandwatch"
