"""Ten scanners at once, 300 slices each: all kept, in bounded memory."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.peers.series import uid
from tests.peers.tools import data, missing, program

SENDERS, SLICES = 10, 300
MEMORY_MB = 250
MIB = 2**20


@pytest.fixture
def series(tmp_path):
    """300 slices of 512 x 512 made from one real header, 0.5 mm apart."""
    dataset = dcmread(sorted(data("dicom", "philips-study", "S2010").iterdir())[0])
    x, y, _ = dataset.ImagePositionPatient
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(SLICES):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("bench", number)
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = [x, y, number * 0.5]
        dataset.SliceThickness = 0.5
        dataset.save_as(folder / f"{number:03d}.dcm")
    yield folder
    shutil.rmtree(folder)


def test_ten_associations_with_300_slices_each_are_all_kept_under_250_mb(make_node, series):
    node = make_node()
    if shutil.disk_usage(node.folder).free < 3000 * MIB:
        missing("3000 MB of free disk")
    node.configure([])
    node.start("receive")
    # Each storescu invents its own study, series and instance UIDs: ten patients from one set of files.
    invent = ("+IR", str(SLICES), "+IS", "1", "+IP", "1")
    peer = ("-aet", "CT1", "-aec", "ICHNODE", "-xe", "-R", "+sd", "127.0.0.1", str(node.port), str(series))
    started = time.monotonic()

    senders = [subprocess.Popen([program("storescu"), *invent, *peer], stderr=subprocess.PIPE) for _ in range(SENDERS)]
    said = [sender.communicate(timeout=540)[1].decode() for sender in senders]

    took_s = time.monotonic() - started
    peak_mb = peak_memory_mb(node.pid("receive"))
    print(f"{SENDERS} x {SLICES} slices in {took_s:.0f} s, receive's peak memory {peak_mb:.0f} MB")
    assert [sender.returncode for sender in senders] == [0] * SENDERS, said
    with node.db.read() as connection:
        rows = connection.exec_driver_sql("SELECT series_instance_uid, path FROM instances").all()
    counts = {series_uid: sum(one == series_uid for one, _ in rows) for series_uid, _ in rows}
    assert list(counts.values()) == [SLICES] * SENDERS
    assert all((node.state_dir / path).stat().st_size > 512 * 512 * 2 for _, path in rows)
    assert len({path for _, path in rows}) == SENDERS * SLICES
    assert peak_mb < MEMORY_MB
    node.close()
    shutil.rmtree(node.state_dir)


def peak_memory_mb(pid: int) -> float:
    """Peak resident set of a process. Source: proc(5), VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
