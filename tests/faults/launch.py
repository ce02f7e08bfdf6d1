"""A service that kills itself, or is held, at one point: ``python -m tests.faults.launch POINT --config FILE VERB``."""

import sys

from tests.faults.points import HOLDS, POINTS, RUNTIMES
from tests.peers.stand_in import PerfectRuntime, run

if __name__ == "__main__":
    point = sys.argv.pop(1)
    (POINTS | HOLDS)[point]()
    run(RUNTIMES.get(point, PerfectRuntime))
