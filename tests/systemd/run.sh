#!/bin/sh
# Install, break, reboot, upgrade and remove ichnode on a real systemd: sudo sh tests/systemd/run.sh [FOLDER]
# Needs root on Debian 12, 8 GB of disk, and Debian's and pip's packages; half an hour. FOLDER (/var/tmp/ichnode-systemd)
# keeps Debian, wheels and phantoms for the next run; transcripts and journals are left there.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
. "$checkout/deploy/python.sh"
cd "$checkout"
[ "$(id -u)" = 0 ] || fail "Run it as root: sudo sh tests/systemd/run.sh"

missing=
for pair in debootstrap:debootstrap systemd-nspawn:systemd-container Orthanc:orthanc storescu:dcmtk; do
    command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
# shellcheck disable=SC2086  # a list of words
[ -z "$missing" ] || apt_install $missing

ICHNODE_SYSTEMD=${1:-/var/tmp/ichnode-systemd}
export ICHNODE_SYSTEMD
make_venv "$checkout/.venv" "$checkout" test
exec "$checkout/.venv/bin/python" -m pytest tests/systemd -rA --maxfail=1
