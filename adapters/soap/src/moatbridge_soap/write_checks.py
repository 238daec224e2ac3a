"""What a write table asks for must be possible: looked at when it is loaded. Pure.

Whatever is refused here would otherwise take effect and lose something: fields that the
service empties (soap 52), a record that nobody can name (soap 63), a version that is
never sent (soap 65).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_soap.config.operations import BatchConfig, WriteConfig
    from moatbridge_soap.config.system import SoapStreamConfig
    from moatbridge_soap.operation import Operation

_CHANGING: Final = frozenset({"update", "upsert"})
_CREATING: Final = frozenset({"create", "upsert"})


def check_write(
    table: str, stream: SoapStreamConfig, operation: Operation, *, before: bool
) -> None:
    """Refuse a write table that would lose something.

    Args:
        table: Its name.
        stream: The stream's settings.
        operation: The table's compiled operation.
        before: A full update can read the present record first.

    Raises:
        ConfigurationError: ``soap.mode``, ``soap.batch``, ``soap.no-id``.
    """
    settings, where = stream.writes[table], operation.where
    if table in _CHANGING and settings.mode == "full" and not before:
        raise ConfigurationError(
            f'{where}: mode = "full" reads the record before it replaces it, so it '
            "needs a table get, and {record} or {record.FIELD} in its request.",
            code="soap.mode",
        )
    if settings.batch is not None and settings.batch.result is not None:
        wrong = next(_wrong_with_batch(table, stream, operation), None)
        if wrong is not None:
            raise ConfigurationError(f"{where}.batch: {wrong}.", code="soap.batch")
    if table in _CREATING and not _names_what_it_made(table, stream, operation):
        raise ConfigurationError(
            f"{where}: set result (the path of the new key in the answer, one for each "
            "field of key), or send the key in the request; else nobody could name "
            "what was created.",
            code="soap.no-id",
        )


def _wrong_with_batch(
    table: str, stream: SoapStreamConfig, operation: Operation
) -> Iterator[str]:
    settings: WriteConfig = stream.writes[table]
    names = operation.request.names
    if "version" in names:
        yield (
            "{version} has no value for several records at once, so nothing would "
            "compare it; leave out batch or {version}"
        )
    single = sorted(n for n in names if n.startswith(("ref.", "record.")))
    if single:
        yield (
            f"{{{single[0]}}} has no value for several records at once; write "
            "{record} or {refs.FIELD}, or leave out batch"
        )
    bare = settings.mode is None and stream.get is not None
    if table in _CHANGING and (settings.mode == "full" or bare):
        yield (
            "records of a batch are not read before they are written, so a service "
            "that replaces the whole record would empty the other fields; leave out "
            'batch, or say mode = "partial" if it changes only what is sent'
        )
    batch = settings.batch
    if batch is not None and batch.by == "key":
        yield from _wrong_with_key(stream, batch)


def _wrong_with_key(stream: SoapStreamConfig, batch: BatchConfig) -> Iterator[str]:
    if batch.key is None:
        yield 'set key, the field of the key in a result line, or by = "position"'
    elif len(stream.key) > 1:
        yield (
            "one field does not tell records with a compound key apart; set "
            'by = "position" if the lines come in the order of the request'
        )


def _names_what_it_made(
    table: str, stream: SoapStreamConfig, operation: Operation
) -> bool:
    settings = stream.writes[table]
    if settings.results:
        return len(settings.results) == len(stream.key)
    if settings.batch is not None and settings.batch.result and settings.batch.key:
        return len(stream.key) == 1 or _sends_key(table, stream, operation)
    return _sends_key(table, stream, operation)


def _sends_key(table: str, stream: SoapStreamConfig, operation: Operation) -> bool:
    names, slots = operation.request.names, operation.request.writable or {}
    known = table == "upsert"
    return all(
        path.partition(".")[0] in slots
        or f"record.{path}" in names
        or (known and f"ref.{path}" in names)
        for path in stream.key
    )
