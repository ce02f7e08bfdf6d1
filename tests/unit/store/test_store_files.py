import os

import pytest

from ichnode.store import files
from ichnode.store.files import move_durably, sha256_of, sha256_of_file, write_durably


def test_the_chunks_stand_in_the_file_one_after_the_other(tmp_path):
    path = tmp_path / "new" / "folder" / "file.dcm"

    write_durably(path, b"head", memoryview(b"body"), bytearray(b"tail"))

    assert path.read_bytes() == b"headbodytail"
    assert list(path.parent.iterdir()) == [path]


def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    calls = []
    path = tmp_path / "file"
    sync, inode = os.fsync, tmp_path.stat().st_ino

    def spy(handle):
        what = "folder" if os.fstat(handle).st_ino == inode else "file"
        calls.append((what, path.exists()))
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", spy)
    write_durably(path, b"bytes")

    assert calls == [("file", False), ("folder", True)]


def test_a_new_folder_is_synced_into_the_one_above(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda h: (synced.append(os.fstat(h).st_ino), sync(h)))

    write_durably(tmp_path / "ab" / "file", b"bytes")

    assert tmp_path.stat().st_ino in synced


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)

    with pytest.raises(OSError, match="No space"):
        write_durably(tmp_path / "file", b"bytes")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", lambda _h: (_ for _ in ()).throw(OSError(5, "I/O error")))

    with pytest.raises(OSError, match="I/O"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_move_makes_the_folder_it_needs(tmp_path):
    old, new = tmp_path / "old", tmp_path / "deep" / "er" / "new"
    old.write_bytes(b"bytes")

    move_durably(old, new)

    assert new.read_bytes() == b"bytes"
    assert not old.exists()


def test_digests_of_chunks_and_of_the_file_agree(tmp_path):
    write_durably(tmp_path / "file", b"ab", b"c")

    assert sha256_of(b"a", memoryview(b"bc")) == sha256_of_file(tmp_path / "file")
