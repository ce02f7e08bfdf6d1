"""From a volume to the network's input, with all that is to be doubted before the network has spoken."""

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.values import NetworkInput, Volume
from ichnode.findings.gates.headers import Stated
from ichnode.findings.gates.judge import doubts_of_images, doubts_of_input, doubts_of_stripping, refuse
from ichnode.findings.gates.sight import Sight
from ichnode.image.prepare import PRESETS, normalise, window
from ichnode.model.weights import Card


def doubted_input(
    volume: Volume, sight: Sight, card: Card, stated: Stated, refused: frozenset[Flag]
) -> tuple[NetworkInput, tuple[Doubt, ...]]:
    """What the network will see, and the doubts about it. ``sight``: of ``volume``.

    Raises Rejected for what is not a head, Refused for images that bear a ``refused`` flag.
    """
    preset = PRESETS[card.preset]
    seen = window(volume, preset)
    given = NetworkInput(values=normalise(seen.hu, seen.brain), geometry=seen.geometry, flags=seen.flags)
    doubts = doubts_of_images(volume, sight, stated) + doubts_of_stripping(sight, seen.flags - volume.flags)
    if Flag.QF_STRIP not in seen.flags:  # figures of what is not a brain would say nothing more
        doubts += doubts_of_input(seen.hu, seen.brain, preset.spacing_mm, card.spreads)
    refuse(doubts, refused)
    return given, doubts
