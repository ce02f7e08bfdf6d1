"""C-ECHO."""

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import evt

from ichnode.deliver.association import Timeouts
from ichnode.deliver.echo import echo
from ichnode.domain.outputs import Peer

QUICK = Timeouts(connect_s=0.5, acse_s=0.5, dimse_s=0.5, network_s=0.5)


def test_a_peer_that_is_there(start_scp):
    result = echo(start_scp().peer)
    assert (result.ok, result.reason) == (True, "")
    assert 0 < result.seconds < 5


def test_a_peer_that_is_not_there(free_port):
    result = echo(Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS"))
    assert not result.ok
    assert "no connection" in result.reason
    assert "whether the peer runs there" in result.hint


def test_a_peer_that_is_called_by_its_address_is_named_once(start_scp, free_port):
    answers = []
    for port in (free_port, start_scp(ae_title="OTHER").peer.port):
        answers.append(echo(Peer(name=f"127.0.0.1:{port}", host="127.0.0.1", port=port, ae_title="PACS")))
        assert answers[-1].reason.count(f"127.0.0.1:{port}") == 1

    assert [answer.reason.split(" ")[0] for answer in answers] == ["no", f"127.0.0.1:{port}"]
    assert answers[1].hint == "Check the peer's ae_title."


def test_a_peer_that_says_nothing_is_given_up_in_time(silent_peer):
    result = echo(silent_peer, timeouts=QUICK)
    assert not result.ok
    assert 0.5 <= result.seconds < 3


def test_a_peer_that_does_not_echo(start_scp):
    result = echo(start_scp(classes={CTImageStorage: [ExplicitVRLittleEndian]}).peer)
    assert (result.ok, result.reason) == (False, "pacs does not support C-ECHO")


@pytest.mark.parametrize(
    ("on_echo", "sentence"),
    [
        (lambda _: 0x0122, "pacs answered C-ECHO with 0x0122"),
        (lambda event: event.assoc.abort(block=False) or 0, "the peer aborted the association"),
    ],
)
def test_a_peer_that_fails_the_echo(start_scp, on_echo, sentence):
    result = echo(start_scp(handlers=[(evt.EVT_C_ECHO, on_echo)]).peer)
    assert not result.ok
    assert sentence in result.reason
