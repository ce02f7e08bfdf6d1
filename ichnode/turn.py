"""Whose turn it is on an association: its own thread's, which answers the peer, or ours, who want to send."""

import time
from typing import Final

from pynetdicom.association import Association

PAUSE_S: Final = 0.05  # its thread looks every millisecond


def take(association: Association) -> bool:
    """Stops the association's own thread, so that a message of ours can go; False when the association has ended.

    pynetdicom's ``send_*`` and ``release`` wait without limit for that thread to pause, even when it has died; they
    take an old "paused" for a new one, and then the thread may swallow the answer or the abort that they wait for.
    Whoever stops it here first is spared all that.
    """
    while association.is_alive():
        # In this order: "paused" can come after it only from a thread that will stand at the closed gate.
        association._reactor_checkpoint.set()
        association._reactor_checkpoint.clear()
        association._is_paused = False
        retry_at = time.monotonic() + PAUSE_S  # it stood there already, and we have just wiped out its word
        while association.is_alive() and time.monotonic() < retry_at:
            if association._is_paused:
                return bool(association.is_established)
            time.sleep(0.0005)
    return False
