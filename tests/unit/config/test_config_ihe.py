"""The page on IHE AI Results points at what is there, and says what is not."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs/reference/ihe-ai-results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:ichnode|tests)/[\w/]+\.py)`", PAGE))))
def test_every_file_that_it_names_is_there(path):
    assert (CHECKOUT / path).is_file()


def test_every_requirement_says_how_it_is_met():
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)]
    rows = [row for table in tables for row in table[2:]]
    assert len(rows) > 25
    for row in rows:
        assert re.search(r"\*\*(met|partly|not|none|left)|grouped actors", row), row


def test_commitment_is_not_claimed_while_no_code_asks_for_it():
    asked = any("send_n_action" in path.read_text(encoding="utf-8") for path in (CHECKOUT / "ichnode").rglob("*.py"))
    [row] = [line for line in PAGE.splitlines() if line.startswith("| Storage Commitment")]
    assert ("**not met**" in row) is not asked
