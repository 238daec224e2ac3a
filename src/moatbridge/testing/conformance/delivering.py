"""Writes that come twice, late, half, mixed, or from two sides at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import CanFetch, CanWrite
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import intent, same

if TYPE_CHECKING:
    from moatbridge.changes import Data, Intent, Receipt
    from moatbridge.testing.stage import Stage

PATIENCE: Final = 60.0
"""Seconds after which two writers count as stuck."""


class Delivering(ConformanceBase):
    """`CanWrite`, as deliveries really come."""

    @requires(CanWrite)
    def test_a_mixed_batch_has_a_receipt_each(self, stage: Stage) -> None:
        """An update, a delete and a create side by side: three true receipts."""
        adapter = stage.open()
        kept, doomed, fresh = stage.harness.sample(3)
        refs = [stage.create(adapter, record) for record in (kept, doomed)]
        patch = stage.harness.change(kept)
        before = stage.current(adapter, stage.value(kept))
        receipts = stage.write(
            adapter,
            [
                intent("update", refs[0], patch, before=before),
                intent("delete", refs[1], None),
                *stage.creates([fresh]),
            ],
        )
        assert [receipt.outcome for receipt in receipts] == ["applied"] * 3
        assert stage.present() == stage.values([{**kept, **patch}, fresh])
        now = stage.current(adapter, stage.value({**kept, **patch}))
        told = {**patch, **(receipts[0].stored or {})}
        assert [n for n in patch if not same(now.get(n), told[n])] == []

    @requires(CanWrite)
    def test_a_create_without_a_value_leaves_it_empty(self, stage: Stage) -> None:
        """None in a create is nothing: no empty text, no word "None"."""
        field = stage.harness.clearable
        record = {**stage.harness.sample(1)[0], field: None}
        adapter = stage.open()
        assert stage.write(adapter, stage.creates([record]))[0].outcome == "applied"
        assert stage.current(adapter, stage.value(record)).get(field) in (None, [])

    @requires(CanWrite, "keyed")
    def test_repeating_a_half_applied_batch_completes_it(self, stage: Stage) -> None:
        """Killed after the first record: the whole batch again, one record each."""
        records = stage.harness.sample(3)
        intents = stage.creates(records)
        stage.write(stage.open(), intents[:1])
        again = stage.write(stage.open(), intents)
        assert [receipt.outcome for receipt in again] == ["applied"] * 3
        assert stage.present() == stage.values(records)

    @requires(CanWrite, "keyed")
    def test_a_late_repeat_of_a_create_undoes_nothing(self, stage: Stage) -> None:
        """A create that arrives again after an update: the update stays."""
        record = stage.harness.sample(1)[0]
        adapter = stage.open()
        creates = stage.creates([record])
        ref = stage.write(adapter, creates)[0].ref
        patch = stage.harness.change(record)
        before = stage.current(adapter, stage.value(record))
        stage.write(adapter, [intent("update", ref, patch, before=before)])
        _settled_after(stage, {**record, **patch}, creates)

    @requires(CanWrite, CanFetch, "conditional")
    def test_a_late_repeat_of_an_update_undoes_nothing(self, stage: Stage) -> None:
        """An older update that arrives again after a newer one: the newer stays."""
        record = stage.harness.sample(1)[0]
        adapter = stage.open()
        ref = stage.create(adapter, record)
        sent: list[Intent] = []
        for _ in range(2):
            now = adapter.fetch(stage.name, [ref])[0]
            patch = stage.harness.change({**record, **now.data})
            more: dict[str, Any] = {"before": now.data, "before_version": now.version}
            sent.append(intent("update", ref, patch, **more))
            receipt = stage.write(adapter, sent[-1:])[0]
            assert receipt.outcome == "applied", receipt
            record = {**record, **patch}
        _settled_after(stage, record, sent[:1])

    @requires(CanWrite)
    def test_two_instances_write_at_once(self, stage: Stage) -> None:
        """Each in its own thread: every record once, every receipt its own."""
        records = stage.harness.sample(6)
        halves = [records[:3], records[3:]]
        writers = [_Writer(stage, stage.open(), half) for half in halves]
        for writer in writers:
            writer.thread.start()
        for writer in writers:
            writer.thread.join(PATIENCE)
            assert not writer.thread.is_alive(), "a write never ended"
            assert writer.outcomes == ["applied"] * 3, writer.outcomes
        assert stage.present() == stage.values(records)
        keys = [r.ref.key for w in writers for r in w.receipts if r.ref]
        assert len(set(keys)) == 6


class _Writer:
    """One thread that creates its records through its own adapter."""

    def __init__(self, stage: Stage, adapter: Any, records: list[Data]) -> None:
        self.receipts: list[Receipt] = []
        self.outcomes: list[str] = []
        self._stage = stage
        self._intents = stage.creates(records)
        self.thread = threading.Thread(target=self._run, args=[adapter], daemon=True)

    def _run(self, adapter: Any) -> None:
        try:
            self.receipts = self._stage.write(adapter, self._intents)
        except BaseException as error:  # noqa: BLE001 - the test judges it
            self.outcomes = [type(error).__name__]
            return
        self.outcomes = [receipt.outcome for receipt in self.receipts]


def _settled_after(stage: Stage, record: Data, late: list[Intent]) -> None:
    """Send old intents again; the record, alone, is as it was before."""
    value = stage.value(record)
    before = stage.current(stage.open(), value)
    outcome = stage.write(stage.open(), late)[0].outcome
    assert outcome in {"applied", "not_applied", "rejected"}
    now = stage.current(stage.open(), value)
    assert stage.present() == [value]
    assert [name for name in before if not same(now.get(name), before[name])] == []
