"""Small sets of weights and inputs, built in code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import NetworkInput
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import Card, save_weights

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def shipped() -> Path:
    return REPOSITORY / "weights" / "ich-zhong2021"


@pytest.fixture(scope="session")
def card() -> Card:
    return Card(
        name="of-a-test",
        version="0.0.1",
        changelog={"0.0.1": 'Says "hello",\nin two lines, with an ä and a \\.'},
        task="none",
        data_source="random numbers",
        data_licence="none",
        preset="fov224",
        min_component_ml=0.5,
        threshold=0.5,
        expansion="untrained on patients",
        expansion_threshold=0.4,
        eval_metrics={"dice_median": 0.1, "data": "none", "cases": 13},
        intended_use="tests",
        sha256="",
    )


@pytest.fixture
def weights(tmp_path: Path, card: Card) -> Path:
    """A folder of random weights."""
    torch.manual_seed(0)
    folder = tmp_path / "weights"
    save_weights(ExpansionNet(), folder, card)
    return folder


@pytest.fixture(scope="session")
def head() -> Callable[[tuple[int, int, int]], NetworkInput]:
    """Makes an input: noise in an ellipsoid, a bright lump in it, zeros around."""

    def make(shape: tuple[int, int, int]) -> NetworkInput:
        z, y, x = (np.linspace(-1, 1, n) for n in shape)
        grid = np.meshgrid(z, y, x, indexing="ij")
        noise = np.random.default_rng(0).normal(size=shape) / 2
        brain = sum(axis**2 for axis in grid) < 0.7
        lump = sum((axis - 0.2) ** 2 for axis in grid) < 0.04
        values = np.where(brain, np.maximum(noise + 5 * lump, 0), 0).astype(np.float32)
        geometry = Geometry(
            origins_mm=np.outer(np.arange(shape[0]), [0.0, 0.0, 5.0]),
            row_cosine=np.array([1.0, 0.0, 0.0]),
            column_cosine=np.array([0.0, 1.0, 0.0]),
            row_spacing_mm=0.875,
            column_spacing_mm=0.875,
            rows=shape[1],
            columns=shape[2],
        )
        return NetworkInput(values=values, geometry=geometry)

    return make
