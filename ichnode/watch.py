"""Whether the peers are there: logged when that changes."""

import logging
from collections.abc import Sequence

from ichnode.deliver.echo import echo
from ichnode.domain.outputs import Peer

log = logging.getLogger(__name__)


def echo_all(peers: Sequence[Peer]) -> None:
    """C-ECHO to every peer; one that does not answer is a warning."""
    for peer in peers:
        answer = echo(peer)
        if answer.ok:
            log.debug("%s answers", peer.name, extra={"destination": peer.name, "action": "echo"})
        else:
            log.warning(answer.reason, extra={"destination": peer.name, "action": "echo"})
