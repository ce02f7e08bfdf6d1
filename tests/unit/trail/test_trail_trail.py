"""The trail as services use it: it tells what happened, and it stops nobody."""

import threading

import pytest

from ichnode.trail import events, repeats
from ichnode.trail.message import AuditMessage
from ichnode.trail.trail import OFF, Trail
from ichnode.trail.verify import newest, verify
from tests.unit.trail.schema import errors


@pytest.fixture
def alarms():
    return []


@pytest.fixture
def trail(chain, us, alarms):
    return Trail(chain, us, alarm=alarms.append)


def told(chain):
    """What the records tell: event types and descriptions, in their order."""
    found = [r.message.decode() for r in newest(chain.folder, 1000)]
    assert [errors(message) for message in found] == [[]] * len(found)
    return found


def test_a_service_tells_its_start_and_its_stop(chain, trail):
    with trail.of_service():
        pass
    start, stop = told(chain)
    assert "Application Start" in start
    assert "Application Stop" in stop
    assert 'EventOutcomeIndicator="0"' in stop


def test_a_service_that_an_error_ends_tells_so(chain, trail):
    with pytest.raises(KeyError), trail.of_service():
        raise KeyError("x")
    assert 'EventOutcomeIndicator="12"' in told(chain)[1]


def test_a_trail_that_cannot_be_written_stops_nobody_alarms_once_and_tells_later_what_was_lost(
    chain, trail, alarms, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("ichnode.trail.files.os.write", full)
        for _ in range(3):
            trail.write(events.started)
    assert alarms == ["the audit trail cannot be written (OSError): the node goes on without it"]

    trail.write(events.started)

    start, resumed = told(chain)
    assert "Application Start" in start
    assert "3 audit messages of the last 1 min could not be written" in resumed
    assert len(alarms) == 2
    assert verify(chain.folder).is_whole


def test_an_event_that_is_wrong_in_itself_stops_nobody(trail, alarms):
    def wrong(_us) -> AuditMessage:
        raise ZeroDivisionError

    trail.write(wrong)

    assert alarms == ["the audit trail cannot be written (ZeroDivisionError): the node goes on without it"]


def test_a_trail_that_is_switched_off_writes_nothing(tmp_path):
    with OFF.of_service():
        OFF.associated("CT1", "10.0.0.1")
    assert list(tmp_path.iterdir()) == []


def test_a_flood_of_refusals_makes_two_messages_and_tells_their_number(chain, trail):
    with trail.of_service():
        for number in range(500):
            trail.associated(f"TITLE{number}", "10.9.9.9", "not on the list of allowed peers")
        trail.associated("CT1", "10.1.2.3")
    texts = told(chain)
    assert len(texts) == 5  # start, the first refusal, CT1, the number of the others, stop
    assert "association refused: not on the list of allowed peers<" in texts[1]
    assert "(499 of this address)" in texts[3]


def test_after_a_minute_the_next_of_an_address_is_told_again(chain, trail, monkeypatch):
    monkeypatch.setattr(repeats, "REPEATS_S", -1.0)
    for _ in range(3):
        trail.associated("CT1", "10.1.2.3")
    assert len(told(chain)) == 3


def test_threads_of_one_service_write_one_chain(chain, trail):
    threads = [threading.Thread(target=lambda: [trail.write(events.started) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    verdict = verify(chain.folder)
    assert (verdict.is_whole, verdict.records) == (True, 80)
