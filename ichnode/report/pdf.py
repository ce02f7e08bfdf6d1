"""The first page as a document: one sheet with the picture, for what shows PDF and nothing else of a result.

The file is written here, in six objects: libraries stamp it with the clock or compress the picture with loss.
Source: PS3.3 A.45.1; ISO 32000-1, 7.5 (file structure), 8.9.5 (images).
"""

import zlib
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from ichnode.domain.outputs import ObjectKind
from ichnode.report import codes
from ichnode.report.header import complete
from ichnode.report.inputs import Context
from ichnode.report.uids import digest

POINTS_WIDE: Final = 595.28  # ISO A4: 210 mm in points of 1/72 inch
TITLE: Final = "ICHNODE summary - RESEARCH"


def build_pdf(page: Dataset, sources: Sequence[Dataset], context: Context) -> Dataset:
    """The document of ``page``, a secondary capture of an even number of bytes; ``sources``: what it speaks of."""
    content = sheet(bytes(page.PixelData), int(page.Columns), int(page.Rows))
    document = Dataset()
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = context.uid("pdf", digest(content))
    document.Modality = "DOC"
    complete(document, context, ObjectKind.PDF, number=1)
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "NO"  # no patient data is drawn
    document.SourceInstanceSequence = [_reference(source) for source in sources]
    document.DocumentTitle = TITLE
    document.ConceptNameCodeSequence = [codes.code_item(codes.REPORT_TITLE)]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return document


def sheet(pixels: bytes, columns: int, rows: int) -> bytes:
    """A PDF file of one sheet that is wholly covered by a picture of ``pixels`` (rows, columns, RGB), without loss."""
    high = POINTS_WIDE * rows / columns
    paint = f"q {POINTS_WIDE} 0 0 {high:.2f} 0 0 cm /Page Do Q".encode()
    picture = (
        f"/Type /XObject /Subtype /Image /Width {columns} /Height {rows} "
        "/ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /FlateDecode"
    )
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {POINTS_WIDE} {high:.2f}] /Contents 4 0 R "
                "/Resources << /XObject << /Page 5 0 R >> >> >>"
            ).encode(),
            _stream("", paint),
            _stream(picture, zlib.compress(pixels, 9)),
            f"<< /Title ({TITLE}) >>".encode(),
        ]
    )


def _stream(entries: str, content: bytes) -> bytes:
    return f"<< {entries} /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"


def _file(objects: Sequence[bytes]) -> bytes:
    """Numbered objects, the table of where they begin, and the trailer: the first is the root, the last the title."""
    written, begins = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        begins.append(len(written))
        written += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table, count = len(written), len(objects) + 1
    written += f"xref\n0 {count}\n0000000000 65535 f \n".encode()
    written += b"".join(f"{begin:010} 00000 n \n".encode() for begin in begins)
    written += f"trailer\n<< /Size {count} /Root 1 0 R /Info {count - 1} 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(written)


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = str(source.SOPClassUID), str(source.SOPInstanceUID)
    return item
