"""An admitted intent as it was frozen: what every attempt sends, unchanged."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.changes import Intent, Ref
from moatbridge.ledger import frozen

if TYPE_CHECKING:
    from moatbridge.changes import Data
    from moatbridge.ledger.parcels import Item


class Noted(NamedTuple):
    """What is kept beside the bytes of an intent, for when it was applied.

    Args:
        base: Path hashes to remember; None: as they are.
        said: Entity paths that were written; for pairs.
        changed: Those of them that had changed.
        record: What was written.
    """

    base: bytes | None
    said: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    record: Data | None = None


def thaw(item: Item, *, fence: int, attempt: int) -> tuple[Intent, Noted]:
    """The intent as it was frozen, and what to remember when it was applied."""
    held: dict[str, Any] = frozen.loads(item.payload)
    ref = held["ref"]
    intent = Intent(
        key=item.key,
        op=held["op"],
        ref=Ref.from_key(*ref) if ref else None,
        record=held["record"],
        owned=tuple(held["owned"]),
        before=held["before"],
        before_version=held["version"],
        fence=fence,
        attempt=attempt,
        progress=json.loads(item.receipt) if item.receipt else None,
    )
    base = base64.b64decode(held["base"]) if held["base"] else None
    said, changed = held.get("said", ()), held.get("changed", ())
    return intent, Noted(base, tuple(said), tuple(changed), intent.record)
