"""The chain: what is written stays, and what is done to it is seen and said."""

import hashlib
import multiprocessing
import os
import stat

import pytest

from ichnode.trail import files
from ichnode.trail.records import parse
from ichnode.trail.verify import verify
from tests.unit.trail.schema import errors

WRITERS, EACH = 4, 25


def message(text):
    return f"<AuditMessage>{text}</AuditMessage>"


def fill(chain, count):
    for number in range(1, count + 1):
        chain.append(message(number))


def lines(chain):
    return chain.folder.current.read_bytes().splitlines(keepends=True)


def put(chain, changed):
    chain.folder.current.write_bytes(b"".join(changed))


def faults(chain, **options):
    return [f"{f.file}:{f.line} {f.text}" for f in verify(chain.folder, **options).faults]


def test_what_is_appended_is_whole(chain):
    fill(chain, 5)

    verdict = verify(chain.folder)

    assert (verdict.is_whole, verdict.records, verdict.notes) == (True, 5, ())
    assert verdict.head.number == 5


def test_nobody_else_may_read_it(chain):
    fill(chain, 1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in chain.folder.root.iterdir()}
    assert modes == {"trail.log": 0o600, "trail.head": 0o600, "trail.lock": 0o600}
    assert stat.S_IMODE(chain.folder.root.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_what_root_writes_stays_the_services(chain):
    os.chown(chain.folder.root.parent, 65534, 65534)
    fill(chain, 1)
    owners = {path.stat().st_uid for path in [chain.folder.root, *chain.folder.root.iterdir()]}
    assert owners == {65534}


def test_a_changed_record_is_found(chain):
    fill(chain, 5)
    put(chain, [line.replace(b">3<", b">9<") for line in lines(chain)])
    assert faults(chain) == ["trail.log:3 record 3 was changed: it does not fit its hash"]


def test_a_record_that_was_replaced_with_a_hash_that_fits_is_found_by_the_next(chain):
    fill(chain, 5)
    changed = lines(chain)
    old = parse(changed[2].strip())
    text = old.message.replace(b">3<", b">9<")
    sha256 = hashlib.sha256(b"3 %s %s" % (old.previous.encode(), text)).hexdigest()
    changed[2] = b"3 %s %s %s\n" % (old.previous.encode(), sha256.encode(), text)
    put(chain, changed)
    assert faults(chain) == ["trail.log:4 record 4 does not follow record 3: one of them was replaced"]


def test_a_deleted_record_is_found(chain):
    fill(chain, 5)
    put(chain, [line for line in lines(chain) if b">3<" not in line])
    assert faults(chain) == ["trail.log:3 record 3 is missing before record 4"]


def test_records_in_another_order_are_found(chain):
    fill(chain, 5)
    one, two, three, four, five = lines(chain)
    put(chain, [one, two, four, three, five])
    assert faults(chain) == [
        "trail.log:3 record 3 is missing before record 4",
        "trail.log:4 record 3 stands after record 4: moved",
    ]


def test_a_record_that_stands_twice_is_found(chain):
    fill(chain, 3)
    one, two, three = lines(chain)
    put(chain, [one, two, two, three])
    assert faults(chain) == ["trail.log:3 record 2 stands after record 2: a copy"]


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_an_end_that_was_cut_off_is_found_by_the_head(chain, cut):
    fill(chain, 5)
    put(chain, lines(chain)[: 5 - cut])
    [fault] = faults(chain)
    assert fault.endswith(f"records {6 - cut} to 5 are missing at the end")


def test_a_file_that_is_gone_is_found_by_the_head(chain):
    fill(chain, 2)
    chain.folder.current.unlink()
    assert faults(chain) == ["trail.log:0 records 1 to 2 are missing at the end"]


def test_an_end_that_was_replaced_is_found_by_the_head(chain, tmp_path):
    fill(chain, 3)
    two = b"".join(lines(chain)[:2])
    put(chain, [two])
    chain.folder.root.joinpath("trail.head").rename(tmp_path / "head")
    chain.append(message("forged"))
    (tmp_path / "head").rename(chain.folder.root / "trail.head")
    assert faults(chain) == ["trail.log:0 record 3 is not the one that was written: trail.head has another hash"]


def test_without_its_head_the_chain_is_not_called_whole(chain):
    fill(chain, 2)
    (chain.folder.root / "trail.head").unlink()
    assert faults(chain) == ["trail.head:0 is missing: a cut-off end could not be seen"]


def test_a_line_put_in_between_is_found(chain):
    fill(chain, 3)
    one, *rest = lines(chain)
    put(chain, [one, b"nothing\n", *rest])
    assert faults(chain) == ["trail.log:2 no record, and none that explains it"]


def test_a_chain_forged_from_its_beginning_is_found_by_a_head_noted_elsewhere(chain):
    fill(chain, 3)
    noted = verify(chain.folder).head
    for path in chain.folder.root.iterdir():
        path.unlink()
    for text in ("one", "two", "three", "four"):
        chain.append(message(text))
    assert faults(chain) == []  # the docs say so
    known = {noted.number: noted.sha256}
    assert faults(chain, known=known) == ["trail.log:3 record 3 is not the one whose hash was noted"]
    assert faults(chain, known={9: noted.sha256}) == ["trail.log:0 record 9, whose hash was noted, is missing"]


def test_after_a_cut_off_end_the_next_record_says_so_and_the_gap_stays_visible(chain):
    fill(chain, 5)
    put(chain, lines(chain)[:3])

    chain.append(message("next"))

    told = parse(lines(chain)[3].strip())
    assert b"records 4 to 5 are missing at the end" in told.message
    assert b"TRAIL_DAMAGED" in told.message
    assert errors(told.message) == []
    assert faults(chain) == ["trail.log:4 records 4 to 5 are missing before record 6"]


def test_after_a_changed_end_the_next_record_says_so(chain):
    fill(chain, 3)
    put(chain, [line.replace(b">3<", b">9<") for line in lines(chain)])
    chain.append(message("next"))
    assert b"record 3 does not fit its hash" in lines(chain)[3]
    assert faults(chain) == ["trail.log:3 record 3 was changed: it does not fit its hash"]


@pytest.mark.parametrize("kept", [1, 40, 150])
def test_a_record_cut_off_by_a_power_cut_stays_and_is_explained_by_the_next(chain, kept):
    fill(chain, 2)
    head = (chain.folder.root / "trail.head").read_bytes()
    chain.append(message("cut" * 30))
    (chain.folder.root / "trail.head").write_bytes(head)  # it is noted after the record only
    *whole, cut = lines(chain)
    put(chain, [*whole, cut[:kept]])
    assert verify(chain.folder).is_whole
    assert "was cut off" not in chain.folder.current.read_text()

    chain.append(message("next"))

    verdict = verify(chain.folder)
    assert verdict.is_whole
    assert [(n.line, n.text) for n in verdict.notes] == [
        (3, "a record cut off while it was written, as record 3 tells")
    ]
    assert cut[:kept] in chain.folder.current.read_bytes()
    assert (verdict.records, verdict.head.number) == (4, 4)


def test_a_record_whose_line_feed_alone_is_missing_is_whole(chain):
    fill(chain, 2)
    chain.folder.current.write_bytes(chain.folder.current.read_bytes()[:-1])
    chain.append(message(3))
    verdict = verify(chain.folder)
    assert (verdict.is_whole, verdict.records, verdict.notes) == (True, 3, ())


def test_two_cuts_one_after_the_other_are_both_explained(chain):
    fill(chain, 2)
    with chain.folder.current.open("ab") as file:
        file.write(b"3 abc\n3 de")
    chain.append(message("next"))
    verdict = verify(chain.folder)
    assert verdict.is_whole
    assert len(verdict.notes) == 2


def test_a_full_disk_leaves_nothing_half_written(chain, monkeypatch):
    fill(chain, 2)
    before = chain.folder.current.read_bytes()
    real = os.write

    def full(handle, data):
        if len(data) > 50:
            return real(handle, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        chain.append(message("x" * 100))
    monkeypatch.undo()

    assert chain.folder.current.read_bytes() == before
    fill(chain, 1)
    assert verify(chain.folder).is_whole


def test_a_file_that_is_full_is_closed_and_the_chain_goes_on(make_chain):
    chain = make_chain(max_bytes=1000)
    fill(chain, 30)

    assert len(chain.folder.segments()) > 3
    assert all(path.stat().st_size <= 1000 for path in chain.folder.segments())
    verdict = verify(chain.folder)
    assert (verdict.is_whole, verdict.records) == (True, 30)

    chain.folder.segments()[1].unlink()
    assert len(faults(chain)) == 1


def test_what_is_archived_is_known_by_its_first_record(make_chain):
    chain = make_chain(max_bytes=1000)
    fill(chain, 30)
    oldest, second, *_ = chain.folder.segments()
    oldest.unlink()
    first = int(second.stem.split("-")[1])

    assert faults(chain) == [f"{second.name}:1 records 1 to {first - 1} are missing before record {first}"]
    assert faults(chain, first=first) == []


def _write(chain, name, count=EACH):
    for number in range(count):
        chain.append(message(f"{name} {number}"))


def test_several_processes_write_one_chain(make_chain):
    chain = make_chain(max_bytes=8000)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(chain, name)) for name in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    verdict = verify(chain.folder)

    assert (verdict.is_whole, verdict.records) == (True, WRITERS * EACH)


def test_a_writer_killed_at_any_moment_leaves_a_chain_that_goes_on(make_chain):
    chain = make_chain()
    fork = multiprocessing.get_context("fork")
    for n in range(10):
        writer = fork.Process(target=_write, args=(chain, n, 10_000))
        writer.start()
        deadline = verify_count(chain) + 1 + n
        while writer.is_alive() and verify_count(chain) < deadline:
            writer.join(0.001)
        writer.kill()
        writer.join(10)
        chain.append(message("next"))
        assert verify(chain.folder).is_whole


def verify_count(chain):
    return chain.folder.current.read_bytes().count(b"\n") if chain.folder.current.exists() else 0


def test_a_process_that_holds_the_lock_does_not_hold_up_the_others(chain, monkeypatch):
    monkeypatch.setattr(files, "LOCK_LIMIT_S", 0.05)
    with chain.folder.locked(), pytest.raises(TimeoutError):
        chain.append(message("late"))
