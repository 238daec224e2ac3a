"""A translator tied to one stream: checked at once, compiled at first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from moatbridge.entities import Label, highest
from moatbridge.entities.canonical import fingerprinter
from moatbridge.errors import TranslationError
from moatbridge.translate.decoders import projection
from moatbridge.translate.generate import Compiled, compile_leaves
from moatbridge.translate.labelling import constant_label, labelled
from moatbridge.translate.resolve import Resolved, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moatbridge.adapter import Stream
    from moatbridge.translate.report import Report
    from moatbridge.translate.translator import Translator

Entity = dict[str, Any]
Data = dict[str, Any]


class BoundTranslator:
    """The functions of one translator over one stream. Immutable; any thread.

    All functions are pure: they change none of their arguments.

    Args:
        translator: What to do.
        stream: The stream's description.
        address: ``system/stream``.

    Attributes:
        entity: Name of the entity type.
        version: Hash of the table and of the converters' versions.
        label: Label of every entity made here.
        paths: Entity paths that `decode` can produce, slots included.
        owned: Record paths that `encode` may set, slots included.
        reads: Record fields that are read, sorted.
        needs_before: Some path can only be encoded with the current record.
        references: ``(entity path, stream address, "id" or "name")``.

    Raises:
        ConfigurationError: ``translate.invalid``: every problem, all at once.
    """

    def __init__(self, translator: Translator, stream: Stream, address: str) -> None:
        self.translator = translator
        self.stream = stream
        self.address = address
        self.resolved: Resolved = resolve(translator, stream, address)
        self.entity: str = translator.entity.name
        self._fingerprint = fingerprinter(translator.entity)
        self.version: str = translator.version
        self.label: Label = self._label()
        self.resolved = labelled(self.resolved, self.label)
        leaves = self.resolved.leaves
        self.paths: tuple[str, ...] = tuple(leaf.spot.text for leaf in leaves)
        self.owned: tuple[str, ...] = self.resolved.owned
        self.reads: tuple[str, ...] = tuple(place.top for place in self.resolved.reads)
        self.needs_before: bool = any(
            leaf.write is not None and leaf.write.needs_before for leaf in leaves
        )
        self.references: tuple[tuple[str, str, str], ...] = tuple(
            (each.path, each.to, each.by) for leaf in leaves for each in leaf.references
        )

    def project(self, data: Data) -> tuple[Any, ...]:
        """The values of the fields that are read, in the order of `reads`.

        Lists without order are sorted: equal projections mean "nothing to do".
        """
        return self._project(data)

    def decode(self, data: Data, incomplete: Sequence[str] = ()) -> Entity:
        """The entity of a complete record.

        Args:
            data: A field missing from it is null (``[]`` for lists).
            incomplete: Fields that say nothing, whatever ``data`` holds.

        Raises:
            TranslationError: Names the entity path and the kind of fault.
        """
        try:
            return self._compiled.decode(data, incomplete)
        except TranslationError as error:
            raise error.at(stream=self.address) from None

    def decode_partial(self, data: Data, incomplete: Sequence[str] = ()) -> Entity:
        """The entity of a partial record: what is missing says nothing.

        Raises:
            TranslationError: See `decode`.
        """
        try:
            return self._compiled.decode_partial(data, incomplete)
        except TranslationError as error:
            raise error.at(stream=self.address) from None

    def encode_new(self, entity: Entity) -> Data:
        """The record to create: no nulls, no cleared slots, all of ``back``.

        Raises:
            TranslationError: See `decode`.
        """
        try:
            return self._compiled.encode_new(entity)
        except TranslationError as error:
            raise error.at(stream=self.address) from None

    def encode(self, entity: Entity, before: Data | None = None) -> Data:
        """The fields to set in an existing record; None and ``[]`` clear.

        Args:
            entity: Paths absent from it are left out.
            before: The record as it is now.

        Raises:
            NotApplied: ``translate.before``: the entity names a path that needs the
                current record, and there is none.
            TranslationError: See `decode`.
        """
        try:
            return self._compiled.encode(entity, before)
        except TranslationError as error:
            raise error.at(stream=self.address) from None

    def owned_by(self, entity: Entity) -> tuple[str, ...]:
        """The record paths that encoding this very entity sets."""
        return self._compiled.owned_by(entity)

    def cut(self, entity: Entity) -> Entity:
        """What of an entity this stream can hold; for the out fingerprint."""
        return self._cut(entity)

    def restrict(self, paths: Iterable[str]) -> Callable[[Entity], Entity]:
        """A function like `cut`, for entities that hold only these paths.

        Where ``paths`` owns a whole list and this translator a slot of it, a list
        without that slot's entry says that the entry is gone: the function adds it as
        a cleared slot. So give `encode` what this function returns.

        Args:
            paths: What the source produces (its `paths`).
        """
        from moatbridge.translate.cutting import cutter  # noqa: PLC0415 - cycle

        return cutter(self.resolved, paths)

    def fingerprint(self, entity: Entity) -> bytes:
        """`moatbridge.entities.fingerprint` with this entity type."""
        return self._fingerprint(entity)

    def report(self) -> Report:
        """What leaves, what is lost, what cannot go back."""
        from moatbridge.translate.report import report_of  # noqa: PLC0415 - cycle

        return report_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return BoundTranslator, (self.translator, self.stream, self.address)

    def __repr__(self) -> str:
        return f"BoundTranslator({self.entity} {self.address} {self.version})"

    @cached_property
    def _compiled(self) -> Compiled:
        return compile_leaves(
            self.resolved.leaves,
            self.resolved.backs,
            on_error=self.translator.on_error,
            limit=self.translator.max_text,
            entity=self.entity,
        )

    @cached_property
    def _project(self) -> Callable[[Data], tuple[Any, ...]]:
        return projection(self.resolved.reads)

    @cached_property
    def _cut(self) -> Callable[[Entity], Entity]:
        return self.restrict(self.paths)

    def _label(self) -> Label:
        translator = self.translator
        base = translator.label or translator.entity.label
        labels: list[str | None] = [base]
        if not translator.lower_label:
            labels.append(self.stream.label)
        tops = {place.top: place.field for place in self.resolved.reads}
        for place in self.resolved.places:
            hint = place.field.label if place.field else None
            top = tops[place.top]
            named = translator.labels.get(place.text) or translator.labels.get(
                place.top
            )
            hints = [named] if named else [hint, top.label if top else None]
            labels += hints
        labels += [leaf.spot.shape.attribute.label for leaf in self.resolved.leaves]
        labels += [c.label for leaf in self.resolved.leaves for c in leaf.converters]
        return highest(*labels, constant_label(self.resolved))
