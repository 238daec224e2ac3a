"""Records from trees (JSON, XML, copybooks): a path per field, values checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moatbridge_sftp.formats.fields import FieldSpec, source_of
from moatbridge_sftp.formats.rows import FAULTS, Fault
from moatbridge_sftp.formats.values import Required, cell_reader, cell_writer

if TYPE_CHECKING:
    from collections.abc import Collection

MISSING: Final = object()
Convert = Callable[[Any], Any]
Get = Callable[[Any], Any]


def native_reader(spec: FieldSpec, *, multi: bool = False) -> Convert:
    """The function from a value of a typed format (JSON) to the field's value.

    Text is read by the field's rules, but an empty text stays one where the type is
    text: the format itself can say null. Codes that come as numbers become text.
    """
    one = _one_reader(spec)
    if not multi:
        return one

    def many(value: Any) -> Any:
        if value is None:
            return one(None)
        entries = value if isinstance(value, list) else [value]
        if spec.required and not entries:
            raise Required("required")
        return [one(entry) for entry in entries]

    return many


def _one_reader(spec: FieldSpec) -> Convert:
    if spec.type == "json":
        return _required(lambda value: value, spec)
    read, plain, nulls = cell_reader(spec), spec.type == "text", spec.nulls
    native = _NATIVE.get(spec.type, ())

    def convert(value: Any) -> Any:
        kind = value.__class__
        if kind is str:
            if plain and not value and not nulls:
                return value
            return read(value)
        if kind in native:
            return Decimal(value) if spec.type == "decimal" else value
        if plain and kind in (int, Decimal):
            return read(str(value))
        raise ValueError("not of the type")

    return _required(convert, spec)


def _required(convert: Convert, spec: FieldSpec) -> Convert:
    def run(value: Any) -> Any:
        if value is None or (spec.required and value == ""):
            if spec.required:
                raise Required("required")
            return None
        return convert(value)

    return run


_NATIVE: Final[Mapping[str, tuple[type, ...]]] = {
    "integer": (int,),
    "decimal": (int, Decimal),
    "boolean": (bool,),
}


class Tree:
    """How one node becomes a record.

    Args:
        fields: Field name -> spec.
        getter: From a source path to the function that fetches it from a node, giving
            `MISSING` if it is not there.
        multi: Fields that are always lists.
        omit: Whether a missing value leaves its field out (else it is null).
    """

    def __init__(
        self,
        fields: Mapping[str, FieldSpec],
        getter: Callable[[str, FieldSpec], Get],
        *,
        multi: Collection[str] = (),
        omit: bool = True,
    ) -> None:
        self._omit = omit
        self._readers = [
            (
                name,
                getter(source_of(name, spec), spec),
                native_reader(spec, multi=name in multi),
                spec.required,
            )
            for name, spec in fields.items()
        ]

    def record(self, node: Any) -> dict[str, Any]:
        """The record of a node.

        Raises:
            Fault: Naming the field.
        """
        record: dict[str, Any] = {}
        for name, get, read, required in self._readers:
            try:
                value = get(node)
                if value is MISSING:
                    if self._omit and not required:
                        continue
                    value = None
                record[name] = read(value)
            except Required:
                raise Fault(name, "required") from None
            except FAULTS:
                raise Fault(name, "value") from None
        return record


def dotted(path: str, spec: FieldSpec) -> Get:
    """Members of objects: ``address.city``."""
    del spec
    steps = path.split(".")
    if len(steps) == 1:
        only = steps[0]
        return lambda node: node.get(only, MISSING)

    def get(node: Any) -> Any:
        for step in steps:
            if not isinstance(node, dict):
                return MISSING if node is None else _broken()
            node = node.get(step, MISSING)
            if node is MISSING:
                return MISSING
        return node

    return get


def _broken() -> Any:
    raise ValueError("a value where an object should be")


def native_writer(spec: FieldSpec, *, multi: bool = False) -> Convert:
    """The function from a field's value to what JSON holds; numbers stay numbers."""
    text = cell_writer(spec)
    plain = spec.decimal_sep == "." and spec.sign == "leading" and not spec.implied

    def one(value: Any) -> Any:
        if spec.type == "json":
            return value
        written = text(value)
        if value is None:
            return None
        if spec.type == "boolean":
            return value
        if spec.type == "integer" and spec.sign == "leading":
            return int(written)
        return Decimal(written) if spec.type == "decimal" and plain else written

    def many(value: Any) -> Any:
        if value is not None and not isinstance(value, list):
            raise ValueError("is not a list")
        return None if value is None else [one(entry) for entry in value]

    return many if multi else one
