"""How long a volume takes to become the network's input: 2 s for 32 slices, 6 s for 300, on two cores.

Measured in processor time, so that the verdict does not hang on what else the machine does; almost all of it runs in
one thread, where processor time is what the clock on the wall would show on an idle machine.
"""

import time

import numpy as np
import pytest

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume
from ichnode.image.prepare import PRESETS, prepare

SIZE, PIXEL_MM = 512, 0.45


def noisy_head(slices: int, gap_mm: float, lean_mm: float = 0.0) -> Volume:
    """Scalp, skull, brain as ellipsoids with the noise of a real scanner, 512 x 512."""
    rng = np.random.default_rng(7)
    along = (np.arange(slices) - (slices - 1) / 2) * gap_mm
    across = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    radius = np.hypot(across[None, :] / 72, across[:, None] / 95)
    hu = np.full((slices, SIZE, SIZE), -1000, np.int16)
    for k, height in enumerate(along):
        far = np.hypot(radius, height / 85)
        plane = np.select([far < 0.92, far < 1, far < 1.06], [35, 1000, 45], -1000)
        hu[k] = plane + rng.normal(0, 8, (SIZE, SIZE))
    corner = -PIXEL_MM * (SIZE - 1) / 2
    drift = (np.arange(slices) - slices / 2) * lean_mm
    return Volume(
        hu=hu,
        geometry=Geometry(
            origins_mm=np.stack([np.full(slices, corner), corner + drift, along], axis=1),
            row_cosine=np.array([1.0, 0, 0]),
            column_cosine=np.array([0, 1.0, 0]),
            row_spacing_mm=PIXEL_MM,
            column_spacing_mm=PIXEL_MM,
            rows=SIZE,
            columns=SIZE,
        ),
        sources=tuple(FrameSource(sop_instance_uid=f"1.2.{k}") for k in range(slices)),
    )


@pytest.mark.parametrize(
    ("slices", "gap_mm", "lean_mm", "limit_s"),
    [(32, 5.0, 0.0, 2.0), (32, 5.0, 1.5, 2.0), (300, 0.6, 0.0, 6.0), (300, 0.6, 0.2, 6.0)],
    ids=["32-slices", "32-leaning", "300-slices", "300-leaning"],
)
def test_prepare_is_fast_enough(slices, gap_mm, lean_mm, limit_s):
    volume = noisy_head(slices, gap_mm, lean_mm)
    start = time.process_time()

    seen = prepare(volume, PRESETS["fov224"])

    taken_s = time.process_time() - start
    print(f"prepare, {slices} slices: {taken_s:.2f} s (limit {limit_s} s)")
    assert seen.values.any()
    assert not seen.flags
    assert taken_s < limit_s
