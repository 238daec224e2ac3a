"""An admitted intent as it was frozen: what every attempt sends, unchanged."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from moatbridge.changes import Intent, Ref
from moatbridge.ledger import frozen

if TYPE_CHECKING:
    from moatbridge.changes import Data, Op
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


class Parts(NamedTuple):
    """What an intent is made of, as it was before it was frozen."""

    op: Op
    ref: Ref | None
    record: Data | None
    owned: tuple[str, ...]
    before: Data | None
    version: str | None
    noted: Noted


Thawed: TypeAlias = tuple[Intent, Noted]
"""An intent, and what is kept beside it."""


def aboard(item: Item, parts: Parts, *, fence: int, attempt: int) -> Thawed:
    """What `thaw` makes of an intent that was frozen a moment ago, without reading it.

    The bytes are the ledger's all the same: every later attempt is thawed from them.
    """
    op, ref, record, owned, before, version, noted = parts
    intent = Intent(item.key, op, ref, record, owned, before, version, fence, attempt)
    return intent, noted


def thaw(item: Item, *, fence: int, attempt: int) -> Thawed:
    """The intent as it was frozen, and what to remember when it was applied."""
    held: dict[str, Any] = frozen.loads(item.payload)
    ref = held["ref"]
    intent = Intent(
        item.key,
        held["op"],
        Ref.from_key(*ref) if ref else None,
        held["record"],
        tuple(held["owned"]),
        held["before"],
        held["version"],
        fence,
        attempt,
        json.loads(item.receipt) if item.receipt else None,
    )
    base = base64.b64decode(held["base"]) if held["base"] else None
    said, changed = held.get("said", ()), held.get("changed", ())
    return intent, Noted(base, tuple(said), tuple(changed), intent.record)
