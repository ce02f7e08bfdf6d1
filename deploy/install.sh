#!/bin/sh
# Install or upgrade ichnode on a server: sudo sh deploy/install.sh
# Safe to run twice: what is there already stays, a config.toml above all. Nothing is started or restarted.
#
#   /opt/ichnode/versions/NAME   one virtual environment a version; /opt/ichnode/venv points at the one in use
#   /opt/ichnode/weights         weights of the network, one folder a set
#   /etc/ichnode/config.toml     configuration; a newer default is put beside it as config.toml.new
#   /etc/systemd/system          units; /etc/sysusers.d, /etc/tmpfiles.d: user and folders
#   /usr/local/bin/ichnode       runs it as the service's user
#   /var/lib/ichnode             images, results, database: made by systemd, never touched here
#
# DESTDIR=FOLDER puts all of it under FOLDER and leaves users and running units alone (for tests).
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin # the system's Python, not one that root happens to have at home
export PATH

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$checkout/deploy/python.sh"

root=${DESTDIR:-}
opt=$root/opt/ichnode
etc=$root/etc/ichnode
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "Run it as root: sudo sh deploy/install.sh"
[ -n "$root" ] || [ -d /run/systemd/system ] || fail "systemd does not run here; for a trial use: sh deploy/demo.sh"

put() { # MODE SOURCE TARGET: copy only when it differs, so that a second run changes nothing
    cmp -s "$2" "$3" || install -D -m "$1" "$2" "$3"
}

install_program() {
    case $(readlink -f "$(need_python)") in
        /root/* | /home/*) fail "The service may not read a home folder: set PYTHON to an interpreter outside." ;;
    esac
    mkdir -p "$opt/versions"
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml")-$(source_id "$checkout")
    make_venv "$opt/versions/$version" "$checkout"
    "$opt/versions/$version/bin/python" -m ichnode --version >/dev/null ||
        fail "This version does not run (see above); the one in use stays."
    # the link is moved in one step: there is no moment without a program
    ln -sfn "versions/$version" "$opt/venv.new"
    mv -fT "$opt/venv.new" "$opt/venv"
}

install_weights() {
    for card in "$checkout"/weights/*/card.toml; do
        source=$(dirname "$card")
        name=$(basename "$source")
        target=$opt/weights/$name
        diff -rq "$source" "$target" >/dev/null 2>&1 && continue
        mkdir -p "$opt/weights"
        rm -rf "$target.new"
        cp -R "$source" "$target.new"
        chmod -R u=rwX,go=rX "$target.new"
        if [ -e "$target" ]; then
            mv "$target" "$target.$(date +%Y%m%d%H%M%S)"
            say "The weights $name have changed; the earlier ones are kept beside them."
        fi
        mv "$target.new" "$target"
    done
}

install_command() { # what another has put there is not ours to overwrite
    command=$root/usr/local/bin/ichnode
    if [ -e "$command" ] && ! grep -qs "$ours" "$command"; then
        say "$command is not ours and stays; call $opt/venv/bin/ichnode as the user ichnode."
    else
        put 0755 "$checkout/deploy/ichnode.sh" "$command"
    fi
}

install_configuration() {
    install -d -m 0750 "$etc"
    defaults=$(mktemp)
    trap 'rm -f "$defaults"' EXIT
    # a relative folder of weights is relative to the configuration; here they lie apart from it
    sed 's|^#* *weights = "weights/|weights = "/opt/ichnode/weights/|' "$checkout/config.toml" >"$defaults"
    if [ ! -e "$etc/config.toml" ]; then
        put 0640 "$defaults" "$etc/config.toml"
    elif ! cmp -s "$defaults" "$etc/config.toml"; then
        put 0640 "$defaults" "$etc/config.toml.new"
        say "$etc/config.toml stays as it is; the defaults of this version are in config.toml.new beside it."
    fi
}

install_units() {
    for unit in "$checkout"/deploy/systemd/*.service "$checkout"/deploy/systemd/*.target; do
        put 0644 "$unit" "$root/etc/systemd/system/$(basename "$unit")"
    done
    put 0644 "$checkout/deploy/systemd/sysusers.conf" "$root/etc/sysusers.d/ichnode.conf"
    put 0644 "$checkout/deploy/systemd/tmpfiles.conf" "$root/etc/tmpfiles.d/ichnode.conf"
}

enable_units() {
    systemd-sysusers ichnode.conf
    systemd-tmpfiles --create ichnode.conf
    systemctl daemon-reload
    systemctl --quiet enable ichnode.target ichnode-receive.service ichnode-deliver.service ichnode-work@1.service
}

install_program
install_weights
install_command
install_configuration
install_units
[ -z "$root" ] || { say "Installed under $root."; exit 0; }
enable_units

say "" "ichnode doctor says:"
runuser -u ichnode -- env ICHNODE_CONFIG="$etc/config.toml" "$opt/venv/bin/ichnode" doctor || true
if systemctl --quiet is-active ichnode.target; then
    say "" "The earlier version is still running. When no scan is awaited: systemctl restart ichnode.target"
else
    say "" "Now edit $etc/config.toml (who may send, where results go), then" \
        "  check:   sudo ichnode doctor" \
        "  start:   systemctl start ichnode.target" \
        "  watch:   journalctl -fu 'ichnode-*'"
fi
