"""What a compressed frame says of itself, asked before a codec reserves memory for it or fills what is missing."""

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

# Start-of-frame markers of the JPEG family, ITU-T T.81 table B.1 (C4, C8 and CC are none) and of JPEG-LS, T.87 C.1.1
START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
ALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment: TEM, RSTn, SOI, EOI (T.81 B.1.1.3)
JPEG: Final = b"\xff\xd8"
JPEG_2000: Final = b"\xff\x4f\xff\x51"  # SOC and SIZ, which must follow at once, T.800 A.5.1
SIZ_END: Final = 45  # of one component
START_OF_TILE_PART: Final = b"\xff\x90"
END: Final = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What a codestream announces: rows and columns, components of a pixel, bits of a component (the first one's)."""

    matrix: tuple[int, int]
    components: int
    bits: int


def announced(codestream: bytes) -> Announced | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream announces; None where it does not say."""
    if codestream.startswith(JPEG_2000) and len(codestream) >= SIZ_END:
        columns, rows, left, top = struct.unpack(">4I", codestream[8:24])
        components, depth = struct.unpack(">HB", codestream[40:43])
        # The highest bit of the depth tells the sign, T.800 table A.11
        return Announced(matrix=(rows - top, columns - left), components=components, bits=(depth & 0x7F) + 1)
    return _start_of_frame(codestream) if codestream.startswith(JPEG) else None


def is_whole(codestream: bytes) -> bool:
    """Whether a codestream that says its size ends as it must, and has every tile that a JPEG 2000 image is made of.

    Codecs fill what is missing without an error. Behind the end may stand padding: zeros, or FF, as some writers do.
    """
    bare = codestream.rstrip(b"\0\xff")
    return bare.endswith(END) and (not bare.startswith(JPEG_2000) or _has_every_tile(bare))


def _start_of_frame(codestream: bytes) -> Announced | None:
    at = len(JPEG)
    while at + 10 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in START_OF_FRAME:
            _, bits, rows, columns, components = struct.unpack(">HBHHB", codestream[at + 2 : at + 10])
            return Announced(matrix=(rows, columns), components=components, bits=bits)
        if marker == 0xFF:  # any number of these may stand before a marker
            at += 1
        else:
            at += 2 if marker in ALONE else 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return None


def _has_every_tile(codestream: bytes) -> bool:
    """Source: T.800 A.4.2 (SOT), B.3 (the number of tiles)."""
    columns, rows, _, _, width, height, left, top = struct.unpack(">8I", codestream[8:40])
    if not width or not height:
        return False
    seen: Counter[int] = Counter()
    said: Counter[int] = Counter()  # tile-parts of each tile; a tile need not say it in each of its parts, or at all
    at = 2
    while at + 12 <= len(codestream) and codestream[at] == 0xFF:
        if codestream[at : at + 2] == START_OF_TILE_PART:
            tile, length, _, parts = struct.unpack(">HIBB", codestream[at + 4 : at + 12])
            seen[tile] += 1
            said[tile] = max(said[tile], parts)
            length = length or len(codestream) - len(END) - at  # 0: up to the end
        else:
            length = 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
        at += max(length, 2)
    tiles = -(-(columns - left) // width) * -(-(rows - top) // height)
    return codestream[at:] == END and len(seen) == tiles and all(said[tile] in (0, seen[tile]) for tile in seen)
