"""What may stand on the right of a translator's table (entities 36).

Plain values: they say *what*, and are resolved against a stream and an entity type by
`moatbridge.translate.resolve`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from moatbridge.entities.conversion import mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.entities import Converter

Pick: TypeAlias = Literal["min", "first"]
By: TypeAlias = Literal["id", "name"]

MORE: Final = "... and {count} more"
"""What stands for lines that are left out, unless said otherwise."""

ITEM: Final = "$"
"""Inside ``each`` over a list of plain values: the value itself."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A record path, copied both ways through converters (record side first).

    Args:
        path: Record path.
        via: Converters.
        pick: Which value of a multi-valued field feeds a single place: ``min`` (the
            smallest) or ``first`` (ordered fields only); None for the default.
    """

    path: str
    via: tuple[Converter, ...] = ()
    pick: Pick | None = None

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        return ["copy", self.path, [each.identity for each in self.via], self.pick]


@dataclass(frozen=True, slots=True)
class Const:
    """A fixed JSON value; ignored on the way back."""

    value: Any

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        return ["const", repr(self.value)]


@dataclass(frozen=True, slots=True)
class Template:
    """Text with holes: ``{field}``, ``{field|converter}``, ``{field?}``.

    Args:
        text: The text.
        converters: By the names used in the holes.
        blocks: Name of a hole -> lines that stand there instead of a field.
    """

    text: str
    converters: Mapping[str, Converter] = field(default_factory=dict)
    blocks: Mapping[str, Lines] = field(default_factory=dict)

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        used = sorted((name, each.identity) for name, each in self.converters.items())
        blocks = sorted((name, each.identity) for name, each in self.blocks.items())
        return ["template", self.text, used, *([blocks] if blocks else [])]


@dataclass(frozen=True, slots=True)
class Lines:
    """One line of text for each item of a list: the items of an order in a post.

    Args:
        path: Record path of the list.
        template: One line; its holes are paths within an item, ``$`` is the item.
        most: Lines shown at most; None: all.
        more: The line that stands for those left out; ``{count}`` is their number.
    """

    path: str
    template: Template
    most: int | None = None
    more: str = MORE

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        return ["lines", self.path, self.template.identity, self.most, self.more]


@dataclass(frozen=True, slots=True)
class Computed:
    """A function of several paths; one-way.

    Args:
        function: Gets a dict with exactly the paths in ``reads``. Pure.
        reads: Paths; None: those named elsewhere in the same table.
        version: Change it when the function changes its meaning; without it, the
            function's code is its version.
    """

    function: Callable[[dict[str, Any]], Any]
    reads: tuple[str, ...] | None = None
    version: str = ""

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        reads = None if self.reads is None else list(self.reads)
        return ["computed", self.version or mark(self.function), reads]


@dataclass(frozen=True, slots=True)
class Ref:
    """A record path that names another record.

    Args:
        path: Record path of the id or name.
        to: Address of the stream pointed to, or a local name within the same system;
            None: what the stream's field says.
        by: Whether the text is the other record's id or its name; None: what the
            stream's field says, else ``id``.
        pick: See `Copy`.
    """

    path: str
    to: str | None = None
    by: By | None = None
    pick: Pick | None = None

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        return ["ref", self.path, self.to, self.by, self.pick]


@dataclass(frozen=True, slots=True)
class Each:
    """A whole list: one entry for each value of a multi-valued field, both ways.

    Args:
        path: Record path of the list.
        fields: Entry member -> source within one item; ``$`` is the item itself.
    """

    path: str
    fields: Mapping[str, Source]

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        inner = sorted((name, each.identity) for name, each in self.fields.items())
        return ["each", self.path, inner]


@dataclass(frozen=True, slots=True)
class First:
    """The first of several paths that is not empty.

    Args:
        paths: Record paths, best first.
        back: The one to write on the way back; None: one-way.
    """

    paths: tuple[str, ...]
    back: str | None = None

    @property
    def identity(self) -> list[Any]:
        """What makes it this source, as plain JSON."""
        return ["first", list(self.paths), self.back]


Source: TypeAlias = Copy | Const | Template | Computed | Ref | Each | First


def via(path: str, *converters: Any, pick: Pick | None = None) -> Copy:
    """A record path through converters (names or `Converter` objects), both ways.

    Raises:
        ConfigurationError: ``converter.unknown`` or ``converter.arguments``.
    """
    from moatbridge.entities import Converters  # noqa: PLC0415 - only where it is used

    return Copy(path, Converters().make(converters), pick)


def const(value: Any) -> Const:
    """A fixed value; ignored on the way back."""
    return Const(value)


def template(text: str, **blocks: Lines) -> Template:
    """Text with holes (``{givenName} {sn}``); one-way. Not `str.format`.

    Args:
        text: The text.
        blocks: `lines` that stand in the hole of that name.

    Raises:
        ConfigurationError: ``template.syntax``, ``path.syntax``, ``converter.unknown``.
    """
    from moatbridge.translate.templates import template_of  # noqa: PLC0415 - cycle

    return template_of(text, blocks=blocks)


def lines(path: str, text: str, *, most: int | None = None, more: str = MORE) -> Lines:
    """A block for `template`: one line for each item of the list at ``path``.

    Args:
        path: Record path of the list.
        text: One line, with holes that read the item; a plain hole that is null makes
            the whole text null, so write ``{note?}`` for what may be missing.
        most: Lines at most.
        more: Stands for the others; ``{count}`` is their number.

    Raises:
        ConfigurationError: See `template`.
    """
    from moatbridge.translate.templates import lines_of  # noqa: PLC0415 - cycle

    return lines_of(path, text, most=most, more=more)


def only_out(
    source: str | Callable[[dict[str, Any]], Any],
    reads: tuple[str, ...] | None = None,
    *,
    version: str = "",
) -> Template | Computed:
    """Record to entity only: a template, or a function of the fields in ``reads``."""
    if isinstance(source, str):
        return template(source)
    return Computed(source, None if reads is None else tuple(reads), version)


def only_in(
    source: str | Callable[[dict[str, Any]], Any],
    reads: tuple[str, ...] | None = None,
    *,
    version: str = "",
) -> Template | Computed:
    """Entity to record only, for ``back``: a template, or a function of ``reads``."""
    return only_out(source, reads, version=version)


def ref(
    path: str,
    to: str | None = None,
    by: By | None = None,
    *,
    pick: Pick | None = None,
) -> Ref:
    """A record path that names a record of stream ``to`` by its id or name."""
    return Ref(path, to, by, pick)


def each(path: str, fields: Mapping[str, str | Source]) -> Each:
    """One list entry for each item of a multi-valued field; ``$`` is the item."""
    return Each(
        path,
        {
            name: Copy(source) if isinstance(source, str) else source
            for name, source in fields.items()
        },
    )


def first(*paths: str, back: str | None = None) -> First:
    """The first of these paths that is not empty; ``back`` is the one to write."""
    return First(paths, back)


def lookup(table: Mapping[Any, Any], default: Any = None) -> Converter:
    """A converter by table; two-way when the table is a bijection without default."""
    from moatbridge.entities.core_converters import lookups  # noqa: PLC0415 - lazily

    return lookups(table, default)
