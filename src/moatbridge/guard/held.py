"""What an approval of a held item binds to, how long it waits, and whose it is.

Pure: the ledger keeps the items, and lets nobody decide twice (guard 31-35).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.entities import canonical_json
from moatbridge.guard.approval import person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.config.guard_rules import Rules

APPROVAL_LIFE: Final = 86400.0
"""Seconds for which an approved post may be sent, from when the post names as its time,
or else from the approval on: later nobody knows whether it still fits (guard 34)."""

BY_ITSELF: Final = frozenset({"quiet", "budget", "digest"})
"""Reasons that end without a person; what waits for one of them never expires."""

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")

_SCHEME: Final = re.compile(r"^(?:acct|mailto):")


def item_digest(
    *,
    target: str,
    op: str,
    fingerprint: bytes,
    audience: Iterable[str] = (),
    attachments: Iterable[bytes] = (),
    not_before: float | None = None,
    not_after: float | None = None,
) -> bytes:
    """SHA-256 of everything an approval binds to (guard 32).

    Args:
        target: System name.
        op: Operation.
        fingerprint: `moatbridge.entities.fingerprint` of the entity.
        audience: Ids it resolves to, in any order.
        attachments: SHA-256 of each, in order.
        not_before: POSIX seconds.
        not_after: POSIX seconds.
    """
    times = [None if t is None else int(t * 1000) for t in (not_before, not_after)]
    body = [
        target,
        op,
        fingerprint.hex(),
        sorted(audience),
        [each.hex() for each in attachments],
        times,
    ]
    return hashlib.sha256(canonical_json(body).encode()).digest()


class Bound(NamedTuple):
    """What `item_digest` takes of content: readers and attachments."""

    audience: tuple[str, ...]
    attachments: tuple[bytes, ...]


def bound_to(
    entity: Mapping[str, Any] | None, readers: Iterable[str] | None = None
) -> Bound:
    """What an approval of this entity binds to beside its fingerprint (guard 32).

    The flow calls it when an item is held and again in transaction B, and hands both
    parts to `item_digest`; so a group that got other members, or a file that was
    changed, voids the approval.

    Args:
        entity: What would be sent; None for a delete.
        readers: Ids at the target that the audience resolves to (`Outgoing.readers`),
            members of groups included where they are known; None: the references as
            they stand in the entity.
    """
    entity = entity or {}
    audience = entity.get("audience")
    who: list[str] = []
    if isinstance(audience, dict):
        named = map(canonical_json, audience.get("refs") or ())
        who = [f"kind:{audience.get('kind')}", *(named if readers is None else readers)]
    attached = (
        each for each in entity.get("attachment") or () if isinstance(each, dict)
    )
    return Bound(tuple(who), tuple(map(_attached, attached)))


def _attached(attachment: Mapping[str, Any]) -> bytes:
    """A blob's own SHA-256, else that of where the attachment lies."""
    digest = (attachment.get("blob") or {}).get("sha256")
    if isinstance(digest, str) and _SHA256.fullmatch(digest):
        return bytes.fromhex(digest)
    return hashlib.sha256(canonical_json(attachment).encode()).digest()


def lifetime(reason: str, rules: Rules) -> float | None:
    """Seconds until an item held for that reason expires; None if it waits for no one.

    Args:
        reason: Why it is held.
        rules: The flow's rules.
    """
    if reason in BY_ITSELF:
        return None
    return rules.quarantine_ttl if reason == "quarantine" else rules.approval_ttl


def wrote(principal: str, authors: Iterable[str]) -> bool:
    r"""Whether a principal is one of the people behind an item (guard 33).

    Systems call one person by login, mail address, ``DOMAIN\login``, a DN or the URL of
    an account: what is compared is the login in each of them, on both sides. A
    principal is user and host, or what the company's login says; whoever has the
    author's login on any host is taken for the author. Nobody can tell that a person
    has two different logins.

    Args:
        principal: Who would approve.
        authors: What the author is called, in any of the systems that know them.
    """
    mine = _logins(person(principal))
    return any(mine & _logins(person(author)) for author in authors)


def _logins(name: str) -> set[str]:
    """The ways in which that name spells a login."""
    if "://" in name:
        path = re.split(r"[?#]", name, maxsplit=1)[0]
        plain = path.rstrip("/").rpartition("/")[2]
    else:
        plain = name.partition(",")[0].partition("=")[2] or name
    alone = _SCHEME.sub("", plain).rpartition("\\")[2].lstrip("@")
    return {name, plain, alone, alone.rpartition("@")[0] or alone} - {""}
