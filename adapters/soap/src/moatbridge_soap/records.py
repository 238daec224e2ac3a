"""Items of an answer -> refs, records and changes. Pure."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Change, Record, Ref, Reject
from moatbridge.errors import NotApplied
from moatbridge_soap.config.rules import lexical
from moatbridge_soap.decode import no_zone
from moatbridge_soap.request import MISSING, inside, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Field
    from moatbridge.changes import Data, Key
    from moatbridge_soap.config.rules import Test
    from moatbridge_soap.config.system import SoapStreamConfig
    from moatbridge_soap.decode import Item
    from moatbridge_soap.operation import Operation


class Records:
    """Knows the identity and the shape of one stream's records.

    Args:
        config: The stream's settings.
        fields: What its records hold.
    """

    def __init__(self, config: SoapStreamConfig, fields: Sequence[Field]) -> None:
        self._config = config
        self._key = config.key
        plain = len(config.key) == 1 and "." not in config.key[0]
        self._only_key = config.key[0] if plain and config.name is None else None
        self._empty: list[tuple[str, Any, bool]] = [
            (each.name, each.multi, each.required) for each in fields
        ]
        self._names = frozenset(each.name for each in fields)
        self._only = {
            path: frozenset(map(lexical, values))
            for path, values in config.only.items()
        }

    def ref(self, data: Data) -> Ref | None:
        """The identity of a record; None if a part of the key is missing."""
        if self._only_key is None:
            return self._long_ref(data)
        value = data.get(self._only_key)
        part = value if type(value) is str else _identity(value)
        return None if part is None else Ref(part)

    def _long_ref(self, data: Data) -> Ref | None:
        parts = [_identity(inside(data, path)) for path in self._key]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        name = self._config.name
        named = _identity(inside(data, name)) if name is not None else None
        return Ref(_key(known), named)

    def version(self, data: Data) -> str | None:
        """The record's version, if it has one that never repeats."""
        path = self._config.version
        return None if path is None else _identity(inside(data, path))

    def modified(self, data: Data) -> dt.datetime | None:
        """When the record last changed.

        Raises:
            ConfigurationError: ``soap.timezone``: the time carries no zone.
        """
        path = self._config.modified
        value = inside(data, path) if path is not None else None
        if isinstance(value, dt.datetime):
            if value.tzinfo is None:
                raise no_zone(path or "")
            return value
        if isinstance(value, dt.date):
            return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
        return None

    def belongs(self, data: Data) -> bool:
        """False if ``only`` says that the record is not one of this stream."""
        return not self._only or all(
            _identity(inside(data, path)) in values
            for path, values in self._only.items()
        )

    def record(self, data: Data, operation: Operation) -> Record:
        """A complete record: what the answer left out has no value.

        What the schema requires and the answer lacks anyway is listed as incomplete.
        """
        ref = self.ref(data)
        if ref is None:
            message = f"{operation.where}: a record came without its key."
            raise NotApplied(message, code="soap.not-soap")
        missing = self._complete(data, operation)
        return Record(ref, data, self.version(data), missing)

    def change(
        self, item: Item, operation: Operation, *, thin: bool
    ) -> Change | Reject:
        """One item as a change, or why it cannot be one."""
        if item.reject is not None:
            return Reject(
                item.reject.reason,
                f"item {item.number}",
                self.ref(item.record),
                item.reject.field or None,
            )
        ref = self.ref(item.record)
        if ref is None:
            return Reject("soap.missing", f"item {item.number}", None, self._key[0])
        if thin:
            return Change(ref)
        data = item.record
        missing = self._complete(data, operation)
        return Change(
            ref,
            data=data,
            version=self.version(data),
            incomplete=missing,
        )

    def strip(self, data: Data) -> None:
        """Take out what was decoded only to be tested."""
        for name in [name for name in data if name not in self._names]:
            del data[name]

    def _complete(self, data: Data, operation: Operation) -> tuple[str, ...]:
        if data.keys() == self._names:
            return ()
        missing: list[str] = []
        for name, multi, required in self._empty:
            if name in data:
                continue
            if name in operation.incomplete or (required and not multi):
                missing.append(name)
            else:
                data[name] = [] if multi else None
        if not operation.whole and len(data) + len(missing) > len(self._empty):
            self.strip(data)
        return tuple(missing)


def is_marked(data: Data, test: Test | None) -> bool:
    """True if an item carries the mark of ``deleted``."""
    if test is None:
        return False
    value = _identity(inside(data, test.path))
    if test.equals is None or value is None:
        return value is not None
    wanted = test.equals if isinstance(test.equals, tuple) else (test.equals,)
    return value in {lexical(one) for one in wanted}


def key_values(config: SoapStreamConfig, refs: Sequence[Ref]) -> dict[str, Any]:
    """The placeholders ``{ref.FIELD}`` and ``{refs.FIELD}``."""
    found: dict[str, Any] = {}
    rows = [(ref.id,) if isinstance(ref.id, str) else ref.id for ref in refs]
    for position, path in enumerate(config.key):
        column = [row[position] for row in rows if position < len(row)]
        found[f"refs.{path}"] = column
        if len(rows) == 1 and column:
            found[f"ref.{path}"] = column[0]
    return found


def digest(data: Data) -> str:
    """64 bits that stand for a record's content."""
    text = repr(sorted(data.items(), key=lambda pair: pair[0]))
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=8
    ).hexdigest()


def short(text: str) -> str:
    """64 bits that stand for a key."""
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=8
    ).hexdigest()


def _key(parts: list[str]) -> Key:
    return parts[0] if len(parts) == 1 else tuple(parts)


def _identity(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, dict):
        return _identity(value.get("#text"))
    if value is MISSING or value is None or isinstance(value, list):
        return None
    if isinstance(value, bytes | float):
        return value.hex() if isinstance(value, bytes) else repr(value)
    return plain_text(value)
