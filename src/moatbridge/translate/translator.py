"""The translator as a person declares it: a value, not yet tied to a stream."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from moatbridge.entities import (
    Converters,
    EntityType,
    Label,
    canonical_json,
    entity_type,
)
from moatbridge.entities import label as checked_label
from moatbridge.entities.plain import MAX_TEXT
from moatbridge.translate.guarded import OnError
from moatbridge.translate.problems import Problems, closest
from moatbridge.translate.sources import Computed, Const, Source, Template
from moatbridge.translate.tables import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Stream
    from moatbridge.entities import EntityTypes
    from moatbridge.translate.bound import BoundTranslator
    from moatbridge.translate.report import Report

SETTINGS: Final = (
    "entity", "fields", "back", "on_error",
    "label", "labels", "lower_label", "max_text",
)  # fmt: skip
"""Keys of the TOML form."""


@dataclass(frozen=True, eq=False, init=False)
class Translator:
    """Two-way translation between one stream's records and one entity type.

    A value: equal and hashable by content, picklable when its converters and functions
    are (module-level functions). Only what is named in ``fields`` ever leaves.

    Args:
        entity: Entity type, its ``TypedDict`` class, or a built-in name.
        fields: Entity path -> record path or source.
        back: Record path -> source, written on the way back only.
        on_error: A converter failed on the way to the entity: ``reject`` the record,
            clear the field (``null``), or say nothing about it (``skip``). On the way
            back it always rejects.
        label: Label of the stream's data; None: the entity type's.
        labels: Record field -> label; may only raise, unless ``lower_label`` says why.
        lower_label: The reason for lowering.
        max_text: Characters of one text; longer is a reject, never cut.
        types: Entity types known beside the built-in ones.
        converters: Where converters named in tables are found.

    Raises:
        ConfigurationError: ``translate.invalid``: every problem of form, all at once.
    """

    entity: EntityType
    fields: Mapping[str, Source]
    back: Mapping[str, Source] = field(default_factory=dict)
    on_error: OnError = "reject"
    label: Label | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    lower_label: str = ""
    max_text: int = MAX_TEXT

    def __init__(
        self,
        entity: str | type | EntityType,
        fields: Mapping[str, Any],
        *,
        back: Mapping[str, Any] | None = None,
        on_error: OnError = "reject",
        label: str | None = None,
        labels: Mapping[str, str] | None = None,
        lower_label: str = "",
        max_text: int = MAX_TEXT,
        types: EntityTypes | None = None,
        converters: Converters | None = None,
    ) -> None:
        problems = Problems("translator")
        known = converters or Converters()
        with problems.at("entity"):
            object.__setattr__(self, "entity", entity_type(entity, types))
        sources = _sources("fields", fields, known, problems)
        if not fields:
            problems.add("fields", "name at least one field")
        backs = _sources("back", back or {}, known, problems)
        for name, source in backs.items():
            if not isinstance(source, (Const, Template, Computed)):
                problems.add(f"back.{name}", "takes a const, a template or a function")
        self._settings(on_error, max_text, problems)
        self._labels(label, labels or {}, lower_label, problems)
        problems.stop()
        object.__setattr__(self, "fields", sources)
        object.__setattr__(self, "back", backs)

    def _settings(self, on_error: Any, max_text: Any, problems: Problems) -> None:
        if on_error not in get_args(OnError):
            problems.add("on_error", "takes reject, null or skip")
        if isinstance(max_text, bool) or not isinstance(max_text, int) or max_text < 1:
            problems.add("max_text", "takes a number of characters")
        object.__setattr__(self, "on_error", on_error)
        object.__setattr__(self, "max_text", max_text)

    def _labels(
        self,
        label: str | None,
        labels: Mapping[str, str],
        reason: str,
        problems: Problems,
    ) -> None:
        with problems.at("label"):
            found = None if label is None else checked_label(label)
            object.__setattr__(self, "label", found)
        each: dict[str, Label] = {}
        for name, text in labels.items():
            with problems.at(f"labels.{name}"):
                each[name] = checked_label(text)
        object.__setattr__(self, "labels", each)
        object.__setattr__(self, "lower_label", reason)

    @classmethod
    def from_table(
        cls,
        table: Mapping[str, Any],
        *,
        entity: str | None = None,
        types: EntityTypes | None = None,
        converters: Converters | None = None,
    ) -> Translator:
        """A translator from its TOML table.

        Args:
            table: ``[streams."SYSTEM/STREAM".translator]``.
            entity: The entity type if the table names none (the adapter's suggestion).
            types: See the class.
            converters: See the class.

        Raises:
            ConfigurationError: ``translate.invalid``.
        """
        problems = Problems("translator")
        for key in table:
            if key not in SETTINGS:
                problems.add(key, "unknown setting" + closest(key, SETTINGS))
        given = dict(table)
        kind = given.pop("entity", entity)
        fields = given.pop("fields", None)
        if kind is None:
            problems.add("entity", "name the entity type (Person, Group)")
        if not isinstance(fields, dict):
            problems.add("fields", "takes a table of entity path = source")
        problems.stop()
        return cls(kind, fields or {}, types=types, converters=converters, **given)

    @classmethod
    def identity(
        cls,
        entity: str | type | EntityType,
        paths: Sequence[str],
        stream: Stream,
        **options: Any,
    ) -> Translator:
        """For a stream whose records have the entity's own shape (`Stream.native`).

        Maps each path to itself as far as the stream can hold it; references become
        ``ref`` sources to the stream their field names.

        Args:
            entity: The entity type.
            paths: Entity paths wanted, for example those the source produces.
            stream: The native stream.
            options: Further arguments of the class.

        Raises:
            ConfigurationError: ``translate.invalid``: not one path fits.
        """
        from moatbridge.translate.native import native_fields  # noqa: PLC0415 - cycle

        kind = entity_type(entity, options.get("types"))
        return cls(kind, native_fields(kind, paths, stream), **options)

    def bind(self, stream: Stream, address: str | None = None) -> BoundTranslator:
        """Check against a stream; compiled at first use.

        Args:
            stream: What the adapter says about it.
            address: ``system/stream``; completes local stream names in references.

        Raises:
            ConfigurationError: ``translate.invalid``: every problem, all at once.
        """
        from moatbridge.translate.bound import BoundTranslator  # noqa: PLC0415 - cycle

        return BoundTranslator(self, stream, address or stream.name)

    def report(self, stream: Stream, address: str | None = None) -> Report:
        """What leaves, what is lost, what cannot go back (see `Report`).

        Raises:
            ConfigurationError: See `bind`.
        """
        return self.bind(stream, address).report()

    @property
    def version(self) -> str:
        """Sixteen hex digits over the table and the versions of its converters."""
        return hashlib.sha256(canonical_json(self._content).encode()).hexdigest()[:16]

    @property
    def _content(self) -> list[Any]:
        return [
            self.entity.name,
            [[path, source.identity] for path, source in self.fields.items()],
            [[path, source.identity] for path, source in self.back.items()],
            [self.on_error, self.label, dict(self.labels), self.max_text],
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Translator) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self.version)


def _sources(
    key: str, given: Mapping[str, Any], converters: Converters, problems: Problems
) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for path, source in given.items():
        with problems.at(f"{key}.{path}"):
            found[path] = source_of(source, converters)
    return found
