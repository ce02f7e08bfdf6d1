"""The trail as the configuration wires it: into the state folder, and from there to a syslog server."""

from io import BytesIO

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage

from ichnode.app.trail import forwarding, trail_folder, trail_of
from ichnode.app.wire import open_database_of, store_of
from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from ichnode.receive.intake import Arrival, take
from ichnode.trail import events
from ichnode.trail.verify import newest
from tests.peers.tools import wait_until
from tests.unit.trail.schema import errors
from tests.unit.trail.test_trail_syslog import Collector, authority, certificates

__all__ = ["authority", "certificates"]

CONFIG = '[node]\nstate_dir = "state"\n[[receive.peer]]\nae_title = "*"\nnetwork = "127.0.0.1/32"\n'
PATIENT_ID = "PID-7Q4Z2X9"


@pytest.fixture
def wired(tmp_path):
    """Gives configuration and queue of a node with these lines in its [audit]."""
    opened = []

    def wire(lines):
        path = tmp_path / "config.toml"
        path.write_text(CONFIG + "[audit]\n" + lines)
        config = load_config(path)
        opened.append(open_database_of(config))
        return config, opened[-1]

    yield wire
    for db in opened:
        db.close()


def keep_one(config, db):
    """One instance in the store."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.PatientID = CTImageStorage, "1.2.3.4", PATIENT_ID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = "1.2.3", "1.2.3.9", "CT"
    buffer = BytesIO()
    dcmwrite(buffer, image, implicit_vr=False, little_endian=True)
    arrival = Arrival(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3.4",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        data_set=buffer,
        calling_ae="CT1",
        address="127.0.0.1",
    )
    take(arrival, db=db, store=store_of(config), floor_bytes=0, now=0.0)


def patient_of(config, db):
    trail_of(config, db, "work").write(events.made, "1.2.3", {CTImageStorage: 1})
    [record] = newest(trail_folder(config), 1)
    assert errors(record.message) == []
    return record.message


def test_a_patient_is_told_by_a_key_unless_the_configuration_wants_the_patient_id(wired):
    config, db = wired("")
    keep_one(config, db)
    assert PATIENT_ID.encode() not in patient_of(config, db)
    assert b'ParticipantObjectID="key:' in patient_of(config, db)

    config, db = wired('patients = "id"')
    assert f'ParticipantObjectID="{PATIENT_ID}"'.encode() in patient_of(config, db)


def test_a_patient_whose_images_are_gone_or_whom_nobody_knows_is_told_all_the_same(wired):
    config, db = wired('patients = "id"')
    assert b'ParticipantObjectID="unknown"' in patient_of(config, db)
    keep_one(config, db)
    for path in store_of(config).instances.rglob("*.dcm"):
        path.unlink()
    assert b'ParticipantObjectID="key:' in patient_of(config, db)


def test_a_trail_that_is_switched_off_leaves_no_folder(wired):
    config, db = wired("enabled = false")
    trail_of(config, db, "work").write(events.started)
    assert not trail_folder(config).root.exists()


def test_the_syslog_server_of_the_configuration_gets_the_trail(wired, certificates, tmp_path):
    collector = Collector(certificates)
    (tmp_path / "audit-ca.pem").write_bytes(certificates.ca.read_bytes())
    config, db = wired(f'[audit.syslog]\nhost = "localhost"\nport = {collector.port}\nca = "audit-ca.pem"')
    trail = trail_of(config, db, "deliver")

    with forwarding(config, db), trail.of_service():
        wait_until(collector.messages, "the start has come", limit_s=10)

    assert b"Application Start" in collector.messages()[0]
    collector.close()


def test_a_syslog_server_without_a_ca_is_an_error_of_the_configuration(wired):
    with pytest.raises(ConfigError, match=r"audit\.syslog\.host"):
        wired('[audit.syslog]\nhost = "localhost"')
