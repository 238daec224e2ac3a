"""The stream setting ``types``: column -> decoder, both ways.

``bool:J/N`` reads J as True and N as False; ``date:%d.%m.%Y`` and ``datetime:FORMAT``
read and write text in that format; ``int decimal float text uuid json date datetime
bytes`` override what the catalogue says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from moatbridge.errors import ConfigurationError
from moatbridge_sql._schema import Kind
from moatbridge_sql._values import ValueFault, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge_sql._schema import Column

_PLAIN: Final = frozenset(
    {"int", "decimal", "float", "text", "uuid", "json", "date", "datetime", "bytes"}
)


@dataclass(frozen=True, slots=True)
class TypeRule:
    """One entry of ``types``, compiled.

    Args:
        kind: What the record will hold.
        decode: Extra step before the kind's own decoder, or None.
        encode: Extra step after the kind's own encoder, or None.
    """

    kind: Kind
    decode: Callable[[Any], Any] | None = None
    encode: Callable[[Any], Any] | None = None

    def applied(self, column: Column) -> Column:
        """The column as the record sees it."""
        scale = 0 if self.kind == "int" else None
        return replace(column, kind=self.kind, scale=scale)


def type_rule(text: str, field: str) -> TypeRule:
    """Compile one entry.

    Raises:
        ConfigurationError: ``sql.types``, naming the field.
    """
    name, colon, more = text.partition(":")
    if name == "bool" and more.count("/") == 1:
        return _boolean(*more.split("/"))
    if name in ("date", "datetime") and more:
        return _formatted(cast("Kind", name), more)
    if name in _PLAIN and not colon and name in get_args(Kind):
        return TypeRule(cast("Kind", name))
    raise ConfigurationError(
        f"types.{field} is none of bool:YES/NO, date:FORMAT, datetime:FORMAT, "
        f"{', '.join(sorted(_PLAIN))}.",
        code="sql.types",
    )


def _boolean(yes: str, no: str) -> TypeRule:
    words: Mapping[str, int] = {yes: 1, no: 0}

    def decode(value: Any) -> int:
        try:
            return words[text_of(value).strip()]
        except KeyError:
            raise ValueFault("not-a-boolean") from None

    return TypeRule("bool", decode, lambda value: yes if value else no)


def _formatted(kind: Kind, pattern: str) -> TypeRule:
    def decode(value: Any) -> Any:
        try:
            found = datetime.strptime(text_of(value).strip(), pattern)  # noqa: DTZ007 - zone comes later
        except ValueError:
            raise ValueFault("not-a-date") from None
        return found.date() if kind == "date" else found

    return TypeRule(kind, decode, lambda value: value.strftime(pattern))
