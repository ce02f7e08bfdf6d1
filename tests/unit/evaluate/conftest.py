"""Small cohorts with the truth in the network's place, and measured cases without any image."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ichnode.analyse import Network
from ichnode.cohort.read import Labelled
from ichnode.cohort.table import Card as CohortCard
from ichnode.cohort.table import Case, Cohort, read_cohort, write_cohort
from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Bat
from ichnode.domain.values import FrameSource, ModelIdentity, NetworkInput, Prediction, Volume
from ichnode.evaluate.cases import Measured
from ichnode.evaluate.pictures import Picture
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import Card, save_weights
from tests.unit.image.conftest import ellipsoid_on, head_on

BLEED = (25.0, 10.0, 5.0), (18.0, 18.0, 18.0)  # centre and radii, mm: 24 mL
CARD = Card(
    name="stand-in",
    version="1.0.0",
    changelog={"1.0.0": "The truth."},
    task="Tests",
    data_source="none",
    data_licence="none needed",
    preset="fov224",
    min_component_ml=0.0,
    threshold=0.5,
    expansion="untrained on patients",
    expansion_threshold=0.5,
    eval_metrics={},
    intended_use="Tests.",
    sha256="a" * 64,
)
COHORT_CARD = CohortCard(name="Heads in code", description="Ellipsoids.", source="tests", licence="none needed")
DOT = Picture(slice_index=3, png="iVBORw0KGgo=", width_mm=150.0, height_mm=180.0, labelled="M1 1L2 1L2 2Z", found="")


class StandIn:
    """Answers with an ellipsoid of patient space, whatever it is shown, and counts how often it was asked."""

    name = "stand-in"

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, x: NetworkInput) -> Prediction:
        self.asked += 1
        share = ellipsoid_on(x.geometry, *BLEED).astype(np.float32)
        model = ModelIdentity(name=CARD.name, version=CARD.version, sha256=CARD.sha256)
        return Prediction(probability=share, expansion=0.75, geometry=x.geometry, model=model)

    def warm_up(self) -> None:
        """Nothing to warm up."""


@pytest.fixture
def card() -> Card:
    return CARD


@pytest.fixture
def cohort_card() -> CohortCard:
    return COHORT_CARD


@pytest.fixture
def network() -> Network:
    return Network(runtime=StandIn(), card=CARD)


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory) -> Path:
    """Random weights that their card is true of."""
    folder = tmp_path_factory.mktemp("weights") / "random"
    save_weights(ExpansionNet(), folder, CARD)
    return folder


@pytest.fixture
def geometry() -> Geometry:
    """30 slices of 5 mm round the origin."""
    corner = -1.8 * 127 / 2
    return Geometry(
        origins_mm=np.array([[corner, corner, 5.0 * (k - 14.5)] for k in range(30)]),
        row_cosine=np.array([1.0, 0.0, 0.0]),
        column_cosine=np.array([0.0, 1.0, 0.0]),
        row_spacing_mm=1.8,
        column_spacing_mm=1.8,
        rows=128,
        columns=128,
    )


@pytest.fixture
def bleeding(geometry) -> Labelled:
    """A simple head with a bleed of 24 mL."""
    sources = tuple(FrameSource(sop_instance_uid=f"1.2.{k}") for k in range(geometry.shape[0]))
    volume = Volume(hu=head_on(geometry, bleed=BLEED), geometry=geometry, sources=sources)
    return Labelled(volume=volume, bleed=ellipsoid_on(geometry, *BLEED))


@pytest.fixture
def cohort(tmp_path, geometry) -> Cohort:
    """Three cases of "val": a bleed, a head without one, and one whose mask has lost a slice."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    bleed = ellipsoid_on(geometry, *BLEED)
    _write(folder / "bleed_ct.nii.gz", head_on(geometry, bleed=BLEED), geometry)
    _write(folder / "plain_ct.nii.gz", head_on(geometry), geometry)
    _write(folder / "bleed_mask.nii.gz", bleed.astype(np.uint8), geometry)
    _write(folder / "short_mask.nii.gz", bleed[1:].astype(np.uint8), geometry)

    def case(name: str, ct: str, mask: str | None, **more) -> Case:
        return Case(name=name, patient=name, split="val", ct=folder / ct, mask=folder / mask if mask else None, **more)

    cases = [
        case("bleeds", "bleed_ct.nii.gz", "bleed_mask.nii.gz", expanded=True, onset_h=2.0),
        case("plain", "plain_ct.nii.gz", None),
        case("short", "bleed_ct.nii.gz", "short_mask.nii.gz"),
    ]
    write_cohort(folder, COHORT_CARD, cases)
    return read_cohort(folder)


def _write(path: Path, values: np.ndarray, geometry: Geometry) -> None:
    x, y, z = geometry.origins_mm[0]
    affine = np.diag([-geometry.column_spacing_mm, -geometry.row_spacing_mm, geometry.gaps_mm[0], 1.0])
    affine[:3, 3] = -x, -y, z
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), path)


@pytest.fixture
def measured() -> Callable[..., Measured]:
    """A case as if it had been measured; name what matters."""

    def make(name: str = "a", **changed) -> Measured:
        fields = {
            "labelled_ml": 20.0,
            "found_ml": 21.0,
            "dice": 0.9,
            "hd95_mm": 2.0,
            "assd_mm": 0.5,
            "flags": (),
            "expansion": 0.4,
            "outcome": None,
            "onset_h": None,
            "bat": Bat(low=2, high=2),
            "seconds": 4.0,
            "picture": DOT,
        }
        if changed.get("labelled_ml") == 0:
            fields |= {"dice": None, "hd95_mm": None, "assd_mm": None, "bat": None, "expansion": None}
        return Measured(name=name, **{**fields, **changed})

    return make
