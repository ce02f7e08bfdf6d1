"""Prepared cases small enough that a step of training takes milliseconds, and where the real ones lie."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ichnode.cohort.prepared import Entry, Prepared, write_case, write_index
from ichnode.cohort.table import CARD_FILE, Card, write_card
from ichnode.train.recipe import Recipe
from ichnode.train.samples import Source

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SHAPE = (8, 16, 16)
NOT_AUGMENTED = {"copies": 1, "scale": 0, "shift": 0, "turn_deg": 0}


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return DATA


def drawn(seed=1, *, bleed=True, shape=SHAPE) -> Prepared:
    """An ellipsoid of noisy brain, HU in half units; the bleed is a bright lump on one side, placed by the seed."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    brain = z**2 + y**2 + x**2 < 0.9
    dz, dy = rng.uniform(-0.2, 0.2, 2)
    lump = ((z - dz) / 0.7) ** 2 + ((y - dy) / 0.55) ** 2 + ((x - 0.5) / 0.32) ** 2 < 1
    lump &= brain & bleed
    hu = rng.normal(35, 4, shape) + 32 * lump
    hu = np.where(brain, np.round(hu.clip(0, 100) * 2) / 2, 0).astype(np.float32)
    return Prepared(hu=hu, brain=brain, bleed=lump)


@pytest.fixture(scope="session")
def case() -> Callable[..., Prepared]:
    return drawn


def entry(
    name: str, *, split="train", patient="", preset="fov224", volume_ml=1.0, expanded=None, source="", sha256
) -> Entry:
    return Entry(
        name=name,
        patient=patient or name,
        split=split,
        preset=preset,
        volume_ml=volume_ml,
        expanded=expanded,
        onset_h=None,
        fallback=False,
        source=source or f"made for {name}",
        sha256=sha256,
    )


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Path]:
    """Writes a prepared cohort: name to what differs of its entry; ``bleed=False`` makes a head without one,
    ``seed`` that very head."""

    def make(folder="prepared", licence="CC0", **cases) -> Path:
        out = tmp_path / folder
        out.mkdir()
        entries = []
        for number, (name, fields) in enumerate(cases.items()):
            case = drawn(fields.pop("seed", number + 1), bleed=fields.pop("bleed", True))
            entries.append(entry(name, **fields, sha256=write_case(out, name, case)))
        write_index(out, entries)
        write_card(out / CARD_FILE, Card(name=folder, description="Made.", source="this test", licence=licence))
        return out

    return make


@pytest.fixture(scope="session")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Source]:
    """One prepared case in a folder of its own, with its entry."""

    def make(name: str, case: Prepared, *, folder: Path | None = None, **fields) -> Source:
        folder = folder or tmp_path_factory.mktemp("source")
        return Source(folder, entry(name, **fields, sha256=write_case(folder, name, case)))

    return make


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    """The published recipe, but for what is named, tables as ``loss={...}``; few epochs, one copy, no moving."""

    def make(**fields) -> Recipe:
        augmentation = NOT_AUGMENTED | fields.pop("augmentation", {})
        return Recipe.model_validate({"epochs": 2, **fields, "augmentation": augmentation})

    return make
