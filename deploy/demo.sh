#!/bin/sh
# Watch a head CT travel through the real node: sh deploy/demo.sh
# Needs Python >= 3.11 with venv, about 3 GB of disk, no root. Everything stays in .demo of this checkout
# (or in $ICHNODE_DEMO_DIR); delete that folder to be rid of it.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$checkout/deploy/python.sh"

folder=${ICHNODE_DEMO_DIR:-$checkout/.demo}
mkdir -p "$folder"
folder=$(CDPATH='' cd -- "$folder" && pwd)
make_venv "$folder/venv" "$checkout"

exec "$folder/venv/bin/ichnode" demo --out "$folder/results" --weights "$checkout/weights/ich-zhong2021" "$@"
