#!/bin/sh
# Measure the shipped weights on every cohort, through the node's own code: sh weights/measure.sh DATA WORK [OPTION...]
# DATA holds phe-sich and dicom. WORK takes the cohorts, the phantoms (made once, an hour of one core), the pages, and a
# copy of the weights whose expansion head learns an invented rule (once, an hour of one core).
# Further options go to the first `ichnode evaluate`, for example --record. Exit code 1 when a bound is not met.
set -eu

here=$(dirname -- "$0")
data=$1 work=$2
shift 2
weights=${ICHNODE_WEIGHTS:-$here/ich-zhong2021}

evaluate() { # 1: a case was left out; the plastic skull is refused, as it should be
    code=0
    ichnode evaluate "$@" || code=$?
    [ "$code" -le 1 ] || exit "$code"
}

python "$here/cohorts.py" --data "$data" --out "$work"
rm -f "$work/evaluation/evaluation.json" "$work/expansion-evaluation/evaluation.json" # none is judged in these' place

set -- --weights "$weights" --out "$work/evaluation" "$@"
for name in held-out-bleedless held-out-leaning held-out heads phe-sich; do # the last one comes first
    set -- --cohort "$work/$name" "$@"
done
evaluate "$@"

ichnode cohort prepare --cohort "$work/blend"
ichnode train --cohort "$work/blend" --recipe head2026 --start "$weights" --name expansion-path --out "$work/expansion"
evaluate --cohort "$work/held-out-blend" --weights "$work/expansion" --out "$work/expansion-evaluation"

python "$here/bounds.py" "$work/evaluation/evaluation.json" "$work/expansion-evaluation/evaluation.json"
