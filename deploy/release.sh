#!/bin/sh
# What goes out with a release: sh deploy/release.sh FOLDER
# Wheel and source, the bill of materials of what it runs on (CycloneDX, JSON), the digests of these files, and what is
# known to be wrong with the libraries (pip-audit). Exit code 1 when a known vulnerability is among them.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$checkout/deploy/python.sh"

[ $# = 1 ] || fail "Usage: sh deploy/release.sh FOLDER"
mkdir -p "$1"
out=$(CDPATH='' cd -- "$1" && pwd)
[ -z "$(ls -A "$out")" ] || fail "$out is not empty: a release gets a folder of its own."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

node=${ICHNODE_DEMO_DIR:-$checkout/.demo}/venv # the demo's: made of the same libraries
make_venv "$node" "$checkout"
"$(need_python)" -m venv "$work/tools"
pip_install "$work/tools" --require-hashes --no-deps --requirement "$checkout/deploy/locked-release.txt"
tools=$work/tools/bin

mkdir "$work/source"
(cd "$checkout" && cp -R pyproject.toml README.md LICENSE ichnode "$work/source")
find "$work/source" -name __pycache__ -prune -exec rm -r {} +
"$tools/python" -m build --no-isolation --outdir "$out" "$work/source" >"$work/build.txt" 2>&1 ||
    fail "The wheel could not be built:" "$(cat "$work/build.txt")"
"$tools/cyclonedx-py" environment --pyproject "$checkout/pyproject.toml" --output-reproducible --of JSON \
    --output-file "$out/ichnode.cdx.json" "$node/bin/python"
(cd "$out" && sha256sum -- * >SHA256SUMS)
say "In $out:" "$(ls "$out")"

# what no index knows is skipped by pip-audit in silence: it is counted here
set +e
"$tools/pip-audit" --no-deps --disable-pip --format json --requirement "$checkout/deploy/constraints.txt" \
    >"$work/audit.json" 2>"$work/audit.txt"
"$tools/python" - "$work/audit.json" <<'END' >&2
import json, sys
try:
    found = json.load(open(sys.argv[1], encoding="utf-8"))["dependencies"]
except ValueError:
    sys.exit("Known vulnerabilities: nobody could be asked. Run this again where PyPI's advisories can be had.")
bad = [one for one in found if one.get("vulns")]
unknown = [one["name"] for one in found if "skip_reason" in one]
print(f"Known vulnerabilities: {len(found) - len(unknown)} of {len(found)} packages asked for, {len(bad)} have some.")
for one in bad:
    print(f"  {one['name']} {one['version']}:", ", ".join(vuln["id"] for vuln in one["vulns"]))
if unknown:
    print(f"NOT asked for, as this index has no advisories of them: {', '.join(unknown)}")
sys.exit(3 if bad else 0)
END
[ $? != 3 ] || fail "A library above has a known vulnerability: raise its pin, or write down why it does not matter here."
