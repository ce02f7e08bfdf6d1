"""What is known of the lesions of a phantom, as plain values that go into JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

Evidence = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerTruth:
    """One marker of design/model.md in this phantom.

    ``present``: by the marker's rule the haematoma has it, since it was planted at a strength of at least 1 or because
    the markers in ``implied_by`` bring it along. ``strength``: multiple of the rule's threshold, None if not planted.
    """

    present: bool
    planted: bool
    strength: float | None
    implied_by: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()  # one entry a pocket, focus, level ...: positions (head mm), HU, sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """The lesions of one head; lengths mm, positions in head coordinates (LPS), ``volume_ml`` 0 without a bleed."""

    volume_ml: float = 0.0
    main_ml: float = 0.0  # without the separate foci
    site: str | None = None
    side: str | None = None  # "left", "right", "middle"
    centre_mm: tuple[float, float, float] | None = None
    largest_slice_z_mm: float | None = None
    blood_hu: float | None = None
    brain_hu: float | None = None  # median of the brain on the other side, before noise
    oedema_mm: float | None = None
    push_mm: float | None = None
    defects_mm: tuple[float, ...] = ()  # the deepest convexity defects of the largest slice
    markers: dict[str, MarkerTruth] = field(default_factory=dict)
    distractors: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same as dictionaries, lists and numbers."""
        return asdict(self)
