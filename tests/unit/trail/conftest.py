"""A chain in a folder of its own, and the process that writes it."""

import pytest

from ichnode.trail import events
from ichnode.trail.chain import Chain
from ichnode.trail.events import Us
from ichnode.trail.files import TrailFolder
from ichnode.trail.message import Source, to_xml

SOURCE = Source(identifier="ICHNODE", site="ward 3")


@pytest.fixture
def us():
    def patient_of(_study):
        return "key:0123456789abcdef"

    return Us(source=SOURCE, service="receive", ae_title="ICHNODE", patient_of=patient_of, clock=lambda: 1795305600.5)


@pytest.fixture
def make_chain(tmp_path, us):
    def make(max_bytes=1 << 20):
        def explain(text):
            return to_xml(events.damaged(us, text), SOURCE)

        return Chain(folder=TrailFolder(root=tmp_path / "audit"), max_bytes=max_bytes, explain=explain)

    return make


@pytest.fixture
def chain(make_chain):
    return make_chain()
