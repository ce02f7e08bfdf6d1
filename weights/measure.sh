#!/bin/sh
# Measure the shipped weights on every cohort, through the node's own code: sh weights/measure.sh DATA WORK [OPTION...]
# DATA holds phe-sich and dicom; WORK takes the cohorts, the phantoms (made once, an hour of one core) and the page.
# Further options go to `ichnode evaluate`, for example --record. Exit code 1 when a bound is not met.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=$1 work=$2
shift 2
weights=${ICHNODE_WEIGHTS:-$here/ich-zhong2021}

python "$here/cohorts.py" --data "$data" --out "$work"
set -- --weights "$weights" --out "$work/evaluation" "$@"
for name in held-out-bleedless held-out-leaning held-out heads phe-sich; do # the last one comes first
    set -- --cohort "$work/$name" "$@"
done
code=0
ichnode evaluate "$@" || code=$?
[ "$code" -le 1 ] || exit "$code" # 1: a case was left out; the plastic skull is refused, as it should be
python "$here/bounds.py" "$work/evaluation/evaluation.json"
