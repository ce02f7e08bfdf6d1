"""The node with one thing exchanged: instead of the network's answer, the truth. Only ``Runtime.predict`` is faked;
receiving, queue, worker and child, skull stripping, resampling, measuring, reports and delivery are the real ones.

Run as ``python -m tests.peers.stand_in --config FILE VERB``.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np

from ichnode import analyse
from ichnode.app import work
from ichnode.app.wire import store_of
from ichnode.cli.main import main
from ichnode.config.config import Config
from ichnode.demo.bleed import Bleed, blood_share
from ichnode.domain.values import ModelIdentity, NetworkInput, Prediction
from ichnode.model.weights import read_card
from ichnode.service import set_up_logging
from ichnode.work.task import Perform

IDENTITY = ModelIdentity(name="perfect-mask", version="1.0.0", sha256="0" * 64)


class PerfectRuntime:
    """Answers with the share of each voxel of the network's grid that lies in the bleed of ``truth``.

    The share is computed from the ellipsoid itself, in patient coordinates: no code of ``ichnode.image`` takes part, so
    a grid in the wrong place, or one that is resampled wrongly on the way back, shows as a wrong volume.
    """

    name = "the truth, in place of the network"

    def __init__(self, truth: Path) -> None:
        self._truth = truth

    def predict(self, x: NetworkInput) -> Prediction:
        share = blood_share(x.geometry, Bleed(**json.loads(self._truth.read_text())))
        return Prediction(probability=share.astype(np.float32), expansion=0.5, geometry=x.geometry, model=IDENTITY)

    def warm_up(self) -> None:
        """Nothing to warm up."""


def open_child(runtime: type[PerfectRuntime], config: Config) -> tuple[str, Perform]:
    """As ``ichnode.app.work.open_child``, with ``runtime`` in the network's place; its threshold is one half."""
    card = read_card(config.work.weights).model_copy(update={"threshold": 0.5})
    network = analyse.Network(runtime=runtime(config.node.state_dir / "truth.json"), card=card)
    analyse.open_network = lambda _weights, _settings: network
    set_up_logging(config.node.log_level)
    return analyse.open_performer(work.analysis_settings(config), store_of(config))


def run(runtime: type[PerfectRuntime]) -> None:
    """Ichnode's command line, with ``runtime`` in the network's place. The class travels to the child by its name."""
    work.open_child = partial(open_child, runtime)
    main()


if __name__ == "__main__":
    from tests.peers.stand_in import PerfectRuntime as Importable  # not __main__'s: the child could not import that

    run(Importable)
