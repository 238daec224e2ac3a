"""How psycopg reads values where its own loaders will not do ("Data adaptation")."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg
from psycopg.adapt import Loader
from psycopg.pq import Format

from moatbridge_sql._values import Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOLERATED: Final = (
    "date", "time", "timetz", "timestamp", "timestamptz", "interval", "text",
    "varchar", "bpchar", "name", "json", "jsonb", "numeric", "uuid",
)  # fmt: skip


class _TolerantLoader(Loader):
    """Wraps the usual loader; what it cannot decode becomes a marker."""

    usual: ClassVar[type[Any]]

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        self._inner = self.usual(oid, context)

    def load(self, data: Any) -> Any:
        try:
            return self._inner.load(data)
        except (psycopg.Error, ValueError, ArithmeticError):
            return Undecodable(bytes(data))


@contextlib.contextmanager
def tolerant(driver: Any) -> Iterator[None]:
    """Pure-Python loaders on this connection, as long as the context lasts."""
    adapters, usual = driver.adapters, {}
    for name in _TOLERATED:
        oid = driver.adapters.types[name].oid
        usual[oid] = adapters.get_loader(oid, Format.TEXT)
        wrapped = type("Tolerant", (_TolerantLoader,), {"usual": usual[oid]})
        adapters.register_loader(oid, wrapped)
    try:
        yield
    finally:
        for oid, loader in usual.items():
            adapters.register_loader(oid, loader)


def recode(driver: Any, codec: str) -> None:
    """Read text of this connection with a codec of ours."""

    class Recoded(Loader):
        """Decodes with the configured codec."""

        def load(self, data: Any) -> str:
            return bytes(data).decode(codec)

    for name in ("text", "varchar", "bpchar", "name"):
        driver.adapters.register_loader(name, Recoded)
