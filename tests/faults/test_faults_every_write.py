"""The disk is full from the n-th write of a study on: every 90th n. ``python -m tests.faults.every_write`` takes all.

Needs FUSE and the package mfusepy (FUSE_LIBRARY_PATH where libfuse is in no usual place).
"""

from tests.peers.tools import missing

EVERY = 90


def test_a_disk_that_is_full_from_any_write_on_costs_no_image_and_no_result(make_node, orthanc, tmp_path):
    try:
        from tests.faults import every_write
    except (ImportError, OSError):
        missing("mfusepy or libfuse")
    node = make_node()
    with every_write.mounted(node.state_dir) as disk:
        if disk is None:
            missing("the right to mount a FUSE")
        try:
            figures = every_write.run(node, disk, orthanc, tmp_path, range(1, 10_000, EVERY), untouched=1)
        finally:
            node.close()

    assert figures.faults == []
    assert figures.writes > 5 * EVERY  # received, analysed and delivered: each has met it
    assert figures.refused
