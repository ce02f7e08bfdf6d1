"""UIDs that the same input yields again: a second run makes the same objects, not doubles of them."""

import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Final

NAMESPACE: Final = uuid.UUID("6e1b9c07-9a5f-4b8e-8f0a-0c6f5d1f7a42")  # drawn at random once; never to be changed
ENCODER_REVISION: Final = "2"  # to be raised whenever the layout of an object changes


def uid(kind: str, *parts: str) -> str:
    """A UID under root 2.25 that is a function of its arguments alone. Source: PS3.5 B.2, RFC 9562 (UUID version 5)."""
    name = json.dumps([kind, *parts], separators=(",", ":"))
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def digest(*parts: bytes | str) -> str:
    """SHA-256 (hex) of ``parts``; where one ends and the next begins counts."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "big"))
        total.update(raw)
    return total.hexdigest()


def instances_digest(sop_instance_uids: Iterable[str]) -> str:
    """Digest of a set of instances, whatever their order."""
    return digest(*sorted(set(sop_instance_uids)))
