#!/bin/sh
# Take ichnode off a server: sudo sh deploy/uninstall.sh
# Stops it and removes program, units and the weights that ship. What is a site's own stays, and is named:
# /var/lib/ichnode (images, results, queue: patient data), /etc/ichnode, drop-ins of units, weights of its own, the
# user that owns the data. A later deploy/install.sh goes on with all of it. Safe to run twice.
#
# DESTDIR=FOLDER removes it under FOLDER and leaves running units alone (for tests).
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$checkout/deploy/python.sh"

root=${DESTDIR:-}
opt=$root/opt/ichnode
units=$root/etc/systemd/system
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "Run it as root: sudo sh deploy/uninstall.sh"

stop_units() {
    # patterns, as a site may have enabled more than one worker; "disable" takes none, so its links go by hand
    ! systemctl cat ichnode.target >/dev/null 2>&1 || systemctl --quiet stop ichnode.target 'ichnode-*.service'
    rm -f "$units"/*.wants/ichnode*
}

remove_units() {
    for unit in "$checkout"/deploy/systemd/*.service "$checkout"/deploy/systemd/*.target; do
        rm -f "$units/$(basename "$unit")"
    done
    rmdir "$units/ichnode.target.wants" 2>/dev/null || true
    rm -f "$root/etc/sysusers.d/ichnode.conf" "$root/etc/tmpfiles.d/ichnode.conf"
}

remove_program() {
    command=$root/usr/local/bin/ichnode
    ! grep -qs "$ours" "$command" || rm -f "$command"
    rm -rf "$opt/versions" "$opt/venv" "$opt/venv.new"
    for folder in "$opt"/weights/*; do
        shipped=$checkout/weights/$(basename "$folder")
        if diff -rq "$shipped" "$folder" >/dev/null 2>&1; then rm -rf "$folder"; fi
    done
    rmdir "$opt/weights" "$opt" 2>/dev/null || true
}

[ -n "$root" ] || stop_units
remove_units
remove_program
[ -n "$root" ] || { systemctl daemon-reload; systemctl --quiet reset-failed 'ichnode*' 2>/dev/null || true; }

say "Removed. These stay:"
for left in "$opt"/weights/* "$root/etc/ichnode" "$units"/ichnode*.d "$root/var/lib/ichnode"; do
    [ ! -e "$left" ] || say "  $left"
done
say "The last holds patient data: delete it as such when nobody needs it, then the user: userdel ichnode"
