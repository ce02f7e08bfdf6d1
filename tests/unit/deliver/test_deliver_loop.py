"""The outbox emptied into real peers, from a real queue."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from threading import Event

import pytest
from pydicom.uid import SegmentationStorage
from sqlalchemy import select

from ichnode.deliver.association import Timeouts
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.loop import OUTAGE_MAX_S, Deliverer, deliver_due
from ichnode.domain.errors import Retryable
from ichnode.domain.outputs import ObjectKind, Peer
from ichnode.domain.states import DeliveryState
from ichnode.queue import outbox
from ichnode.queue.tables import AUDIT, DELIVERIES, OUTPUTS

DEADLINE_S = 30
QUICK = Timeouts(connect_s=0.5, acse_s=0.5, dimse_s=0.5, network_s=0.5)  # for peers that hang


def _round(db, destination, outputs, now=0.0, stop=None, rng=None):
    return deliver_due(db, destination, outputs, clock=lambda: now, rng=rng or Random(1), stop=stop or Event())


def _states(db, destination="pacs"):
    query = select(OUTPUTS.c.sop_instance_uid, DELIVERIES).join(OUTPUTS).where(DELIVERIES.c.destination == destination)
    with db.read() as connection:
        return {row.sop_instance_uid: row for row in connection.execute(query)}


def _count(db, state, destination="pacs"):
    return sum(row.state == state for row in _states(db, destination).values())


def _until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_studys_objects_go_as_seg_sr_sc_over_one_association(db, outputs, add_result, start_scp, destination):
    scp = start_scp()
    pacs = destination(scp.peer)
    uids = add_result("1.2", pacs)

    turn = _round(db, pacs, outputs)

    assert (turn.tried, turn.not_before) == (3, 0.0)
    assert scp.uids == uids
    assert len(scp.associations) == 1
    assert _count(db, DeliveryState.SENT) == 3
    assert _round(db, pacs, outputs).tried == 0


def test_one_round_takes_one_study(db, outputs, add_result, start_scp, destination):
    scp = start_scp()
    pacs = destination(scp.peer)
    first, second = add_result("1.2", pacs), add_result("1.3", pacs)
    _round(db, pacs, outputs)
    assert scp.uids == first
    _round(db, pacs, outputs)
    assert scp.uids == first + second


def test_each_result_is_recorded_before_the_next_object_goes(db, outputs, add_result, start_scp, destination):
    seen = []
    scp = start_scp(lambda _: seen.append(_count(db, DeliveryState.SENT)) or 0)
    pacs = destination(scp.peer)
    add_result("1.2", pacs)
    _round(db, pacs, outputs)
    assert seen == [0, 1, 2]


def test_a_warning_is_sent_and_its_status_is_kept(db, outputs, add_result, start_scp, destination):
    pacs = destination(start_scp(lambda _: 0xB006).peer)
    add_result("1.2", pacs)
    _round(db, pacs, outputs)
    assert {(row.state, row.status) for row in _states(db).values()} == {(DeliveryState.SENT, 0xB006)}


def test_what_is_refused_for_now_waits_and_holds_back_what_comes_after_it(
    db, outputs, add_result, start_scp, destination
):
    scp = start_scp(lambda _: 0xA700)
    pacs = destination(scp.peer)
    seg, *rest = add_result("1.2", pacs)

    turn = _round(db, pacs, outputs)

    assert scp.uids == [seg]
    assert turn.not_before == 0.0, "the destination is well: only this object waits"
    row = _states(db)[seg]
    assert (row.state, row.status, row.attempts) == (DeliveryState.PENDING, 0xA700, 1)
    assert row.reason == "0xA700: refused, out of resources"
    assert 0 < row.next_at <= 60
    assert _round(db, pacs, outputs, now=0).tried == 0
    assert all(_states(db)[uid].attempts == 0 for uid in rest)


def test_a_study_that_the_peer_chokes_on_does_not_keep_the_next_one_waiting(
    db, outputs, add_result, start_scp, destination
):
    def choke(event):
        if event.request.AffectedSOPInstanceUID.startswith("1.2."):
            event.assoc.abort(block=False)
        return 0x0000

    pacs = destination(start_scp(choke).peer)
    add_result("1.2", pacs)
    second = add_result("1.3", pacs)
    assert _round(db, pacs, outputs).not_before == 0.0
    _round(db, pacs, outputs)
    assert all(_states(db)[uid].state == DeliveryState.SENT for uid in second)


def test_a_permanent_refusal_is_dead_and_an_alarm_and_the_rest_goes(db, outputs, add_result, start_scp, destination):
    scp = start_scp(lambda event: 0xC000 if event.request.AffectedSOPClassUID == SegmentationStorage else 0)
    pacs = destination(scp.peer)
    seg, sr, sc = add_result("1.2", pacs)
    _round(db, pacs, outputs)
    states = _states(db)
    assert [states[uid].state for uid in (seg, sr, sc)] == [DeliveryState.DEAD, DeliveryState.SENT, DeliveryState.SENT]
    with db.read() as connection:
        assert connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars().all() == [states[seg].reason]


def test_in_an_outage_one_object_is_tried_and_the_destination_waits(db, outputs, add_result, free_port, destination):
    pacs = destination(Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS"))
    seg, *rest = add_result("1.2", pacs)

    turn = _round(db, pacs, outputs, now=1000.0)

    assert 1000 < turn.not_before <= 1060
    row = _states(db)[seg]
    assert (row.next_at, row.attempts, row.state) == (turn.not_before, 1, DeliveryState.PENDING)
    assert "no connection" in row.reason
    assert all(_states(db)[uid].attempts == 0 for uid in rest)


def test_a_long_outage_is_probed_every_few_minutes(db, outputs, add_result, free_port, destination):
    pacs = destination(Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS"))
    add_result("1.2", pacs)
    now = 0.0
    waits = []
    rng = Random(1)
    for _ in range(12):
        turn = _round(db, pacs, outputs, now=now, rng=rng)
        waits.append(turn.not_before - now)
        now = turn.not_before
    assert max(waits) <= OUTAGE_MAX_S
    assert max(waits[4:]) > 60


def test_a_rejected_ae_title_is_retried_and_never_dead(db, outputs, add_result, start_scp, destination):
    pacs = destination(start_scp(ae_title="OTHER").peer)
    seg, *_ = add_result("1.2", pacs)
    for attempt in range(3):
        _round(db, pacs, outputs, now=1000.0 * attempt)
    row = _states(db)[seg]
    assert (row.state, row.attempts) == (DeliveryState.PENDING, 3)
    assert "called AE title PACS" in row.reason


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "the file is gone"),
        (lambda path: path.write_bytes(b"x"), "the file is not the one that was checked: its digest differs"),
    ],
)
def test_a_lost_or_altered_file_is_dead_and_the_rest_goes(
    db, outputs, add_result, start_scp, destination, spoil, reason
):
    scp = start_scp()
    pacs = destination(scp.peer)
    seg, sr, sc = add_result("1.2", pacs)
    spoil(outputs / f"{seg}.dcm")
    _round(db, pacs, outputs)
    assert (_states(db)[seg].state, _states(db)[seg].reason) == (DeliveryState.DEAD, reason)
    assert scp.uids == [sr, sc]
    assert _round(db, pacs, outputs).tried == 0


def test_a_missing_outputs_folder_kills_no_delivery(db, outputs, add_result, start_scp, destination):
    pacs = destination(start_scp().peer)
    add_result("1.2", pacs)
    outputs.rename(outputs.with_name("unmounted"))
    with pytest.raises(Retryable, match="not there"):
        _round(db, pacs, outputs)
    assert _count(db, DeliveryState.PENDING) == 3


def test_at_a_stop_the_object_in_hand_is_finished_and_no_other_begun(db, outputs, add_result, start_scp, destination):
    stop = Event()
    scp = start_scp(lambda _: stop.set() or 0)
    pacs = destination(scp.peer)
    seg, *rest = add_result("1.2", pacs)
    _round(db, pacs, outputs, stop=stop)
    assert scp.uids == [seg]
    assert _states(db)[seg].state == DeliveryState.SENT
    assert all(_states(db)[uid].state == DeliveryState.PENDING for uid in rest)


def test_the_log_names_ids_only(db, outputs, add_result, start_scp, destination, caplog):
    caplog.set_level(logging.INFO, logger="ichnode")
    pacs = destination(start_scp().peer)
    add_result("1.2", pacs)
    _round(db, pacs, outputs)
    lines = [r for r in caplog.records if r.name.startswith("ichnode.deliver")]
    assert [(r.action, r.destination, r.delivery) for r in lines] == [("sent", "pacs", n) for n in (3, 2, 1)]
    assert "Doe" not in caplog.text


def test_a_dead_destination_does_not_delay_another(db, outputs, add_result, start_scp, silent_peer, destination):
    scp = start_scp()
    pacs, silent = destination(scp.peer), destination(silent_peer, objects=frozenset({ObjectKind.SR}), timeouts=QUICK)
    uids = add_result("1.2", pacs, silent)
    deliverer = Deliverer(db, [silent, pacs], outputs, poll_s=0.05)
    deliverer.start()
    try:
        _until(lambda: _count(db, DeliveryState.SENT) == 3)
        _until(lambda: [row.attempts for row in _states(db, "silent").values()] == [1])
        assert deliverer.alive
    finally:
        assert deliverer.stop(5)
    assert scp.uids == uids


def test_deliveries_go_once_the_peer_is_back(db, outputs, add_result, start_scp, free_port, destination):
    peer = Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS")
    pacs = destination(peer, backoff=Backoff(first_s=0.05, max_s=0.2))
    deliverer = Deliverer(db, [pacs], outputs, poll_s=0.05)
    deliverer.start()
    try:
        uids = add_result("1.2", pacs)  # while the loop runs: it must notice
        _until(lambda: max(row.attempts for row in _states(db).values()) >= 3)
        scp = start_scp(port=free_port)
        _until(lambda: _count(db, DeliveryState.SENT) == 3)
    finally:
        assert deliverer.stop(5)
    assert scp.uids == uids


def test_an_error_of_our_own_does_not_end_the_thread(
    db, outputs, add_result, start_scp, destination, monkeypatch, caplog
):
    monkeypatch.setattr("ichnode.deliver.loop.ERROR_PAUSE_S", 0.05)
    pacs = destination(start_scp().peer)
    add_result("1.2", pacs)
    outputs.rename(outputs.with_name("unmounted"))
    deliverer = Deliverer(db, [pacs], outputs, poll_s=0.05)
    deliverer.start()
    try:
        _until(lambda: "The outputs folder" in caplog.text)
        outputs.with_name("unmounted").rename(outputs)
        _until(lambda: _count(db, DeliveryState.SENT) == 3)
    finally:
        assert deliverer.stop(5)


KILLED = """
import sys
from pathlib import Path
from random import Random
from threading import Event
from ichnode.deliver.loop import Destination, deliver_due
from ichnode.domain.outputs import Peer
from ichnode.queue.database import open_database

path, outputs, port = sys.argv[1:]
pacs = Destination(peer=Peer(name="pacs", host="127.0.0.1", port=int(port), ae_title="PACS"))
deliver_due(open_database(Path(path)), pacs, Path(outputs), clock=lambda: 0.0, rng=Random(1), stop=Event())
"""


def test_after_kill_9_the_object_in_hand_goes_again_with_the_same_uid(
    db, outputs, add_result, start_scp, destination, tmp_path
):
    victim = []

    def kill_at_second(event):
        if victim and event.request.AffectedSOPInstanceUID.endswith(".1"):
            os.kill(victim.pop().pid, signal.SIGKILL)
        return 0x0000

    scp = start_scp(kill_at_second)
    pacs = destination(scp.peer)
    seg, sr, sc = add_result("1.2", pacs)
    command = [sys.executable, "-c", KILLED, tmp_path / "queue.sqlite", outputs, str(scp.peer.port)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(root)}) as process:
        victim.append(process)
        assert process.wait(60) == -signal.SIGKILL
    assert _states(db)[seg].state == DeliveryState.SENT
    assert _states(db)[sr].state == DeliveryState.PENDING

    _round(db, pacs, outputs)

    assert scp.uids == [seg, sr, sr, sc]
    assert _count(db, DeliveryState.SENT) == 3


def test_what_a_person_asks_for_again_goes_again(db, outputs, add_result, start_scp, destination):
    scp = start_scp()
    pacs = destination(scp.peer)
    uids = add_result("1.2", pacs)
    _round(db, pacs, outputs)
    assert outbox.resend(db, job_ids=[1], destination="pacs", now=1) == 3
    _round(db, pacs, outputs, now=1)
    assert scp.uids == uids * 2
