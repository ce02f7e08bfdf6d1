"""The card of trained weights: says of itself only what the training did."""

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from ichnode.cohort.table import Card as CohortCard
from ichnode.domain.errors import ConfigError
from ichnode.model.weights import Card
from ichnode.train.recipe import Recipe
from ichnode.train.validate import MIN_COMPONENT_ML

OPERATING_POINT: Final = 0.5
JOINED: Final = "; "


def card_of(name: str, version: str, recipe: Recipe, cohorts: Sequence[CohortCard], before: Card | None) -> Card:
    """The card of weights made by ``recipe`` from ``cohorts``, and from weights whose card was ``before``.

    Sources and licences of the weights before count on: what was learnt from that data is still in there. The changelog
    is empty: nothing has happened yet. Raises ConfigError for a name or version that no card may have.

    Whether the expansion head may speak is not decided here: nobody's outcome makes it "trained" until an evaluation
    on patients says what it is worth and a person writes that into the card.
    """
    sources = before.data_source.split(JOINED) if before else []
    licences = before.data_licence.split(JOINED) if before else []
    try:
        return Card(
            name=name,
            version=version,
            changelog={},
            task="Segmentation of intracerebral haemorrhage in non-contrast head CT; prediction of its expansion",
            data_source=_each_once(sources, [f"{one.name}: {one.source}" for one in cohorts]),
            data_licence=_each_once(licences, [one.licence for one in cohorts]),
            preset=recipe.preset,
            min_component_ml=MIN_COMPONENT_ML,
            threshold=OPERATING_POINT,
            expansion="untrained on patients",
            expansion_threshold=OPERATING_POINT,
            eval_metrics={},
            intended_use="Research only. Not a medical device; not for diagnosis or treatment.",
            sha256="",
        )
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"No weights can be called that: {faults}.", hint="Correct --name or --version.") from error


def _each_once(before: Sequence[str], now: Sequence[str]) -> str:
    return JOINED.join(dict.fromkeys([*before, *now]))
