"""What the documents tell a reader to type exists, and what they point at is there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from ichnode.cli.main import app
from ichnode.config.config import Config
from ichnode.config.values import section_of
from ichnode.domain.identity import MANUFACTURER

CHECKOUT = Path(__file__).parents[3]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(CHECKOUT)) for page in PAGES]
ROOT = typer.main.get_command(app)


def spoken(text):
    """Every call of ichnode in code, in a block or in a line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for code in [*blocks, *re.findall(r"`(ichnode [^`]+)`", text)]:
        for line in code.splitlines():
            if line.startswith("ichnode ") and not line.startswith(("ichnode VERB", MANUFACTURER)):
                yield shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_call_that_a_page_names_is_one_that_exists(page):
    for words in spoken(page.read_text(encoding="utf-8")):
        group = ROOT
        while words and words[0] in getattr(group, "commands", {}):
            group = group.commands[words.pop(0)]
        known = [option for p in [*group.params, *ROOT.params] for option in [*p.opts, *p.secondary_opts]]
        options = {*known, "--help"}
        assert group is not ROOT or words[0] in options, words
        for word in words:
            assert not word.startswith("--") or word in options, (group.name, word)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_key_that_a_page_names_is_one_of_the_configuration(page):
    for table, key in re.findall(rf"`({'|'.join(Config.model_fields)})\.(\w+)`", page.read_text(encoding="utf-8")):
        assert key in section_of(Config, table).model_fields, f"{table}.{key}"
        assert section_of(Config, table) is not Config


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_toml_of_a_page_is_a_configuration(page):
    """Pieces too: each is put behind the least that a configuration must have."""
    for piece in re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        values = tomllib.loads(piece)
        receive = values.setdefault("receive", {})
        receive.setdefault("peer", [{"ae_title": "*", "network": "0.0.0.0/0"}])
        Config.model_validate(values)


def test_the_picture_of_the_readme_is_small():
    assert (CHECKOUT / "docs/images/result.png").stat().st_size < 300_000
