"""A converter: one pair of pure functions between a record's and an entity's value.

Adapters offer their own under a prefix (``ad.enabled``) through the entry point group
``moatbridge.converters``; each entry is a `Converter`, or a function of plain TOML
arguments that returns one (entities 40-44).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from moatbridge.entities.canonical import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.entities.labels import Label

Reversible: TypeAlias = Literal["yes", "normalising", "no"]


@dataclass(frozen=True, eq=False)
class Converter:
    """How one value is translated, both ways.

    Both functions are pure (no clock, no locale, no state) and total, or raise
    `ValueError`; raise `moatbridge.entities.Fault` to give a reason that is shown. They
    are never called with None unless ``null_aware``. Module-level functions and
    `functools.partial` of them keep a translator picklable.

    Args:
        name: ``lower``, ``ad.enabled``.
        decode: Record value -> entity value.
        encode: Entity value -> record value, or ``(value, before) -> record value``
            with ``needs_before``, where ``before`` is the record's current value or
            None. Setting it twice must be the same as setting it once. None if there
            is no way back.
        reversible: ``normalising``: decode(encode(decode(x))) == decode(x).
        needs_before: See ``encode``; for bit fields and packed columns.
        null_aware: Both functions also take and may return None.
        label: Lowest label of what it produces.
        arguments: What it was made with; part of its identity.
        version: Change it when the functions change their meaning.
    """

    name: str
    decode: Callable[[Any], Any]
    encode: Callable[..., Any] | None = None
    reversible: Reversible = "yes"
    needs_before: bool = False
    null_aware: bool = False
    label: Label | None = None
    arguments: Mapping[str, Any] | None = None
    version: str = ""

    def __post_init__(self) -> None:
        """A converter without a way back is never called reversible."""
        if self.encode is None:
            object.__setattr__(self, "reversible", "no")

    @property
    def identity(self) -> list[Any]:
        """What makes it this converter, as plain JSON; goes into versions."""
        marks = [] if self.version else [mark(self.decode), mark(self.encode)]
        return [
            self.name,
            self.version,
            _shown(self.arguments),
            self.reversible,
            *marks,
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Converter) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(canonical_json(self.identity))

    def __repr__(self) -> str:
        return f"Converter({self.name})"


def mark(function: Callable[..., Any] | None) -> str:
    """A text that changes when a function's name, code or bound arguments change."""
    if function is None:
        return ""
    bound = getattr(function, "args", ())
    inner = getattr(function, "func", function)
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None)
    body = (code.co_code.hex(), code.co_names, _constants(code)) if code else ""
    return f"{getattr(inner, '__module__', '')}:{name}:{body}:{bound!r}"


def _constants(code: Any) -> list[str]:
    return [
        repr((each.co_code.hex(), each.co_names))  # an inner function: no addresses
        if hasattr(each, "co_code")
        else repr(each)
        for each in code.co_consts
    ]


def _shown(arguments: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: repr(each) for name, each in (arguments or {}).items()}
