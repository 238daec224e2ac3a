"""Any text a person may have typed: stored as it is, or refused, and harmless."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.adapter import CanScan, CanWrite
from moatbridge.changes import Receipt
from moatbridge.errors import Rejected
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import intent, same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Data, Intent, Ref
    from moatbridge.testing.stage import Stage

TEXTS: Final[dict[str, str]] = {
    "separators": "a, b; c | d : e = f / g",
    "quotes and backslashes": "a \\ b \"c\" 'd' \\n `e` \\",
    "markup": "a < b > c & d &amp; <i>e</i>",
    "patterns": "50% + 7 * (b) # c %20 {0} $1 [d] ~ @ ?",
    "blanks at both ends": "  a b  ",
    "a tab": "a\tb",
    "a line break": "a\nb",
    "a line break of Windows": "a\r\nb",
    "letters beyond ASCII": "Çağla Łoś ß \u0131 İ é 東京",
    "emoji": "a \U0001f469\u200d\U0001f680 b",
    "a control character": "a\x07b",
}
"""What it is -> the text."""

FIELDS: Final = 3
"""Into so many fields goes each text."""

_OTHERS: Final = frozenset({"conflict", "gone", "rights"})
"""Kinds of refusal that are not about the data."""


class _Try(NamedTuple):
    what: str
    field: str
    record: Data
    intent: Intent


class AnyText(ConformanceBase):
    """`CanWrite`, with values that mean something to somebody on the way."""

    @requires(CanWrite)
    def test_any_text_reads_back_or_is_refused(self, stage: Stage) -> None:
        """Separators, quotes, line breaks, emoji: never changed, never another record.

        Each text goes into text fields of new records, three in turns; never into the
        harness's ``unique``.
        """
        adapter = stage.open()
        others = stage.seed(2)
        before = _records(stage, adapter)
        tries = _creates(stage, adapter)
        receipts = _written(stage, adapter, [each.intent for each in tries])
        _judge(stage, tries, receipts)
        made = [t.record for t, r in zip(tries, receipts, strict=True) if _done(r)]
        _harmless(stage, [*others, *made], before)

    @requires(CanWrite)
    def test_an_update_with_any_text_is_as_exact(self, stage: Stage) -> None:
        """The same, for what is changed: the harness's ``clearable``."""
        adapter = stage.open()
        records = stage.harness.sample(len(TEXTS))
        field = stage.harness.clearable
        if not _is_text(records[0].get(field)):
            return
        refs = [stage.create(adapter, record) for record in records]
        others = stage.seed(2)
        before = _records(stage, adapter)
        tries = [
            _update(stage, before, record, ref, what)
            for what, record, ref in zip(TEXTS, records, refs, strict=True)
        ]
        told = _written(stage, adapter, [each.intent for each in tries])
        _judge(stage, tries, told)
        refused = {
            stage.value(t.record): before.get(stage.value(t.record))
            for t, r in zip(tries, told, strict=True)
            if not _done(r)
        }
        mine = {stage.value(other): before.get(stage.value(other)) for other in others}
        _harmless(stage, [*others, *records], {**mine, **refused})


def _creates(stage: Stage, adapter: Any) -> list[_Try]:
    pairs = _pairs(_text_fields(stage, adapter))
    records = stage.harness.sample(len(pairs))
    tries = []
    for (field, what), record in zip(pairs, records, strict=True):
        wild = {**record, field: _like(record[field], TEXTS[what])}
        target = stage.harness.target(wild if field in _key(stage, adapter) else record)
        tries.append(_Try(what, field, wild, intent("create", target, wild)))
    return tries


def _pairs(fields: Sequence[str]) -> list[tuple[str, str]]:
    """Which text goes into which fields: in turns, where there are many fields."""
    return [
        (fields[(turn + step) % len(fields)], what)
        for turn, what in enumerate(TEXTS)
        for step in range(min(len(fields), FIELDS))
    ]


def _update(
    stage: Stage, before: dict[str, Data], record: Data, ref: Ref, what: str
) -> _Try:
    field, value = stage.harness.clearable, stage.value(record)
    patch = {field: _like(record[field], TEXTS[what])}
    now = before.get(value, record)
    asked = intent("update", ref, patch, before=now)
    return _Try(what, field, {**record, **patch}, asked)


def _text_fields(stage: Stage, adapter: Any) -> list[str]:
    """Writable text that the samples fill, except what identifies records here."""
    sample = stage.harness.sample(1)[0]
    return [
        field.name
        for field in stage.stream(adapter).fields
        if field.type == "text"
        and field.writable
        and field.name != stage.harness.unique
        and _is_text(sample.get(field.name))
    ]


def _key(stage: Stage, adapter: Any) -> Sequence[str]:
    key: Sequence[str] = stage.stream(adapter).key
    return key


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, str) and value != ""


def _like(value: Any, text: str) -> Any:
    return [text] if isinstance(value, list) else text


def _done(receipt: Receipt) -> bool:
    return receipt.outcome == "applied"


def _written(stage: Stage, adapter: Any, intents: list[Intent]) -> list[Receipt]:
    """One by one where a call is applied wholly or not at all."""
    atomic = adapter.traits(stage.name).atomic_batch
    size = 1 if atomic else adapter.traits(stage.name).max_batch
    receipts: list[Receipt] = []
    for start in range(0, len(intents), size):
        call = intents[start : start + size]
        try:
            receipts += stage.write(adapter, call)
        except Rejected as error:
            receipts += [_refused(error) for _ in call]
    return receipts


def _refused(error: Rejected) -> Receipt:
    return Receipt("rejected", code=f"{error.code}.{error.kind}")


def _judge(stage: Stage, tries: list[_Try], receipts: list[Receipt]) -> None:
    """Each value reads back, over a new connection, or was refused as data."""
    now = _records(stage, stage.open())
    wrong = []
    for each, receipt in zip(tries, receipts, strict=True):
        if receipt.outcome == "rejected" and receipt.reason not in _OTHERS:
            continue
        if not _done(receipt):
            wrong.append(
                f"{each.what} in {each.field}: {receipt.outcome} {receipt.code}"
            )
            continue
        found = now.get(stage.value(each.record), {}).get(each.field)
        if not _kept(each.record[each.field], found, receipt.stored, each.field):
            wrong.append(f"{each.what} in {each.field}: read back otherwise")
    assert not wrong, (
        f"{'; '.join(wrong)}. Write values escaped, in the system's own way; what it "
        f"cannot hold is refused before it is sent: Rejected, kind 'data'"
    )


def _kept(sent: Any, found: Any, stored: Data | None, field: str) -> bool:
    """As it was sent, or tidied up by the system, if the receipt says so.

    Tidying up is about blanks, line ends and Unicode's forms. Text that says something
    else is wrong, whatever the receipt tells.
    """
    if same(found, sent):
        return True
    told = stored is not None and same(found, stored.get(field))
    return told and _tidy(found) == _tidy(sent)


def _tidy(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    return sorted(
        " ".join(unicodedata.normalize("NFC", str(each)).split()) for each in texts
    )


def _harmless(
    stage: Stage, mine: list[Data], before: Mapping[str, Data | None]
) -> None:
    """Nothing else came, went or changed."""
    now = _records(stage, stage.open())
    assert stage.present() == stage.values(mine), (
        "a value made or removed another record: it was taken for the system's own "
        "signs (a separator, a line break); escape it or refuse it"
    )
    moved = [value for value, record in before.items() if now.get(value) != record]
    assert not moved, (
        f"{len(moved)} other records changed with it: a value was taken for the "
        f"system's own signs; escape it or refuse it"
    )


def _records(stage: Stage, adapter: Any) -> dict[str, Data]:
    """Every record as it is now, by the text that identifies it here."""
    if stage.can(adapter, CanScan):
        rows = [change.data or {} for change in stage.everything(adapter)]
    else:
        rows = [dict(row) for row in stage.harness.read_all()]
    return {stage.value(row): row for row in rows}
