from pathlib import Path

import pytest

from ichnode.domain.facts import InstanceFacts
from ichnode.queue.database import open_database
from ichnode.queue.intake import NewInstance, record
from ichnode.store.files import sha256_of, write_durably
from ichnode.store.layout import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(root=tmp_path / "store")
    store.make_folders()
    return store


@pytest.fixture
def db(tmp_path):
    database = open_database(tmp_path / "queue.sqlite")
    yield database
    database.close()


@pytest.fixture
def keep(store, db):
    """Writes one instance and records it, as the receiver does. Returns its row."""

    def _keep(uid: str, *, series: str = "1.2.3", content: bytes = b"slice", now: float = 0, record_it: bool = True):
        sha256 = sha256_of(uid.encode(), content)
        instance = NewInstance(
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            study_instance_uid="1.2",
            series_instance_uid=series,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            sha256=sha256,
            size_bytes=len(content),
            path=store.instance_path(uid, sha256),
            calling_ae="MODALITY",
            address="127.0.0.1",
            facts=InstanceFacts(modality="CT"),
        )
        write_durably(store.resolve(instance.path), content)
        if record_it:
            record(db, instance, now=now)
        return instance

    return _keep
