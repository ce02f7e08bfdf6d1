"""The process that fuzzes one target: instruments the code, then hands over to libFuzzer, which ends it."""

import sys
from pathlib import Path
from random import Random
from typing import Any

import atheris

from tests.fuzz.finds import Keeper
from tests.fuzz.names import module_of


def main(target: str, finds: str, *arguments: str) -> None:
    """Never returns: libFuzzer exits."""
    with atheris.instrument_imports(include=["pydicom", "pynetdicom", "ichnode", "tomllib"]):
        module = module_of(target)
    keeper = Keeper(target, module.one, Path(finds))
    mutate = getattr(module, "mutate", None)

    def mutator(data: bytes, longest: int, seed: int) -> bytes:
        def bend(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, longest))

        return bytes(mutate(bytes(data), bend, Random(seed)))[:longest]

    further: dict[str, Any] = {"custom_mutator": mutator} if mutate else {}
    atheris.Setup([sys.argv[0], *arguments], keeper, **further)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
