import re
from pathlib import Path

import pytest

from ichnode.store.layout import OutsideStore, Store

EVIL = ["../../etc/passwd", "/etc/passwd", "1.2.3\0", "..", "", "1.2/../../3", "con\\..\\x", "é" * 300]


@pytest.mark.parametrize("uid", EVIL)
def test_nothing_that_a_peer_sends_becomes_a_path(store, uid):
    for path in (store.instance_path(uid, "ab"), store.quarantine_path(uid, "ab"), store.output_path(uid)):
        assert re.fullmatch(r"(instances|quarantine|outputs)/[0-9a-f]{2}/[0-9a-f]{62}\.dcm", path)
        assert store.resolve(path).is_relative_to(store.root)


def test_other_bytes_of_the_same_uid_have_another_place(store):
    assert store.instance_path("1.2.3", "aa") != store.instance_path("1.2.3", "bb")
    assert store.instance_path("1.2.3", "aa") == store.instance_path("1.2.3", "aa")


@pytest.mark.parametrize("stored", ["../outside", "/etc/passwd", "instances/../../x", "", "."])
def test_a_stored_path_that_leads_out_is_refused(store, stored):
    with pytest.raises(OutsideStore):
        store.resolve(stored)


def test_free_bytes_are_those_of_the_file_system(tmp_path: Path):
    assert Store(root=tmp_path).free_bytes() > 0
