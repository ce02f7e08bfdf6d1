"""The deliverer and the reports on storage commitment that were given up."""

import time
from threading import Event

from ichnode.app.deliver import run_deliver
from ichnode.app.wire import open_database_of
from ichnode.config.file import load_config
from ichnode.domain.commitment import Named, Request
from ichnode.queue import untold, views
from ichnode.queue.promises import promise

CONFIG = """
[node]
state_dir = "state"
[[receive.peer]]
ae_title = "*"
network = "127.0.0.1/32"
[[modality]]
name = "ct"
host = "127.0.0.1"
port = 1
ae_title = "CT1"
"""


def test_a_deliverer_that_is_started_again_tries_what_was_given_up_for_the_peers_that_it_knows(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    config = load_config(tmp_path / "config.toml")
    db = open_database_of(config)
    for title in ("CT1", "STRANGER"):
        request = Request(transaction_uid="7.7", objects=(Named(sop_class_uid="1.2", sop_instance_uid="5.1"),))
        promise(db, request, calling_ae=title, address="", now=0)
    assert untold.give_up(db, now=untold.LONGEST_S) == 2
    stop = Event()
    stop.set()

    run_deliver(config, stop, ready=lambda _text: None, alive=lambda: None)

    given_up = {row["calling_ae"]: row["given_up"] for row in views.status(db, since=0).untold}
    db.close()
    assert given_up == {"CT1": 0, "STRANGER": 1}


def test_what_became_due_while_the_node_was_off_for_longer_than_a_report_is_tried_is_tried_all_the_same(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    config = load_config(tmp_path / "config.toml")
    db = open_database_of(config)
    request = Request(transaction_uid="7.7", objects=(Named(sop_class_uid="1.2", sop_instance_uid="5.1"),))
    promise(db, request, calling_ae="CT1", address="", now=time.time() - untold.LONGEST_S - 86400)
    stop = Event()
    stop.set()

    run_deliver(config, stop, ready=lambda _text: None, alive=lambda: None)

    assert untold.give_up(db, now=time.time()) == 0
    assert views.status(db, since=0).promises == {"due": 1}
    db.close()
