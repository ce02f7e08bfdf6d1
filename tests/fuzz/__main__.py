"""``python -m tests.fuzz TARGET --seconds N``: looks for inputs that break a target. Needs the extra ``fuzz``.

The target runs in a process of its own, so that a codec that kills it is a find too. Prints one line of JSON:
executions, edges and features covered, CPU seconds, finds in the folder.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.names import TARGETS, corpus_of, module_of

FIGURES: Final = {
    "executions": r"stat::number_of_executed_units:\s*(\d+)",
    "edges": r"cov: (\d+)",
    "features": r"ft: (\d+)",
    "inputs": r"corp: (\d+)",
    "peak_mb": r"stat::peak_rss_mb:\s*(\d+)",
}
HANGS_S: Final = 600  # of wall clock, for the whole machine may be busy; the targets look at CPU time themselves
LARGEST_MB: Final = 3000


def main() -> int:
    """Fuzzes; the exit status is 1 when there are finds."""
    options = _options()
    for folder in (options.corpus, options.finds):
        folder.mkdir(parents=True, exist_ok=True)
    began = os.times()
    ran = subprocess.run(_command(options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    ended = os.times()
    said = ran.stdout.decode(errors="replace")
    finds = sorted(path.name for path in options.finds.glob(f"{options.target}-*") if path.suffix != ".txt")
    if ran.returncode:
        (options.finds / f"{options.target}-native.txt").write_text(said[-20000:])
    line = {
        "target": options.target,
        "at": round(time.time()),
        "cpu_s": round(ended.children_user + ended.children_system - began.children_user - began.children_system, 1),
        "exit": ran.returncode,
        **{name: _last(pattern, said) for name, pattern in FIGURES.items()},
        "finds": finds,
    }
    print(json.dumps(line))
    if options.log:
        with options.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
    return 1 if finds or ran.returncode else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=300, help="wall clock")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"), help="corpus and finds unless named")
    parser.add_argument("--corpus", type=Path, help="inputs that reached something new, beside the committed ones")
    parser.add_argument("--finds", type=Path, help="inputs that broke something")
    parser.add_argument("--log", type=Path, help="a line of JSON is added to this file")
    options = parser.parse_args()
    options.corpus = options.corpus or options.work / "corpus" / options.target
    options.finds = options.finds or options.work / "finds"
    return options


def _command(options: argparse.Namespace) -> list[str]:
    worker = [sys.executable, "-m", "tests.fuzz.worker", options.target, str(options.finds)]
    limits = {
        "max_total_time": options.seconds,
        "max_len": TARGETS[options.target],
        "timeout": HANGS_S,
        "report_slow_units": HANGS_S,
        "rss_limit_mb": LARGEST_MB,
        "print_final_stats": 1,
        "artifact_prefix": options.finds / f"{options.target}-native-",
    }
    words = getattr(module_of(options.target), "words", None)
    if words:
        dictionary = options.corpus.with_suffix(".dict")
        quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words())
        dictionary.write_text("".join(f'"{word}"\n' for word in quoted))
        limits["dict"] = dictionary
    flags = [f"-{name}={value}" for name, value in limits.items()]
    return [*worker, *flags, str(options.corpus), str(corpus_of(options.target))]


def _last(pattern: str, said: str) -> int | None:
    found = re.findall(pattern, said)
    return int(found[-1]) if found else None


if __name__ == "__main__":
    sys.exit(main())
