"""The sweep: series that are complete are settled, studies that have settled are decided. Runs every few seconds."""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision, Transfer
from ichnode.queue.database import Database
from ichnode.queue.intake import remark
from ichnode.queue.series import (
    SeriesRow,
    Study,
    claimed_acquisitions,
    decide,
    receiving,
    settle,
    undecided,
)
from ichnode.receive.complete import Arrival, Complete, Incomplete, Limits, Wait, judge, stated_count
from ichnode.receive.pacs import Ask
from ichnode.receive.rules import DEFAULT_RULES, Rule
from ichnode.receive.select import Preference, decide_study, is_doubted
from ichnode.receive.series_facts import SeriesFacts, series_facts
from ichnode.receive.silence import Silence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """When a series is complete, when a study is decided, and by which rules.

    ``study_quiet_s``: silence of the whole study before its series are compared; all have settled then, or one that is
    complete can be analysed while another is stalled. ``count_after_s``: silence of a
    series before the PACS is asked for its count, for the PACS may be receiving it too.
    """

    limits: Limits = field(default_factory=Limits)
    study_quiet_s: float = 60
    count_after_s: float = 5
    rules: Sequence[Rule] = DEFAULT_RULES
    preference: Preference = field(default_factory=Preference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many series were settled and decided."""

    settled: int
    decided: int


def sweep(
    db: Database,
    settings: SweepSettings,
    *,
    now: float,
    is_open: Callable[[str], bool],
    told: set[str],
    silence: Silence,
    count: Ask | None = None,
) -> Swept:
    """Looks at every series that waits. ``is_open`` tells whether an association still sends a series; ``count`` asks
    the PACS, where one is configured.

    A series or a study that breaks the sweep is left as it is and the others go on. It raises one alarm, not one a
    sweep: ``told`` remembers which did. It and ``silence`` are the same in every sweep of a process. Raises the
    database's errors: those are no fault of a series.
    """
    settled = decided = 0
    silence.begin_sweep()
    quiet: dict[str, float] = {}
    for row in receiving(db):
        try:
            quiet_s = quiet[row.series_instance_uid] = _quiet_s(row, silence, now)
            settled += _look_at(db, row, settings, now, quiet_s, is_open(row.series_instance_uid), count)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad series must not stop a node
            _tell(db, f"series {row.id} cannot be settled", error, told, now)
    for study in undecided(db):
        try:
            # What was decided before was quiet then.
            new = [row for row in study.series if row.decision is Decision.PENDING]
            quiet_s = min(
                [_quiet_s(row, silence, now) for row in new] + [quiet.get(uid, 0.0) for uid in study.receiving]
            )
            decided += _decide(db, study, settings, now, quiet_s, is_open)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad series must not stop a node
            first = min((row.id for row in study.series), default=0)
            _tell(db, f"the study of series {first} cannot be decided", error, told, now)
    return Swept(settled=settled, decided=decided)


def facts_of_row(row: SeriesRow) -> SeriesFacts:
    """A series of the queue as the rules see it."""
    return series_facts(
        [instance.facts for instance in row.instances],
        series_id=row.id,
        sop_class_uid=row.instances[0].sop_class_uid,
        calling_ae=row.calling_ae,
        missing=row.missing,
    )


def _quiet_s(row: SeriesRow, silence: Silence, now: float) -> float:
    return silence.quiet_s(row.series_instance_uid, row.last_at, now=now)


def _look_at(
    db: Database,
    row: SeriesRow,
    settings: SweepSettings,
    now: float,
    quiet_s: float,
    is_open: bool,
    count: Ask | None,
) -> bool:
    facts = [instance.facts for instance in row.instances]
    may_ask = count is not None and not is_open and quiet_s >= settings.count_after_s
    arrival = Arrival(
        instances=facts,
        quiet_s=quiet_s,
        is_open=is_open,
        # Open in the books, but by nobody here: it ended without a word.
        was_cut=row.transfer is Transfer.CUT or (row.transfer is Transfer.OPEN and not is_open),
        counted=count(row.study_instance_uid).get(row.series_instance_uid) if count is not None and may_ask else None,
        stated=_stated(db, row, facts),
    )
    match judge(arrival, limits=settings.limits):
        case Wait():
            return False
        case Complete(why=why):
            missing, text = 0, f"complete: {why}"
        case Incomplete(missing=missing, why=why):
            text = f"incomplete: {why}"
    is_settled = settle(db, row.id, missing=missing, text=text, now=now, seen_at=row.last_at)
    if is_settled:
        log.info(text, extra={"action": "settle", "series": row.id})
    return is_settled


def _stated(db: Database, row: SeriesRow, facts: Sequence[InstanceFacts]) -> int | None:
    stated = stated_count(facts, claimed=())
    return None if stated is None else stated_count(facts, claimed_acquisitions(db, row))


def _decide(
    db: Database,
    study: Study,
    settings: SweepSettings,
    now: float,
    quiet_s: float,
    is_open: Callable[[str], bool],
) -> int:
    if quiet_s < settings.study_quiet_s or any(is_open(uid) for uid in study.receiving):
        return 0
    if study.receiving and not _has_complete_choice(study, settings):
        return 0
    return decide_now(db, study, settings, now=now)


def _has_complete_choice(study: Study, settings: SweepSettings) -> bool:
    """Whether the settled series hold a complete one to analyse. Then a stalled series, which lacks slices, could not
    be better, and a haemorrhage does not wait for it until it is given up; should it come after all, it is compared.
    A bone reconstruction is no such choice: it is only taken where the study has nothing better to come."""
    chosen = [key for key, (decision, _) in _choose(study, settings).items() if decision is Decision.ANALYSE]
    series = [facts_of_row(row) for row in study.series if row.id in chosen]
    return any(facts.missing == 0 and not is_doubted(facts, settings.rules) for facts in series)


def decide_now(db: Database, study: Study, settings: SweepSettings, *, now: float, replay: bool = False) -> int:
    """Decides on the settled series of a study. Returns how many. ``replay``: their jobs let new studies pass."""
    decisions = _choose(study, settings)
    decide(db, decisions, now=now, replay=replay)
    for series_id, (decision, _) in decisions.items():
        log.info("decided: %s", decision, extra={"action": "decide", "series": series_id})
    return len(decisions)


def _tell(db: Database, what: str, error: Exception, told: set[str], now: float) -> None:
    if what in told:
        return
    frame = traceback.extract_tb(error.__traceback__)[-1]
    # Its type and place, not its message: that may quote a header.
    text = f"{what}: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    log.error(text, extra={"action": "sweep"})
    remark(db, text, now=now, alarm=True)
    told.add(what)


def _choose(study: Study, settings: SweepSettings) -> dict[int, tuple[Decision, str]]:
    pending = [facts_of_row(row) for row in study.series if row.decision is Decision.PENDING]
    before = [facts_of_row(row) for row in study.series if row.decision is Decision.ANALYSE]
    return decide_study(pending, settings.rules, settings.preference, analysed_before=before)
