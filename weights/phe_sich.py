"""The shared cohort as a cohort folder: `python weights/phe_sich.py --data ../shared/data --out DIR`.

PHE-SICH-CT-IDS: 93 patients with spontaneous intracerebral haemorrhage, by the splits of its manifest. The images stay
where they are; the folder holds their paths and the card.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from ichnode.cohort.table import Card, Case, write_cohort

CARD = Card(
    name="phe-sich",
    description="Plain head CT of patients with spontaneous intracerebral haemorrhage, slices of 5 mm. HU clipped "
    "to [-20, 100]; in-plane spacing is the cohort's median (an error of scale up to about 15 %). Bleed masks by "
    "threshold inside the experts' boxes, not drawn. No outcome, no onset.",
    source="PHE-SICH-CT-IDS, data doi 10.6084/m9.figshare.23957937",
    licence="CC BY 4.0 as recorded, non-commercial by its abstract: research use with attribution",
    citation="Ma et al., Comput. Biol. Med. 2024, doi 10.1016/j.compbiomed.2024.108342",
    clipped_hu=(-20, 100),
    shareable=False,
)


def cases_of(folder: Path) -> Iterator[Case]:
    """The cases of the manifest in ``folder`` (.../phe-sich), in its order. One case is one patient."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for split in ("train", "val"):
        for row in manifest[split]:
            name = row["id"]
            ct, mask = (folder / split / f"{name}_{kind}.nii.bz2" for kind in ("ct", "bleed"))
            yield Case(name=name, patient=name, split=split, ct=ct, mask=mask)


def main() -> None:
    """Read the arguments and write cohort.csv and cohort.toml to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder that holds phe-sich")
    parser.add_argument("--out", type=Path, required=True, help="the cohort's folder; made if it is not there")
    args = parser.parse_args()
    cases = list(cases_of(args.data / "phe-sich"))
    write_cohort(args.out, CARD, cases)
    print(f"{args.out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
