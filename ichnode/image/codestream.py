"""What a compressed frame says of its own size: asked before a codec reserves memory for it."""

import struct
from typing import Final

# Start-of-frame markers of the JPEG family, ITU-T T.81 table B.1 (C4, C8 and CC are none) and of JPEG-LS, T.87 C.1.1
START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
ALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment: TEM, RSTn, SOI, EOI (T.81 B.1.1.3)
JPEG: Final = b"\xff\xd8"
JPEG_2000: Final = b"\xff\x4f\xff\x51"  # SOC and SIZ, which must follow at once, T.800 A.5.1


def announced_matrix(codestream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream announces; None where it does not say."""
    if codestream.startswith(JPEG_2000) and len(codestream) >= 24:
        columns, rows, left, top = struct.unpack(">4I", codestream[8:24])
        return rows - top, columns - left
    return _start_of_frame(codestream) if codestream.startswith(JPEG) else None


def _start_of_frame(codestream: bytes) -> tuple[int, int] | None:
    at = len(JPEG)
    while at + 9 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in START_OF_FRAME:
            _, _, rows, columns = struct.unpack(
                ">HBHH", codestream[at + 2 : at + 9]
            )  # length, precision, lines, samples
            return rows, columns
        if marker == 0xFF:  # any number of these may stand before a marker
            at += 1
        else:
            at += 2 if marker in ALONE else 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return None
