"""The first pass: read a whole file without emitting anything, count, sum, compare.

Only a file that passes is read a second time, to be emitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.checks.controls import Controls, body, number
from moatbridge_sftp.checks.keys import Keys
from moatbridge_sftp.checks.named import Named, compare_name
from moatbridge_sftp.formats.base import BadFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_sftp.formats.base import Chunk, Format
    from moatbridge_sftp.formats.fields import FieldSpec

LEAST_REJECTS: Final = 5
_EXACT: Final = Context(prec=9999)
Content = Literal["delta", "snapshot", "records"]


@dataclass(slots=True)
class Summary:
    """What a file holds, by numbers only.

    Args:
        count: Records, bad ones included.
        bad: Records that could not be decoded.
        reasons: How many of them for which reason.
        sums: Meaning of a control -> total found (``sum_X``, ``hash_X``).
        promised: Meaning -> text of the control lines (also ``date``, ``sequence``).
        unknown: Columns that no field names.
        keys_checked: False if there were too many records to look for duplicates.
    """

    count: int = 0
    bad: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Decimal] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    keys_checked: bool = True
    first_bad: list[int] = field(default_factory=list)


def first_pass(
    file: BinaryIO,
    form: Format,
    fields: Mapping[str, FieldSpec],
    config: Any,
    *,
    key: Sequence[str],
    controls: Controls | None = None,
    max_rejects: float = 0.01,
    content: Content = "delta",
    named: Named | None = None,
) -> Summary:
    """Judge an unpacked file as a whole.

    Args:
        file: The file; it is read from its beginning.
        form: Its format.
        fields: The stream's fields.
        config: The format's settings.
        key: Names of the key fields; fields that the records lack are not looked at.
        controls: What header and trailer lines promise.
        max_rejects: An int is a number of records; a float a share, but at least five.
        content: In a snapshot a key may stand once only.
        named: What the file's name says; None if there is no name to compare with.

    Raises:
        BadFile: ``rejects``, ``count``, ``sum``, ``hash``, ``date``, ``sequence``,
            ``duplicate-keys``, and what formats and control lines raise.
        ConfigurationError: ``sftp.controls``: a total over a field that is not there.
    """
    rules = controls or Controls()
    _check_totals(rules, fields)
    found = body(file, form, config, controls)
    summary = Summary(promised=found.promised)
    if named is not None:
        compare_name(found.promised, rules, named)
    summary.unknown = form.unknown(found.file, fields, config)
    snapshot = content == "snapshot" and set(key) <= set(fields)
    keys = Keys(key) if snapshot and key else None
    totals = _Totals(rules, found.promised)
    limit = _Limit(max_rejects, found.file.seek(0, 2))
    for chunk in form.read(found.file, fields, config):
        _count(summary, chunk)
        limit.check(summary, final=False)
        totals.take(chunk.records)
        if keys is not None:
            keys.take(chunk.records)
    limit.check(summary, final=True)
    totals.finish(summary, rules)
    if keys is not None:
        summary.keys_checked = keys.complete
        if suspects := keys.suspects():
            chunks = form.read(found.file, fields, config)
            numbered = (
                pair for c in chunks for pair in zip(c.numbers, c.records, strict=True)
            )
            _no_repeats(keys.confirmed(suspects, numbered))
    return summary


def _no_repeats(numbers: list[int]) -> None:
    if numbers:
        raise BadFile(
            "duplicate-keys",
            "records of a snapshot have the key of an earlier record; ask the "
            "supplier, or add a field to `key`",
            records=numbers,
        )


def _count(summary: Summary, chunk: Chunk) -> None:
    summary.count += len(chunk.records) + len(chunk.bad)
    summary.bad += len(chunk.bad)
    for each in chunk.bad:
        why = f"{each.reason}:{each.field}" if each.field else each.reason
        summary.reasons[why] = summary.reasons.get(why, 0) + 1
        if len(summary.first_bad) < 5:  # noqa: PLR2004 - as many as an error shows
            summary.first_bad.append(each.number)


class _Limit:
    def __init__(self, max_rejects: float, size: int) -> None:
        self._most = max_rejects
        self._size = size

    def check(self, summary: Summary, *, final: bool) -> None:
        """Raise as soon as no number of good records could help any more."""
        if isinstance(self._most, int):
            allowed = float(self._most)
        else:
            total = summary.count if final else max(summary.count, self._size)
            allowed = max(LEAST_REJECTS, total * self._most)
        if summary.bad > allowed:
            worst = max(summary.reasons, key=lambda each: summary.reasons[each])
            reason, _, name = worst.partition(":")
            where = f" in field {name!r}" if name else ""
            raise BadFile(
                "rejects",
                f"{summary.bad} of {summary.count} records cannot be read, mostly "
                f"{reason}{where}; check the format's settings against the file",
                expected=int(allowed),
                found=summary.bad,
                records=summary.first_bad,
            )


def _check_totals(controls: Controls, fields: Mapping[str, FieldSpec]) -> None:
    for meaning in controls.meanings():
        kind, _, name = meaning.partition("_")
        if kind not in {"sum", "hash"}:
            continue
        spec = fields.get(name)
        numeric = spec is not None and spec.type in {"integer", "decimal"}
        if spec is None or (kind == "sum" and not numeric):
            raise ConfigurationError(
                f"controls: {meaning!r} needs a field {name!r}"
                + (" of type integer or decimal" if kind == "sum" else ""),
                code="sftp.controls",
            )


class _Totals:
    def __init__(self, controls: Controls, promised: Mapping[str, str]) -> None:
        self._controls = controls
        self._sums = {each for each in promised if each.startswith("sum_")}
        self._hashes = {each for each in promised if each.startswith("hash_")}
        self._found = dict.fromkeys(self._sums | self._hashes, Decimal(0))

    def take(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the records of a chunk."""
        add, found = _EXACT.add, self._found
        for meaning in self._sums:
            name, total = meaning[4:], found[meaning]
            for record in records:
                value = record.get(name)
                if value is not None:
                    total = add(total, value)
            found[meaning] = total
        for meaning in self._hashes:
            name = meaning[5:]
            digits = sum(_digits(record.get(name)) for record in records)
            found[meaning] = _EXACT.add(found[meaning], digits)

    def finish(self, summary: Summary, controls: Controls) -> None:
        """Compare with what was promised."""
        modulus = Decimal(10) ** controls.hash_digits
        for meaning in self._hashes:
            self._found[meaning] = _EXACT.remainder(self._found[meaning], modulus)
        summary.sums = self._found
        found: dict[str, Any] = {"count": Decimal(summary.count), **self._found}
        for meaning, text in summary.promised.items():
            if meaning in found:
                self._compare(meaning, text, found[meaning], summary)

    def _compare(
        self, meaning: str, text: str, found: Decimal, summary: Summary
    ) -> None:
        # a count has no implied decimals
        scale = self._controls if meaning.startswith("sum_") else Controls()
        expected = number(text, scale)
        if expected == found:
            return
        kind = meaning.partition("_")[0]
        beside = f" ({summary.bad} records could not be read)" if summary.bad else ""
        raise BadFile(
            kind,
            f"the control total {meaning!r} does not match{beside}; the file may be "
            "incomplete: ask for it again",
            expected=str(expected),
            found=str(found),
            records=summary.first_bad,
        )


def _digits(value: Any) -> int:
    """The digits of a key, read as one number (as payment files do)."""
    text = "".join(each for each in str(value or "") if each in "0123456789")
    return int(text[:4000] or 0)
