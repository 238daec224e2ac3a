"""Streams as the configuration and the WSDL make them (soap 53)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moatbridge.adapter import Stream
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.adapter import Field
    from moatbridge_soap.config.system import SoapStreamConfig
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.records import Records


@dataclass(frozen=True, slots=True)
class CompiledStream:
    """One stream of one port. Immutable; shared between connections.

    Args:
        name: Local name.
        config: Its settings.
        fields: What records hold.
        records: Makes records of items.
        operations: Table name (``list``, ``get`` ...) -> the operation.
        more: Table name -> the operation that continues its pages.
        before: ``get``, decoding all that a full update sends back.
        warnings: For ``check``.
    """

    name: str
    config: SoapStreamConfig
    fields: tuple[Field, ...]
    records: Records
    operations: Mapping[str, Operation] = field(repr=False)
    more: Mapping[str, Operation] = field(repr=False)
    before: Operation | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def operation(self, table: str) -> Operation:
        """The operation of a table.

        Raises:
            ConfigurationError: ``soap.no-operation``.
        """
        found = self.operations.get(table)
        if found is None:
            raise ConfigurationError(
                f"Stream {self.name} has no table {table}: it cannot do that.",
                code="soap.no-operation",
            )
        return found

    @property
    def abilities(self) -> frozenset[str]:
        """What the tables make possible."""
        tables = set(self.operations)
        found = {
            "CanScan": "list" in tables,
            "CanFollow": "changes" in tables,
            "CanFetch": "get" in tables,
            "CanFind": "find" in tables or "get" in tables,
            "CanWrite": bool(self.config.writes),
        }
        return frozenset(name for name, has in found.items() if has)

    def described(self) -> Stream:
        """The stream for the core."""
        key = self.config.key
        flat = {f.name for f in self.fields}
        changes = self.config.changes
        deletes = changes is not None and (
            changes.deleted is not None or self.config.deletes is not None
        )
        return Stream(
            self.name,
            self.fields,
            key=key if set(key) <= flat else (),
            abilities=self.abilities,
            entity=self.config.entity,
            sees_deletes=deletes,
            query=self.query,
        )

    @property
    def query(self) -> str:
        """Fingerprint of what decides which records belong to the stream."""
        tables = {
            name: [table.operation, table.request]
            for name in ("list", "changes", "deletes")
            if (table := getattr(self.config, name)) is not None
        }
        only = {name: list(values) for name, values in self.config.only.items()}
        parts = [
            list(self.config.key),
            sorted(f.name for f in self.fields),
            tables,
            only,
        ]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
