"""What a stream promises about writes, computed from its tables (soap 4). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from moatbridge.adapter import WriteTraits

if TYPE_CHECKING:
    from moatbridge_soap.config.operations import WriteConfig
    from moatbridge_soap.streams import CompiledStream

REQUEST_LIFE: Final = 120.0
SINGLE: Final = 20
"""Intents in one ``write`` where each is a call of its own, under one deadline."""

Dedup = Literal["keyed", "lookup", "none"]
_ORDER: Final[tuple[Dedup, ...]] = ("keyed", "lookup", "none")


def traits_of(stream: CompiledStream) -> WriteTraits:
    """The weakest of the used tables decides."""
    tables = stream.config.writes
    dedups = [_dedup(stream, name, table) for name, table in tables.items()]
    ttls = [
        table.idempotency.key_ttl
        for table in tables.values()
        if table.idempotency is not None and table.idempotency.key_ttl is not None
    ]
    by_request = any(table.idempotency is not None for table in tables.values())
    batches = [table.batch for table in tables.values() if table.batch is not None]
    return WriteTraits(
        dedup=max(dedups, key=_ORDER.index, default="none"),
        key_scope="request" if by_request else "object",
        key_ttl=min(ttls) if ttls else None,
        max_request_life=REQUEST_LIFE,
        max_batch=min((b.size for b in batches), default=SINGLE),
        atomic_batch=bool(batches) and all(b.atomic for b in batches),
        conditional=_conditional(stream),
        retractable="update" in tables and "delete" in tables,
    )


def _dedup(stream: CompiledStream, name: str, table: WriteConfig) -> Dedup:
    uses = stream.operation(name).request.uses
    if table.idempotency is not None or name == "delete":
        return "keyed"
    if name in {"update", "upsert"}:
        return "keyed" if uses("version") else "lookup"
    return _dedup_of_create(stream, table)


def _dedup_of_create(stream: CompiledStream, table: WriteConfig) -> Dedup:
    """Ours is the key, the service refuses it twice, and we can look what is there."""
    request = stream.operation("create").request
    ours = set(stream.config.key) <= set(request.writable or {}) and not table.results
    refused = any(rule.then == "duplicate" for rule in table.rules)
    can_look = "get" in stream.operations
    if ours and refused and can_look:
        return "keyed"
    return "lookup" if can_look and (ours or refused) else "none"


def _conditional(stream: CompiledStream) -> bool:
    changing = [name for name in ("update", "upsert") if name in stream.config.writes]
    return (
        bool(changing)
        and stream.config.version is not None
        and all(stream.operation(name).request.uses("version") for name in changing)
    )
