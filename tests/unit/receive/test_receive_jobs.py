"""What the receiver's process does by and by."""

from threading import Event
from unittest.mock import MagicMock

from ichnode.app import receive


def test_the_ends_of_transfers_that_could_not_be_written_are_written_by_and_by(monkeypatch):
    around = ("alone", "database", "trail_of", "store_of", "scp_settings", "sweep_settings", "warn_of_certificates")
    for name in (*around, "wait", "clockwork", "Receiver", "_reconcile", "_counts"):
        monkeypatch.setattr(receive, name, MagicMock())
    config = MagicMock()
    config.schedule.reconcile_at = "03:00"

    receive.run_receive(config, Event(), ready=MagicMock(), alive=MagicMock())

    jobs = [call.args[0] for call in receive.clockwork().add_job.call_args_list]
    assert receive.Receiver.return_value.catch_up in jobs
