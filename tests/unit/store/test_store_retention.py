import pytest

from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue import jobs, outbox
from ichnode.queue import series as queue_series
from ichnode.queue.intake import NewInstance, quarantine
from ichnode.queue.retention import known_file
from ichnode.store import retention
from ichnode.store.files import write_durably
from ichnode.store.retention import RetentionLimits, enforce

DAY = 86400.0
KEEP_ALL = {"delivered_s": None, "skipped_s": None, "failed_s": None, "quarantine_s": None, "low_water_bytes": 0}


def limits(**changes):
    return RetentionLimits(**(KEEP_ALL | changes))


@pytest.fixture
def ended(store, db, keep):
    """One series walked to the end of its job at time 0. Returns the paths of its instance and of its output."""

    def _ended(uid, state=JobState.DONE, *, decision=Decision.ANALYSE, is_delivered=True, now=0.0):
        instance = keep(f"{uid}.1", series=uid, now=now)
        (row,) = queue_series.receiving(db)
        queue_series.settle(db, row.id, missing=0, text="complete", now=now)
        queue_series.decide(db, {row.id: (decision, "why")}, now=now)
        lease = jobs.claim(db, owner="test", now=now, lease_s=60, max_attempts=3)
        output = OutputFile(
            kind=ObjectKind.SR,
            number=1,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid=f"{uid}.9",
            series_instance_uid=f"{uid}.8",
            path=store.output_path(f"{uid}.9"),
            sha256="ab",
        )
        write_durably(store.resolve(output.path), b"report")
        route = outbox.Route(destination="PACS", kinds=frozenset(ObjectKind), not_analysed=True)
        jobs.finish(db, lease, state, outputs=[output], routes=[route], reason="", now=now)
        if is_delivered:
            for due in outbox.due(db, "PACS", now=now):
                outbox.sent(db, due.delivery_id, status=0, now=now)
        return store.resolve(instance.path), store.resolve(output.path)

    return _ended


def test_delivered_series_go_when_they_are_old_and_their_rows_stay(store, db, ended):
    image, report = ended("1.2.3")

    assert enforce(store, db, limits(delivered_s=30 * DAY), now=29 * DAY).files == 0
    assert image.exists()

    assert enforce(store, db, limits(delivered_s=30 * DAY), now=31 * DAY).files == 2
    assert not image.exists()
    assert not report.exists()
    assert known_file(db, store.relative(image)).purged


def test_an_image_that_comes_again_after_its_deletion_stays_as_long_as_a_new_one(store, db, ended, keep):
    image, _ = ended("1.2.3")
    month = limits(delivered_s=30 * DAY)
    enforce(store, db, month, now=31 * DAY)

    keep("1.2.3.1", series="1.2.3", now=32 * DAY)

    assert enforce(store, db, month, now=61 * DAY).files == 0
    assert image.exists()
    assert enforce(store, db, month, now=63 * DAY).files == 1
    assert not image.exists()


def test_what_was_not_delivered_is_never_deleted(store, db, ended, monkeypatch):
    image, report = ended("1.2.3", is_delivered=False)
    monkeypatch.setattr(type(store), "free_bytes", lambda _self: 0)
    everything = limits(delivered_s=0, skipped_s=0, failed_s=0, low_water_bytes=1)

    done = enforce(store, db, everything, now=9999 * DAY)

    assert done.files == 0
    assert done.still_low
    assert image.exists()
    assert report.exists()


def test_each_end_has_its_own_limit(store, db, ended):
    failed, _ = ended("1.2.4", JobState.FAILED)
    delivered, _ = ended("1.2.3")

    enforce(store, db, limits(delivered_s=DAY, failed_s=90 * DAY), now=2 * DAY)

    assert failed.exists()
    assert not delivered.exists()


def test_a_low_disk_takes_the_oldest_first_and_stops_when_there_is_room(store, db, ended, monkeypatch):
    old, _ = ended("1.2.3", now=0)
    new, _ = ended("1.2.4", now=DAY)
    monkeypatch.setattr(type(store), "free_bytes", lambda _self: 50 if old.exists() else 150)

    done = enforce(store, db, limits(low_water_bytes=100), now=3 * DAY)

    assert not old.exists()
    assert new.exists()
    assert not done.still_low


def test_a_low_disk_spares_what_has_only_just_ended(store, db, ended, monkeypatch):
    fresh, _ = ended("1.2.3", now=0)
    monkeypatch.setattr(type(store), "free_bytes", lambda _self: 0)

    enforce(store, db, limits(low_water_bytes=100, min_age_s=3600), now=3599)

    assert fresh.exists()


def test_more_than_one_batch_is_deleted_in_one_round(store, db, ended, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    images = [ended(f"1.2.{n}")[0] for n in range(3)]

    enforce(store, db, limits(delivered_s=DAY), now=2 * DAY)

    assert not any(image.exists() for image in images)


def test_quarantine_is_emptied_by_age_only(store, db, keep):
    instance = keep("1.2.3.1", record_it=False)
    quarantine(db, instance, reason="other bytes", now=0)
    assert isinstance(instance, NewInstance)

    enforce(store, db, limits(quarantine_s=90 * DAY, low_water_bytes=1 << 60), now=89 * DAY)
    assert store.resolve(instance.path).exists()

    enforce(store, db, limits(quarantine_s=90 * DAY), now=91 * DAY)
    assert not store.resolve(instance.path).exists()
