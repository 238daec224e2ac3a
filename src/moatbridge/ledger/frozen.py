"""Frozen bytes: an encoded intent as JSON text, with tags for what JSON lacks.

Encoded once, at admission; a retry sends exactly this (DESIGN 10.1). No pickle: only
the tagged types below come back, anything else is an error.
"""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from moatbridge.entities.encoding import json_encoder
from moatbridge.ledger import texts

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG: Final = "$moatbridge"
_MARK: Final = f'"{_TAG}":'

_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "bytes": base64.b64decode,
    "uuid": UUID,
    "object": dict,
}


def dumps(value: Any) -> str:
    """JSON text of plain data, dates, decimals, UUIDs and bytes.

    Raises:
        TypeError: The data holds something else; an adapter's or translator's bug.
    """
    text = _encode(value)
    # A record may hold our tag itself (somebody's JSON field): then it is escaped.
    return _encode(_escaped(value)) if _MARK in text else text


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {name: _escaped(entry) for name, entry in value.items()}
        return {_TAG: "object", "v": list(inner.items())} if _TAG in inner else inner
    if isinstance(value, list | tuple):
        return [_escaped(entry) for entry in value]
    return value


def loads(text: str) -> Any:
    """The inverse of `dumps`."""
    if _MARK not in text:
        return texts.loads(text)
    return json.loads(text, object_hook=_read)


def _write(value: Any) -> dict[str, str]:
    match value:
        case datetime():
            return {_TAG: "datetime", "v": value.isoformat()}
        case date():
            return {_TAG: "date", "v": value.isoformat()}
        case time():
            return {_TAG: "time", "v": value.isoformat()}
        case Decimal():
            return {_TAG: "decimal", "v": str(value)}
        case bytes():
            return {_TAG: "bytes", "v": base64.b64encode(value).decode()}
        case UUID():
            return {_TAG: "uuid", "v": str(value)}
        case _:
            pass
    raise TypeError(f"{type(value).__name__} cannot be kept in the ledger")


_encode: Final = json_encoder(default=_write)


def _read(value: dict[str, Any]) -> Any:
    kind = value.get(_TAG)
    return value if kind is None else _READ[kind](value["v"])
