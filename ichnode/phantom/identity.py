"""Names and UIDs of a phantom: functions of its specification, so that a second run makes the same objects."""

import json
import uuid
from typing import Final

from ichnode.phantom.spec import VERSION, PhantomSpec

NAMESPACE: Final = uuid.UUID("b3c1c4de-2d0a-4e0f-9a55-6f2f0e6f8d11")  # drawn at random once; never to be changed


def uid(spec: PhantomSpec, *parts: str) -> str:
    """A UID under root 2.25 for ``parts`` of a phantom. Source: PS3.5 B.2, RFC 9562 (UUID version 5)."""
    name = json.dumps([VERSION, spec.as_dict(), *parts], sort_keys=True, separators=(",", ":"))
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"
