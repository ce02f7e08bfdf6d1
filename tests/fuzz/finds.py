"""What an input broke: kept once for each place in the code, so that a run goes on behind its first find."""

import hashlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType


class Keeper:
    """Calls a target, and writes each new find to ``folder``: the input, and beside it (``.txt``) what it raised."""

    def __init__(self, target: str, one: Callable[[bytes], None], folder: Path) -> None:
        self._target, self._one, self._folder = target, one, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, data: bytes) -> None:
        """Tries one input."""
        try:
            self._one(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever comes out is what is looked for
            self._keep(data, error)

    def _keep(self, data: bytes, error: BaseException) -> None:
        path = self._folder / f"{self._target}-{place_of(error)}"
        if not path.exists():
            path.write_bytes(data)
            path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), errors="replace")


def place_of(error: BaseException) -> str:
    """A name for what is wrong: its type, its place and the line of ours that led there; its words without numbers."""
    frames = [(frame.filename, frame.name) for frame in _frames(error.__traceback__)]
    ours = [frame for frame in frames if "ichnode/" in frame[0]]
    words = re.sub(r"\d+", "#", str(error)) if isinstance(error, AssertionError) else ""
    place = repr((type(error).__name__, frames[-1:], ours[-1:], words))
    return f"{type(error).__name__}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _frames(trace: TracebackType | None) -> traceback.StackSummary:
    return traceback.extract_tb(trace)
