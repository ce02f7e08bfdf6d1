"""The place of a picture in the patient, in the form in which DICOM writes it."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from pydicom.valuerep import DSfloat

from ichnode.domain.geometry import Geometry, Vector

SIDES: Final = (("L", "R"), ("P", "A"), ("H", "F"))  # towards + and - of the patient's axes, PS3.3 C.7.6.1.1.1


def decimal(value: float) -> DSfloat:
    """A decimal string of at most 16 characters; a number that came from one becomes the same digits again."""
    return DSfloat(float(value), auto_format=True)


def decimals(values: Iterable[float]) -> list[DSfloat]:
    """One decimal string a value."""
    return [decimal(value) for value in values]


def orientation(geometry: Geometry) -> list[DSfloat]:
    """ImageOrientationPatient of the stack."""
    return decimals([*geometry.row_cosine, *geometry.column_cosine])


def pixel_spacing(geometry: Geometry) -> list[DSfloat]:
    """PixelSpacing of the stack: between rows, between columns."""
    return decimals([geometry.row_spacing_mm, geometry.column_spacing_mm])


def side_of(direction: Vector) -> str:
    """The letter of the patient's side towards which ``direction`` (3,) points most."""
    axis = int(np.abs(direction).argmax())
    return SIDES[axis][0 if direction[axis] > 0 else 1]
