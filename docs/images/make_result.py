"""Remake the picture of the README, after the weights or the pages have changed:

ichnode analyse ichnode/demo/head-ct --out OUT && python docs/images/make_result.py OUT

It shows what the node drew of the head that ships (BSD-2-Clause), in which a synthetic bleed was placed: the summary,
and the page of the slice where the placed bleed is largest.
"""

import json
import sys
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmread

HERE = Path(__file__).parent
TRUTH = json.loads((HERE.parents[1] / "ichnode/demo/truth.json").read_text(encoding="utf-8"))
COLOURS = 96  # grey, the banner's yellow, the contour's red: a palette keeps the file small


def main(folder: Path) -> None:
    """Writes result.png from the secondary captures in ``folder``."""
    found = [dcmread(path) for path in folder.rglob("*.dcm")]
    pages = sorted((one for one in found if one.Modality == "OT"), key=lambda one: int(one.InstanceNumber))
    shown = [pages[0], max(pages[1:], key=placed_voxels)]
    picture = Image.new("RGB", (sum(page.Columns for page in shown), shown[0].Rows))
    for index, page in enumerate(shown):
        picture.paste(Image.fromarray(page.pixel_array), (index * page.Columns, 0))
    picture.quantize(COLOURS).save(HERE / "result.png", optimize=True)


def placed_voxels(page: Dataset) -> int:
    """How much of the placed bleed lies on the slice of a page."""
    return int(TRUTH["voxels_by_slice"].get(page.SourceImageSequence[0].ReferencedSOPInstanceUID, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
