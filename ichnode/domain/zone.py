"""The time zone that a header states."""

import re
from datetime import timedelta, timezone
from typing import Final

_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})")


def zone(offset: str) -> timezone | None:
    """The time zone of "+0800"; None, which Python takes as the node's own, for anything else."""
    found = _OFFSET.fullmatch(offset.strip())
    if found is None or int(found[2]) > 14:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(ahead if found[1] == "+" else -ahead)
