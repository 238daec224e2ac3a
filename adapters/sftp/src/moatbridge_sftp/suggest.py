"""What the name and the type of a column of a file say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Field, named_paths, plain_name

if TYPE_CHECKING:
    from moatbridge.adapter import FieldType

_TYPES: Final[dict[str, FieldType]] = {
    "text": "text",
    "integer": "int",
    "decimal": "decimal",
    "date": "date",
    "datetime": "datetime",
    "boolean": "bool",
    "binary": "bytes",
    "json": "json",
}
_KEYS: Final = frozenset({"externalId", "userName", "enterprise.employeeNumber"})
_ACTIONS: Final = frozenset({
    "action", "aktion", "operation", "op", "aenderungsart", "satzart", "changetype",
    "kz",
})  # fmt: skip


def field_type(told: str) -> FieldType:
    """What a field's type is called in the core."""
    return _TYPES.get(told, "any")


def is_action(name: str) -> bool:
    """Whether a column's name says that it holds what happened to a record."""
    return plain_name(name) in _ACTIONS


def is_key(name: str) -> bool:
    """Whether a column's name is usual for an identity."""
    return plain_name(name) == "id" or not _KEYS.isdisjoint(named_paths([Field(name)]))
