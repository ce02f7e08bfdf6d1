#!/bin/sh
# Run every check of the project: sh deploy/test.sh
# As root on Debian it installs the peers that the tests talk to: Orthanc, dcmtk, dcm2niix, PixelMed with a Java to run
# it, systemd-analyze, rsyslog, libfuse. Without root it uses those that are there, and pytest's summary names each test
# that was skipped for want of one. The tests run in two processes, a file of tests in one of them.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$checkout/deploy/python.sh"
cd "$checkout"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # Orthanc lives there, and a user's PATH may not
export PATH

install_peers() {
    missing=
    command -v Orthanc >/dev/null || missing="$missing orthanc"
    command -v storescu >/dev/null || missing="$missing dcmtk"
    command -v dcm2niix >/dev/null || missing="$missing dcm2niix"
    { command -v java >/dev/null && [ -f /usr/share/java/bsh.jar ]; } || missing="$missing bsh default-jre-headless"
    [ -f /usr/share/java/pixelmed.jar ] || missing="$missing libpixelmed-java"
    command -v systemd-analyze >/dev/null || missing="$missing systemd"
    command -v rsyslogd >/dev/null || missing="$missing rsyslog rsyslog-gnutls"
    ldconfig -p | grep -q libfuse || missing="$missing libfuse2"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "Not installed, and no root to install them:$missing. The tests that need them will be skipped."
        return 0
    fi
    say "Installing test peers:$missing ..."
    # shellcheck disable=SC2086  # a list of words
    apt_install $missing
    # Debian starts its Orthanc as a service; the tests start their own, on free ports
    case $missing in *orthanc*) service orthanc stop >/dev/null 2>&1 || true ;; esac
    case $missing in *rsyslog*) service rsyslog stop >/dev/null 2>&1 || true ;; esac
}

failed=
check() { # COMMAND...: run it, and go on after a failure so that one run shows them all
    say "== $*"
    "$@" || failed="$failed
  $*"
}

install_peers
make_venv "$checkout/.venv" "$checkout" test
PATH=$checkout/.venv/bin:$PATH
thinking='ichnode/image/*,ichnode/findings/*,ichnode/report/*,ichnode/model/*'

check ruff check .
check ruff format --check .
check mypy
check lint-imports
check python -m pytest --numprocesses 2 --dist loadfile -rfEs --no-fold-skipped --cov --cov-report= "$@"
check coverage report --include "$thinking" --fail-under=90 --skip-covered --show-missing

[ -z "$failed" ] || fail "Failed:$failed"
say "All checks passed."
