"""The committed inputs, and those that once broke something, through the targets: without atheris, in seconds."""

from pathlib import Path

import pytest

from tests.fuzz.names import CORPUS, TARGETS, corpus_of, module_of

INPUTS = [(target, path) for target in TARGETS for path in sorted(corpus_of(target).iterdir())]


@pytest.mark.parametrize(("target", "path"), INPUTS, ids=lambda value: getattr(value, "name", value))
def test_an_input_of_the_corpus_breaks_nothing(target: str, path: Path):
    module_of(target).one(path.read_bytes())


def test_the_corpus_stays_small():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]

    assert len(files) < 60
    assert max(path.stat().st_size for path in files) <= 4096
