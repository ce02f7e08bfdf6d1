"""PACS that misbehave, each on purpose: what becomes of their objects, and that nobody waits for them.

The deliverer, its threads, its queue and its files are the real ones; the PACS are pynetdicom SCPs (or bare sockets)
that break as told here.
"""

import time
from collections.abc import Callable
from contextlib import closing
from random import Random
from threading import Event

import pytest
from pynetdicom import evt
from sqlalchemy import select

from ichnode.deliver.association import Timeouts
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.destination import OUTAGE_MAX_S
from ichnode.deliver.loop import Deliverer, deliver_due
from ichnode.domain.outputs import Peer
from ichnode.domain.states import DeliveryState
from ichnode.queue import outbox
from ichnode.queue.tables import AUDIT, DELIVERIES
from tests.faults.slow_line import Relay
from tests.peers.tools import wait_until

HOUR_S, HOURS = 3600.0, 3
HASTY = Timeouts(connect_s=2, acse_s=2, dimse_s=2, network_s=2)
STUDIES = 3
OBJECTS = 3 * STUDIES
SOON = Backoff(first_s=0.2, max_s=0.5)


class Wall:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Tally:
    """A PACS's associations, to break the n-th object of each."""

    def __init__(self) -> None:
        self._taken: dict[object, int] = {}

    def cut_after(self, n: int) -> Callable[[evt.Event], int]:
        def answer(event: evt.Event) -> int:
            taken = self._taken[event.assoc] = self._taken.get(event.assoc, 0) + 1
            if taken > n:
                event.assoc.dul.socket.close()
            return 0x0000

        return answer


def rows(db, name):
    query = select(DELIVERIES).where(DELIVERIES.c.destination == name)
    with db.read() as connection:
        return connection.execute(query).all()


def states(db, name) -> set[str]:
    return {row.state for row in rows(db, name)}


def tried(db, name) -> int:
    return max(row.attempts for row in rows(db, name))


def test_each_misbehaving_pacs_has_its_outcome_and_the_sound_one_is_served_at_once(
    db, outputs, add_result, start_scp, silent_peer, destination
):
    """Eight destinations of one deliverer, three studies for each."""
    never = Event()
    peers = {
        "sound": start_scp(name="sound").peer,
        "warns": start_scp(lambda _: 0xB007, name="warns").peer,
        "full": start_scp(lambda _: 0xA700, name="full").peer,
        "refuses": start_scp(lambda _: 0xC000, name="refuses").peer,
        "stranger": start_scp(name="stranger", setup=lambda ae: setattr(ae, "require_calling_aet", ["ELSE"])).peer,
        "cuts": start_scp(Tally().cut_after(2), name="cuts").peer,
        "mute": start_scp(lambda _: never.wait(60) or 0, name="mute").peer,
        "silent": silent_peer,
    }
    with closing(Relay(start_scp(name="slow").peer.port, bytes_per_s=1000)) as line:
        peers["slow"] = Peer(name="slow", host="127.0.0.1", port=line.port, ae_title="PACS")
        limits = {"silent": HASTY, "mute": HASTY}
        to = [
            destination(peer, backoff=SOON, timeouts=limits.get(name, Timeouts(dimse_s=30, network_s=30)))
            for name, peer in peers.items()
        ]
        for study in range(STUDIES):
            add_result(f"1.{study + 2}", *to)
        deliverer = Deliverer(db, to, outputs, poll_s=0.05)
        begun = time.monotonic()
        deliverer.start()
        try:
            wait_until(lambda: states(db, "sound") == {DeliveryState.SENT}, "the sound one has it all")
            took_s = time.monotonic() - begun
            wait_until(lambda: states(db, "warns") == {DeliveryState.SENT}, "so has the one that warns")
            wait_until(lambda: states(db, "refuses") == {DeliveryState.DEAD}, "0xC000 is final")
            wait_until(lambda: states(db, "cuts") == {DeliveryState.SENT}, "the one that cuts gets the rest later")
            wait_until(lambda: states(db, "slow") == {DeliveryState.SENT}, "the slow one gets all in its time")
            for name in ("full", "stranger", "mute", "silent"):
                wait_until(lambda name=name: tried(db, name) >= 2, f"{name} is tried again")
                assert states(db, name) == {DeliveryState.PENDING}
            assert deliverer.alive
        finally:
            never.set()
            assert deliverer.stop(30)
    print(f"{OBJECTS} objects at the sound PACS after {took_s:.1f} s beside eight that misbehave")
    assert took_s < 20  # a single time-out of a neighbour alone is 30 s at its default
    assert {row.status for row in rows(db, "warns")} == {0xB007}
    reasons = {name: " ".join({row.reason for row in rows(db, name)}) for name in peers}
    assert "out of resources" in reasons["full"]
    assert "register it there" in reasons["stranger"]
    assert "did not answer the association request" in reasons["silent"]
    assert "did not answer in time" in reasons["mute"]
    with db.read() as connection:
        alarms = connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars().all()
    assert len(alarms) == OBJECTS  # those that are dead
    assert all("cannot understand" in text for text in alarms)


def test_a_pacs_that_is_down_for_hours_is_probed_and_gets_everything_once_it_is_up(
    db, outputs, add_result, start_scp, free_port, destination
):
    """The clock is advanced, not waited for."""
    down = destination(Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS"))
    for study in range(STUDIES):
        add_result(f"1.{study + 2}", down)
    wall, tries, failed_at = Wall(), 0, 0.0
    while wall.now < HOURS * HOUR_S:
        turn = deliver_due(db, down, outputs, clock=wall, rng=Random(wall.now), stop=Event())
        tries, failed_at = tries + 1, wall.now
        wall.now = max(turn.not_before, outbox.next_due_at(db, "pacs"))

    assert states(db, "pacs") == {DeliveryState.PENDING}
    assert HOURS * HOUR_S / OUTAGE_MAX_S <= tries < HOURS * 60  # every few minutes, and less than once a minute

    scp = start_scp(port=free_port)
    wall.now = up_at = failed_at + 1  # the worst moment: it has just been tried
    while DeliveryState.PENDING in states(db, "pacs") and wall.now < up_at + HOUR_S:
        turn = deliver_due(db, down, outputs, clock=wall, rng=Random(5), stop=Event())
        wall.now += 0 if turn.tried else 1

    assert states(db, "pacs") == {DeliveryState.SENT}
    assert len(scp.uids) == len(set(scp.uids)) == OBJECTS
    waited_s = wall.now - up_at
    print(f"{tries} tries in {HOURS} h of outage; all {OBJECTS} objects there {waited_s:.0f} s after it came back")
    assert waited_s <= OUTAGE_MAX_S


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0213])
def test_what_a_pacs_refuses_for_now_goes_when_it_takes_it(db, outputs, add_result, start_scp, destination, status):
    answers = [status] * 4
    scp = start_scp(lambda _: answers.pop() if answers else 0x0000)
    to = destination(scp.peer)
    uids = add_result("1.2", to)
    wall = Wall()
    while DeliveryState.PENDING in states(db, "pacs") and wall.now < 24 * HOUR_S:
        deliver_due(db, to, outputs, clock=wall, rng=Random(3), stop=Event())
        wall.now += 60

    assert states(db, "pacs") == {DeliveryState.SENT}
    assert set(scp.uids) == set(uids)


def test_a_clock_that_is_set_back_by_a_day_does_not_hold_up_what_was_refused(
    db, outputs, add_result, start_scp, destination
):
    answers = [0xA700]
    to = destination(start_scp(lambda _: answers.pop() if answers else 0x0000).peer)
    day_s = 24 * HOUR_S
    add_result("1.2", to)
    deliver_due(db, to, outputs, clock=lambda: day_s, rng=Random(3), stop=Event())
    assert DeliveryState.PENDING in states(db, "pacs")

    deliver_due(db, to, outputs, clock=lambda: 10.0, rng=Random(3), stop=Event())

    assert states(db, "pacs") == {DeliveryState.SENT}
