"""A destination: who it is, what it gets, and what is asked of it afterwards."""

from dataclasses import dataclass, field
from typing import Final

from ichnode.deliver.association import Timeouts
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.parcel import INTERCHANGEABLE
from ichnode.domain.commitment import Commitment
from ichnode.domain.outputs import USUAL_PROFILE, ObjectKind, Peer
from ichnode.queue.outbox import Route

OUTAGE_MAX_S: Final = 300.0  # one association every few minutes costs nobody anything, an hour's delay does


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One peer that gets results: which kinds, in the forms of which profile (by its name), whether also what was not
    analysed, and how it is to be spoken to.

    ``transfer_syntaxes``: in which the (uncompressed) results may travel; the stored one is taken where it can be.
    ``commitment``: whether it is asked for storage commitment; ``commitment_wait_s``: how long its first report is
    waited for. ``confirm_at``: who is asked by C-FIND whether it has the objects, where it is not asked to commit.
    ``identity_at``: who is asked by C-FIND whose a study is before its results go out.
    """

    peer: Peer
    objects: frozenset[ObjectKind] = frozenset(ObjectKind)
    profile: str = USUAL_PROFILE
    not_analysed: bool = True
    transfer_syntaxes: tuple[str, ...] = INTERCHANGEABLE
    commitment: Commitment = Commitment.AUTO
    commitment_wait_s: float = 3600.0
    confirm_at: Peer | None = None
    identity_at: Peer | None = None
    backoff: Backoff = field(default_factory=Backoff)
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def name(self) -> str:
        """The peer's name: its deliveries are known by it."""
        return self.peer.name

    @property
    def route(self) -> Route:
        """What the queue must know to make the deliveries."""
        return Route(destination=self.name, kinds=self.objects, profile=self.profile, not_analysed=self.not_analysed)

    @property
    def place(self) -> str:
        """Where it is and who speaks to whom: what was learnt of it holds for this alone."""
        peer = self.peer
        return f"{peer.host}:{peer.port} {peer.ae_title} {peer.calling_ae_title}"
