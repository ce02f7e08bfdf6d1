"""All pages of a result as pictures, in their order, whatever objects they are put into."""

from collections.abc import Iterator
from dataclasses import dataclass

from ichnode.domain.values import Findings
from ichnode.report.canvas import Pixels
from ichnode.report.growth_page import growth_page
from ichnode.report.inputs import Source
from ichnode.report.pages import shown_slices, slice_page
from ichnode.report.summary import summary_page


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One page: ``pixels`` (H, W, 3), all pages of one size; ``slice_index`` where it shows one slice in its place."""

    pixels: Pixels
    description: str
    slice_index: int | None = None


def pages_of(source: Source, findings: Findings, node_version: str) -> Iterator[Page]:
    """The summary, the comparison where there is an earlier scan, then a page for each slice that is shown."""
    about = "Summary of an automatic measurement (research)"
    yield Page(pixels=summary_page(source, findings, node_version), description=about)
    if findings.growth is not None:
        pixels = growth_page(source, findings, findings.growth, node_version)
        yield Page(pixels=pixels, description="Comparison with an earlier scan (research)")
    for index in shown_slices(findings):
        pixels = slice_page(source, findings, index, node_version)
        about = "Automatic outline of the hematoma (research)"
        yield Page(pixels=pixels, description=about, slice_index=index)
