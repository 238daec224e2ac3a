"""Who is who: platform accounts looked up in the company's directory.

A directory's answer is only a hint: every hit is compared again here, exactly, and an
account counts only if it is exactly one person's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Query
from moatbridge.errors import TranslationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moatbridge.changes import Record
    from moatbridge.flow.writeback import Writeback
    from moatbridge.resilience.session import Session

_CALL: Final = 200


@dataclass(frozen=True, slots=True)
class Known:
    """A person who may decide: key in the directory, and legacy login."""

    key: str
    identity: str

    def __repr__(self) -> str:
        return "Known()"


Looked = Known | str
"""A person, or why there is none: ``unmapped``, ``ambiguous``, ``not-allowed``."""


def account_of(writeback: Writeback, reference: Mapping[str, Any] | None) -> str | None:
    """The text that stands for an account, as the directory holds it.

    A reference that says only one thing says that; one that holds both id and name is
    compared by what the flow says, so that nobody can pass for another by a name that
    looks like an id.
    """
    found = reference or {}
    name, ident = found.get("name"), found.get("id")
    if name and ident:
        return str(found[writeback.config.account_by])
    text = name or ident
    return str(text) if text else None


def look_up(
    writeback: Writeback,
    accounts: Iterable[str],
    directory: Callable[[], Session],
) -> dict[str, Looked]:
    """Who these accounts belong to, and whether they may decide; one call for all.

    Raises:
        NotApplied: The directory cannot be asked now.
    """
    wanted = list(dict.fromkeys(accounts))
    stream = writeback.config.people.partition("/")[2]
    found: dict[str, Looked] = {}
    for start in range(0, len(wanted), _CALL):
        part = wanted[start : start + _CALL]
        queries = [Query(writeback.config.account, account) for account in part]
        answers = directory().find(stream, queries)
        for account, hits in zip(part, answers, strict=True):
            found[account] = _one(writeback, account, hits)
    return found


def _one(writeback: Writeback, account: str, hits: Sequence[Record]) -> Looked:
    config = writeback.config
    exact = {hit.ref.key: hit for hit in hits if account in _texts(hit, config.account)}
    if len(exact) != 1:
        return "ambiguous" if exact else "unmapped"
    [(key, record)] = exact.items()
    logins = _texts(record, config.identity)
    if len(logins) != 1:
        return "ambiguous" if logins else "unmapped"
    if not _may(writeback, record):
        return "not-allowed"
    return Known(key, logins[0])


def _may(writeback: Writeback, record: Record) -> bool:
    if not _active(writeback, record):
        return False
    allowed = writeback.config.allowed
    if allowed is None or isinstance(allowed, str):
        return allowed is not None
    return bool(set(_texts(record, allowed.field)) & set(allowed.one_of))


def _active(writeback: Writeback, record: Record) -> bool:
    """Who has left the company does not decide."""
    if writeback.people is None:
        return True
    try:
        entity = writeback.people.decode(record.data, record.incomplete)
    except TranslationError:
        return False
    return entity.get("active") is not False


def _texts(record: Record, field: str) -> list[str]:
    if field in record.incomplete:
        return []
    value = record.data.get(field)
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str) and each]
