"""``request`` tables bound to the operation's input type, once, at load (soap 48-51).

A table becomes a tree of small functions ``values -> what zeep takes``. Everything that
can be wrong in the table itself (unknown element, missing required element, a literal
of the wrong type, two branches of a choice) is found while binding; what remains for
run time is the values' own types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from zeep import xsd

from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_soap.request._lexical import (
    WrongValue,
    check_text,
    converter,
)
from moatbridge_soap.request._placeholders import MISSING, Text
from moatbridge_soap.request._slots import TEXT, Slot, slots_of
from moatbridge_soap.wsdl import nearest

Values: TypeAlias = Mapping[str, Any]
Build: TypeAlias = Callable[[Values], Any]

OMIT: Final = MISSING


class Request:
    """One operation's input, ready to be filled.

    Args:
        operation: zeep's bound operation.
        table: The configured ``request``.
        where: Place in the configuration, for messages.
        unsent: Fields of a record that are left out wherever the schema allows it.
    """

    def __init__(
        self,
        operation: Any,
        table: Mapping[str, Any],
        where: str,
        *,
        unsent: frozenset[str] = frozenset(),
    ) -> None:
        self._binder = _Binder(unsent)
        body = operation.input.body
        slots = {} if body is None else slots_of(body.type, where)
        if body is not None and not slots and table:
            slots = _bare(body)
        self._builders = self._binder.table(slots, table, where)
        self.where = where
        self.names: frozenset[str] = frozenset(self._binder.names)
        self.writable: dict[str, Slot] | None = self._binder.record_slots

    def build(self, values: Values) -> dict[str, Any]:
        """Keyword arguments for zeep.

        Raises:
            Rejected: ``soap.value``, ``soap.text``, ``soap.required``,
                ``soap.unknown-field``.
            ConfigurationError: ``soap.placeholder``: a required element has no value.
        """
        built = ((argument, build(values)) for argument, build in self._builders)
        return {argument: value for argument, value in built if value is not OMIT}

    def uses(self, name: str) -> bool:
        """True if the placeholder stands somewhere in the table."""
        return name in self.names


class _Binder:
    def __init__(self, unsent: frozenset[str]) -> None:
        self.names: set[str] = set()
        self.record_slots: dict[str, Slot] | None = None
        self._unsent = unsent

    def table(
        self, slots: Mapping[str, Slot], table: Mapping[str, Any], where: str
    ) -> list[tuple[str, Build]]:
        for name in table:
            if name not in slots:
                words = f"{where}: the input has no element {name!r}"
                raise _wrong(f"{words}{nearest(name, slots)}.")
        _check_choices(slots, table, where)
        for name, slot in slots.items():
            if name not in table and not slot.optional and not slot.nillable:
                raise _wrong(f"{where}: the required element {name!r} is missing.")
        builders = [
            (slots[name].argument, self.node(slots[name], value, f"{where}.{name}"))
            for name, value in table.items()
        ]
        for name, slot in slots.items():
            if name not in table and not slot.optional:
                builders.append((slot.argument, lambda _: xsd.Nil))
        return builders

    def node(self, slot: Slot, value: Any, where: str) -> Build:
        if isinstance(value, dict):
            return self._nested(slot, value, where)
        if isinstance(value, list):
            if not slot.many:
                raise _wrong(f"{where} takes one value, not a list.")
            single = _one(slot)
            each = [self.node(single, entry, where) for entry in value]
            return lambda values: [
                found for build in each if (found := build(values)) is not OMIT
            ]
        if isinstance(value, str):
            text = Text(value, where)
            if text.names:
                return self._filled(slot, text, where)
        return self._literal(slot, value, where)

    def _nested(self, slot: Slot, table: dict[str, Any], where: str) -> Build:
        if not slot.compound:
            raise _wrong(f"{where} takes a plain value, not a table.")
        builders = self.table(slots_of(slot.type, where), table, where)

        def build(values: Values) -> Any:
            built = {a: v for a, b in builders if (v := b(values)) is not OMIT}
            return built or (OMIT if slot.optional else built)

        return (lambda values: [build(values)]) if slot.many else build

    def _literal(self, slot: Slot, value: Any, where: str) -> Build:
        if slot.compound:
            raise _wrong(f"{where} takes a table, not a plain value.")
        try:
            constant = _leaf(slot, where)(value)
        except Rejected as error:
            raise _wrong(error.message) from None
        fixed = [constant] if slot.many else constant
        return lambda _: fixed

    def _filled(self, slot: Slot, text: Text, where: str) -> Build:
        self.names.update(text.names)
        encode = self._encoder(slot, text, where)

        def build(values: Values) -> Any:
            found = text.value(values)
            if found is MISSING:
                return _absent(slot, where)
            if slot.many:
                entries = found if isinstance(found, list | tuple) else [found]
                return [encode(entry) for entry in entries]
            if isinstance(found, list | tuple) and len(found) == 1:
                found = found[0]
            return encode(found)

        return build

    def _encoder(self, slot: Slot, text: Text, where: str) -> Callable[[Any], Any]:
        if not slot.compound:
            return _nullable(slot, _leaf(slot, _field(text, where)), where)
        slots = slots_of(slot.type, where)
        if text.whole == "record":
            self.record_slots = {**(self.record_slots or {}), **slots}
        inner = RecordEncoder(slots, where, unsent=self._unsent)
        return _nullable(slot, inner, where)


class RecordEncoder:
    """A record, or an object inside one -> zeep's arguments (soap 50).

    Args:
        slots: Of the input type.
        where: Place in the configuration.
        prefix: Path of the object inside the record.
        unsent: Fields left out where the schema allows it.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        where: str,
        prefix: str = "",
        *,
        unsent: frozenset[str] = frozenset(),
    ) -> None:
        self._slots = slots
        self._where = where
        self._prefix = prefix
        self._unsent = unsent
        self._encoders: dict[str, Callable[[Any], Any]] = {}

    def __call__(self, record: Any) -> dict[str, Any]:
        if not isinstance(record, dict):
            place = self._prefix.rstrip(".") or "the record"
            raise _rejected(f"{place} must be a table of fields", "value")
        built: dict[str, Any] = {}
        for name, value in record.items():
            slot = self._slots.get(name)
            if slot is None:
                if name in self._unsent:
                    continue
                words = f"the operation has no field for {self._prefix}{name}"
                raise _rejected(words, "unknown-field")
            if slot.optional and name in self._unsent:
                continue
            encoded = self._encode(slot, value)
            if encoded is not OMIT:
                built[slot.argument] = encoded
        self._complete(record, built)
        return built

    def _encode(self, slot: Slot, value: Any) -> Any:
        encode = self._encoders.get(slot.name)
        if encode is None:
            encode = self._encoders[slot.name] = self._compile(slot)
        if not slot.many:
            return encode(value)
        entries = value if isinstance(value, list | tuple) else [value]
        entries = [] if value is None else entries
        return [encode(entry) for entry in entries]

    def _compile(self, slot: Slot) -> Callable[[Any], Any]:
        path = f"{self._prefix}{slot.name}"
        if not slot.compound:
            return _nullable(slot, _leaf(slot, path), path)
        slots = slots_of(slot.type, self._where)
        inner = RecordEncoder(slots, self._where, f"{path}.")
        return _nullable(slot, _textual(inner, slots), path)

    def _complete(self, record: Mapping[str, Any], built: dict[str, Any]) -> None:
        for name, slot in self._slots.items():
            if slot.optional or slot.argument in built:
                continue
            if slot.nillable and name not in record:
                built[slot.argument] = xsd.Nil
                continue
            words = f"the service requires {self._prefix}{name}"
            raise _rejected(words, "required")


def _textual(inner: RecordEncoder, slots: Mapping[str, Slot]) -> Callable[[Any], Any]:
    # An element with attributes: plain text stands for its content alone.
    if TEXT not in slots:
        return inner
    return lambda value: inner(value if isinstance(value, dict) else {TEXT: value})


def _nullable(
    slot: Slot, encode: Callable[[Any], Any], where: str
) -> Callable[[Any], Any]:
    def build(value: Any) -> Any:
        if value is not None:
            return encode(value)
        if slot.nillable:
            return xsd.Nil
        if slot.optional:
            return OMIT
        raise _rejected(f"{where} cannot be empty", "required")

    return build


def _leaf(slot: Slot, where: str) -> Callable[[Any], Any]:
    convert = converter(slot.type)

    def build(value: Any) -> Any:
        try:
            found = convert(value)
        except WrongValue as error:
            raise _rejected(f"{where} must be of type {error}", "value") from None
        except (ValueError, OverflowError):
            raise _rejected(f"{where} cannot be written", "value") from None
        return check_text(found, where) if isinstance(found, str) else found

    return build


def _absent(slot: Slot, where: str) -> Any:
    if slot.optional:
        return OMIT
    if slot.nillable:
        return xsd.Nil
    if not slot.compound and converter(slot.type).__name__ == "plain_text":
        return ""
    message = f"{where} has no value here, but the service requires the element."
    raise ConfigurationError(message, code="soap.placeholder")


def _check_choices(
    slots: Mapping[str, Slot], table: Mapping[str, Any], where: str
) -> None:
    taken: dict[int, tuple[int, str]] = {}
    for name in table:
        for choice, branch in slots[name].branches:
            before = taken.setdefault(choice, (branch, name))
            if before[0] != branch:
                words = f"{before[1]!r} and {name!r} exclude each other (a choice)"
                raise _wrong(f"{where}: {words}.")


def _one(slot: Slot) -> Slot:
    return Slot(
        slot.name, slot.argument, slot.type, optional=True, nillable=slot.nillable
    )


def _bare(body: Any) -> dict[str, Slot]:
    """The input is one simple element: its value goes in under its own name."""
    return {body.name: Slot(body.name, "_value_1", body.type, optional=True)}


def _field(text: Text, where: str) -> str:
    name = text.whole or ""
    return name.removeprefix("record.") if name.startswith("record.") else where


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="soap.path")


def _rejected(words: str, what: str) -> Rejected:
    return Rejected(f"Not sent: {words}.", code=f"soap.{what}")
