"""The targets by name, where their corpora stand, and how long an input may be."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

CORPUS: Final = Path(__file__).with_name("corpus")
# Largest input in bytes. A slice of 8 x 8 pixels has about 1,000.
TARGETS: Final = {
    "pdu": 4096,
    "pdu_decode": 4096,
    "data_set": 4096,
    "assembly": 2048,
    "configuration": 4096,
    "pixels": 2048,
    "onset": 2048,
}
SHARED: Final = {"pdu_decode": "pdu"}  # targets that read the corpus of another


def module_of(target: str) -> ModuleType:
    """The target's module: ``one(data)``, ``seeds()``, perhaps ``mutate(data, bend, random)`` and ``words()``."""
    return import_module(f"tests.fuzz.targets.{target}")


def corpus_of(target: str) -> Path:
    """The committed inputs of a target."""
    return CORPUS / SHARED.get(target, target)
