"""From intents to the rows of one file. Pure but for the spool it writes to."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.changes import Receipt, Ref
from moatbridge_sftp.pickup.turning import ref_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Intent
    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.parsing import Parser

_DIGITS: Final = 16


class Rendered(NamedTuple):
    """One file's content.

    Args:
        key: What names the file: digits that stand for its intents, in order.
        refs: Ref of each intent that went in, by place in the batch.
        refused: Receipts of the others, by place in the batch.
    """

    key: str
    refs: dict[int, Ref | None]
    refused: dict[int, Receipt]


class _Row(NamedTuple):
    place: int
    key: str
    ref: Ref | None
    record: dict[str, Any]


def render(
    intents: Sequence[Intent],
    file: IO[bytes],
    *,
    config: SftpStreamConfig,
    parser: Parser,
    moment: dict[str, str],
) -> Rendered:
    """Write the rows of a batch; what cannot be written is left out of it.

    Args:
        intents: The batch.
        file: Empty spool.
        config: The stream's settings.
        parser: Its format.
        moment: Template fields of the time, for header and trailer.
    """
    rows, refused = _rows(intents, config)
    if config.header_line is not None:
        held = parser.scratch()
        rows = _write(rows, held, parser, refused)
        file.write(_line(config.header_line, rows, config, parser, moment))
        held.seek(0)
        while block := held.read(1 << 16):
            file.write(block)
        held.close()
    else:
        rows = _write(rows, file, parser, refused)
    if config.trailer_line is not None:
        file.write(_line(config.trailer_line, rows, config, parser, moment))
    digest = hashlib.sha256("\n".join(row.key for row in rows).encode())
    refs = {row.place: row.ref for row in rows}
    return Rendered(digest.hexdigest()[:_DIGITS], refs, refused)


def _rows(
    intents: Sequence[Intent], config: SftpStreamConfig
) -> tuple[list[_Row], dict[int, Receipt]]:
    rows: list[_Row] = []
    refused: dict[int, Receipt] = {}
    for place, intent in enumerate(intents):
        made = _row(intent, config)
        if isinstance(made, str):
            refused[place] = Receipt("rejected", intent.ref, code=made)
        else:
            ref = ref_of(made, config.key) or intent.ref
            rows.append(_Row(place, intent.key, ref, made))
    return rows, refused


def _row(intent: Intent, config: SftpStreamConfig) -> dict[str, Any] | str:
    """A row with every field, or the code of why there is none."""
    if intent.op == "delete":
        return _deletion(intent, config)
    if intent.record is None:
        return "sftp.record.data"
    before = intent.before or {}
    record = {**before, **intent.record}
    if set(record) - set(config.fields):
        return "sftp.unknown-field.data"
    if intent.ref is not None:
        record = _keyed(intent.ref, config) | record
    if ref_of(record, config.key) is None:
        return "sftp.no-key.data"
    automatic = {config.action.field} if config.action else set()
    missing = set(config.fields) - set(record) - automatic
    if intent.op == "update" and missing:
        # An empty cell would clear what the update does not even mention.
        return "sftp.partial.data"
    full = {name: record.get(name) for name in config.fields}
    if config.action is not None:
        full[config.action.field] = config.action.upsert[0]
    return full


def _deletion(intent: Intent, config: SftpStreamConfig) -> dict[str, Any] | str:
    if config.action is None:
        return "sftp.no-delete.data"
    if intent.ref is None:
        return "sftp.no-key.data"
    full: dict[str, Any] = dict.fromkeys(config.fields)
    full |= {n: v for n, v in (intent.before or {}).items() if n in full}
    full |= _keyed(intent.ref, config)
    full[config.action.field] = config.action.delete[0]
    return full


def _keyed(ref: Ref, config: SftpStreamConfig) -> dict[str, Any]:
    """The key fields of a ref, as the format writes them."""
    texts = (ref.id,) if isinstance(ref.id, str) else ref.id
    if len(texts) != len(config.key):
        return {}
    found: dict[str, Any] = {}
    for name, text in zip(config.key, texts, strict=True):
        kind = config.fields[name].type
        number = kind == "integer" and text.lstrip("-").isdigit()
        found[name] = int(text) if number else text
    return found


def _write(
    rows: list[_Row], file: IO[bytes], parser: Parser, refused: dict[int, Receipt]
) -> list[_Row]:
    writer = parser.writer(file)
    answers = writer.write([row.record for row in rows])
    writer.close()
    good = []
    for row, refusal in zip(rows, answers, strict=True):
        if refusal is None:
            good.append(row)
        else:
            refused[row.place] = Receipt("rejected", row.ref, code="sftp.value.data")
    return good


def _line(
    template: str,
    rows: list[_Row],
    config: SftpStreamConfig,
    parser: Parser,
    moment: dict[str, str],
) -> bytes:
    """A header or trailer line: ``{count}``, ``{sum_FIELD}``, ``{utc}``, date."""
    values = {"count": str(len(rows)), **moment}
    for name, spec in config.fields.items():
        if spec.type in ("integer", "decimal"):
            numbers = (row.record.get(name) for row in rows)
            total = sum((Decimal(n) for n in numbers if n is not None), Decimal(0))
            text = f"{total:f}".replace(".", spec.decimal_sep)
            values[f"sum_{name}"] = text
    for name, text in values.items():
        template = template.replace(f"{{{name}}}", text)
    return parser.line(template)
