"""Jobs that wait for too long, or that are given back again and again: counts alone would not show it."""

from typing import Any, Final

from sqlalchemy import Select, case, func, select

from ichnode.domain.states import JobState
from ichnode.queue.audit import Entity
from ichnode.queue.jobs import Priority
from ichnode.queue.tables import AUDIT, JOBS

WAITING: Final = [JobState.QUEUED, JobState.RUNNING]


def waits_since() -> Select[Any]:
    """Since when the oldest job waits for a worker, seconds since the epoch; NULL: none does.

    A running job waits from the end of its lease, which lies ahead while its worker lives. What is to be made anew
    waits behind all else, for days perhaps: it has waited since a job ended last.
    """
    others = JOBS.alias()
    ended = select(func.coalesce(func.max(others.c.finished_at), 0.0)).scalar_subquery()
    since = case((JOBS.c.state == JobState.RUNNING, JOBS.c.lease_until), else_=JOBS.c.created_at)
    patient = JOBS.c.priority > Priority.EXPLAIN
    query = select(func.min(case((patient, func.max(since, ended)), else_=since)))
    return query.where(JOBS.c.state.in_(WAITING))


def unwritten() -> Select[Any]:
    """The jobs whose last attempt could not write its results: a row a ``reason``, with their ``count`` and when one
    was given back last, ``at``."""
    ends = AUDIT.alias()
    last = select(func.max(ends.c.id)).where(
        ends.c.entity == Entity.JOB, ends.c.entity_id == JOBS.c.id, ends.c.new != JobState.RUNNING
    )
    newest = select(last.scalar_subquery()).select_from(JOBS).where(JOBS.c.state.in_(WAITING))
    columns = AUDIT.c.text.label("reason"), func.count().label("count"), func.max(AUDIT.c.at).label("at")
    return select(*columns).where(AUDIT.c.id.in_(newest), AUDIT.c.alarm).group_by(AUDIT.c.text)
