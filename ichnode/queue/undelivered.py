"""Why objects that are to go out have not gone: for each destination what was said last, and when it is tried again."""

from typing import Any

from sqlalchemy import Select, func, select

from ichnode.domain.states import DeliveryState
from ichnode.queue.holds import held_studies
from ichnode.queue.tables import DELIVERIES, JOBS, OUTPUTS, SERIES


def undelivered() -> Select[Any]:
    """Of what was tried in vain and waits, a row a ``destination``: the newest ``reason``, the ``attempts`` behind it,
    since when the oldest of them waits (``since``), and when one is tried next (``next_at``).

    What is held is not tried, so it is left out.
    """
    one = DELIVERIES.c.destination
    newest = func.row_number().over(partition_by=one, order_by=(DELIVERIES.c.updated_at.desc(), DELIVERIES.c.id.desc()))
    tried = (
        select(
            *(DELIVERIES.c[name] for name in ("destination", "reason", "attempts")),
            func.min(OUTPUTS.c.created_at).over(partition_by=one).label("since"),
            func.min(DELIVERIES.c.next_at).over(partition_by=one).label("next_at"),
            newest.label("newest"),
        )
        .join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
        .join(JOBS, OUTPUTS.c.job_id == JOBS.c.id)
        .join(SERIES, JOBS.c.series_id == SERIES.c.id)
        .where(DELIVERIES.c.state == DeliveryState.PENDING, DELIVERIES.c.attempts > 0)
        .where(SERIES.c.study_instance_uid.not_in(held_studies()))
        .subquery()
    )
    columns = (tried.c[name] for name in ("destination", "reason", "attempts", "since", "next_at"))
    return select(*columns).where(tried.c.newest == 1)
