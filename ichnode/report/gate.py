"""The gate: every object is written, read back as a receiver would, and judged before it leaves."""

import warnings
from io import BytesIO

from pydicom import dcmread
from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr

from ichnode.domain.errors import IchnodeError
from ichnode.report.rules import RULES, complaints, is_missing
from ichnode.report.stated import python_encodings


class NotConformant(IchnodeError):
    """An object of ours breaks a rule of the standard, or one of ours: it must not leave. A defect of the node."""


def encode(dataset: Dataset) -> bytes:
    """The DICOM file of ``dataset``; the same dataset gives the same bytes."""
    dataset.preamble = b"\x00" * 128
    correct_ambiguous_vr(dataset, True)
    # With these, pydicom writes raw elements as they are: the patient's bytes are the source's, undecoded
    terms = dataset.get("SpecificCharacterSet")
    stated = python_encodings([terms] if isinstance(terms, str) else list(terms)) if terms else default_encoding
    dataset.set_original_encoding(False, True, stated)
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unknown character set is the source's, and kept
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def check(dataset: Dataset) -> None:
    """Raises NotConformant, naming all that is wrong, unless ``dataset`` may leave.

    Patient and study text is not judged: it is the source's, and stays as it is.
    """
    raw = encode(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        received = dcmread(BytesIO(raw))
        sop_class = str(received.get("SOPClassUID"))
        if sop_class not in RULES:
            raise NotConformant(f"The node writes no objects of class {sop_class}.")
        wrong = list(is_missing(received)) or list(complaints(received))
        if not wrong and encode(dcmread(BytesIO(raw))) != raw:
            wrong = ["it is not the same after being read and written again"]
    if wrong:
        raise NotConformant(f"The {received.Modality} must not leave: {'; '.join(wrong)}.")
