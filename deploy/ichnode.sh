#!/bin/sh
# ichnode as its service runs it: same user, same configuration. Put here by ichnode's deploy/install.sh.
set -eu
set -- env ICHNODE_CONFIG="${ICHNODE_CONFIG:-/etc/ichnode/config.toml}" /opt/ichnode/venv/bin/ichnode "$@"
case $(id -un) in
    ichnode) exec "$@" ;;
    root) exec runuser -u ichnode -- "$@" ;;
    *) exec sudo -u ichnode -- "$@" ;;
esac
