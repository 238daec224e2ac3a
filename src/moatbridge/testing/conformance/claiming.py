"""Creates that meet somebody else's record, and a system that is busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import CanScan, CanWrite
from moatbridge.changes import Receipt
from moatbridge.errors import NotApplied, Rejected
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.patience import patiently
from moatbridge.testing.stage import same

if TYPE_CHECKING:
    from moatbridge.changes import Data
    from moatbridge.testing.stage import Stage


class Claiming(ConformanceBase):
    """What an adapter must not take for its own, or decide for the core."""

    @requires(CanWrite)
    def test_a_create_never_takes_somebody_elses_record(self, stage: Stage) -> None:
        """Same key or unique value: a conflict, and the other record as it was.

        A repeat of our own create is another matter: see the checks about repeats.
        """
        adapter = stage.open()
        other = stage.seed(1)[0]
        before = stage.current(adapter, stage.value(other))
        for mine in _rivals(stage, adapter, other):
            receipt = _created(stage, adapter, mine)
            now = stage.current(stage.open(), stage.value(other))
            moved = [name for name in before if not same(now.get(name), before[name])]
            assert moved == [], f"the create changed {moved} of somebody else's record"
            assert stage.present() == [stage.value(other)], "and it made one of its own"
            assert (receipt.outcome, receipt.reason) == ("rejected", "conflict"), (
                f"{receipt.outcome} {receipt.code}: a record with this key was there "
                f"already. Where it is not what this create once made (the same "
                f"values, or our key in it), say Rejected, kind 'conflict'"
            )

    @requires(CanScan, "busy")
    def test_a_busy_answer_to_a_scan_is_passed_on(self, stage: Stage) -> None:
        """`NotApplied`, at once: asking again is the core's business."""
        stage.seed(2)
        adapter, whole = patiently(lambda: _reader(stage))
        stage.harness.busy()
        with pytest.raises(NotApplied):
            stage.scan(adapter, whole)

    @requires(CanWrite, "busy")
    def test_a_busy_answer_to_a_write_is_passed_on(self, stage: Stage) -> None:
        """Certainly not applied, told as such, and not tried again."""
        record = stage.harness.sample(1)[0]
        intents = stage.creates([record])
        adapter = stage.bare()
        adapter.traits(stage.name)
        stage.harness.busy()
        try:
            outcome = stage.write(adapter, intents)[0].outcome
        except NotApplied:
            outcome = "not_applied"
        assert outcome == "not_applied", (
            f"{outcome}: a system that says busy has done nothing; raise NotApplied "
            f"and leave asking again to the core"
        )
        assert stage.present() == []
        again = stage.write(stage.open(), intents)[0]
        assert again.outcome == "applied", again
        assert stage.present() == [stage.value(record)]


def _reader(stage: Stage) -> tuple[Any, Any]:
    adapter = stage.bare()
    return adapter, stage.one(adapter)


def _created(stage: Stage, adapter: Any, record: Data) -> Receipt:
    try:
        return stage.write(adapter, stage.creates([record]))[0]
    except Rejected as error:
        return Receipt("rejected", code=f"{error.code}.{error.kind}")


def _rivals(stage: Stage, adapter: Any, other: Data) -> list[Data]:
    """New records that cannot exist beside the other, each for one reason."""
    given = stage.harness.rival(other)
    if given is not None:
        return [given]
    stream = stage.stream(adapter)
    writable = {field.name for field in stream.fields if field.writable}
    claims = [tuple(stream.key)] if stream.key else []
    claims += [(field.name,) for field in stream.fields if field.unique]
    claims = [names for names in dict.fromkeys(claims) if writable >= set(names)]
    samples = stage.harness.sample(len(claims))
    return [
        {**sample, **{name: other[name] for name in names}}
        for sample, names in zip(samples, claims, strict=True)
        if set(names) <= set(other)
    ]
