"""Write: the right effect, once, and a true receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import CanFetch, CanScan, CanWrite
from moatbridge.changes import Absent, Record
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import intent, same

if TYPE_CHECKING:
    from moatbridge.changes import Data
    from moatbridge.testing.stage import Stage


NAMED: Final = (
    "an applied create names its record in Receipt.ref, each another one: return the "
    "key from `create`"
)
OTHERS: Final = (
    "fields that nobody named changed as well: send the named ones only, or write the "
    "row as it was just read with the named ones replaced (replace=)"
)


class Writing(ConformanceBase):
    """`CanWrite`."""

    @requires(CanWrite)
    def test_creates_and_names_what_it_made(self, stage: Stage) -> None:
        """Every record is really there, and every receipt names its own."""
        records = stage.harness.sample(5)
        adapter = stage.open()
        receipts = stage.write(adapter, stage.creates(records))
        told = [(receipt.outcome, receipt.code) for receipt in receipts]
        assert [outcome for outcome, _ in told] == ["applied"] * 5, (
            f"records of Harness.sample were not accepted ({told}): samples must be "
            f"what the system takes, with every required field"
        )
        assert stage.present() == stage.values(records), (
            "what was written is not what Harness.read_all() sees at the system"
        )
        assert all(receipt.ref is not None for receipt in receipts), NAMED
        assert len({receipt.ref.key for receipt in receipts if receipt.ref}) == 5, NAMED

    @requires(CanWrite, CanFetch)
    def test_receipts_come_in_the_order_of_the_intents(self, stage: Stage) -> None:
        """The third receipt speaks of the third intent."""
        records = stage.harness.sample(4)
        adapter = stage.open()
        receipts = stage.write(adapter, stage.creates(records))
        found = adapter.fetch(stage.name, [r.ref for r in receipts])
        assert all(isinstance(answer, Record) for answer in found), (
            "a receipt's ref fetches no record: `create` returns the key that the "
            "system gave it"
        )
        told = [stage.value(answer.data) for answer in found]
        assert told == [stage.value(record) for record in records], (
            "receipt and intent do not belong together: one receipt each, in order"
        )

    @requires(CanWrite)
    def test_what_was_created_reads_back(self, stage: Stage) -> None:
        """Each value sent is stored, or ``Receipt.stored`` says what became of it."""
        record = stage.harness.sample(1)[0]
        adapter = stage.open()
        receipt = stage.write(adapter, stage.creates([record]))[0]
        expected = {**record, **(receipt.stored or {})}
        now = stage.current(adapter, stage.value(expected))
        wrong = [name for name in record if not same(now.get(name), expected[name])]
        assert wrong == [], (
            "these fields do not read back as they were written; what the system "
            "changed by itself stands in Receipt.stored, and what it does not take is "
            "Field(writable=False)"
        )

    @requires(CanWrite)
    def test_updates_only_what_is_named(self, stage: Stage) -> None:
        """Named fields change; unmentioned ones stay as they are."""
        adapter, record, ref = _made(stage)
        before = stage.current(adapter, stage.value(record))
        patch = stage.harness.change(record)
        receipt = stage.write(adapter, [intent("update", ref, patch, before=before)])[0]
        assert receipt.outcome == "applied", receipt
        expected = {**patch, **(receipt.stored or {})}
        now = stage.current(adapter, stage.value({**record, **patch}))
        unset = [n for n in patch if not same(now.get(n), expected[n])]
        assert unset == [], "the update set no new value in these fields"
        assert _moved(stage, adapter, before, now) <= set(patch), OTHERS

    @requires(CanWrite)
    def test_a_cleared_value_is_really_cleared(self, stage: Stage) -> None:
        """None clears; it is not "says nothing"."""
        adapter, record, ref = _made(stage)
        field = stage.harness.clearable
        assert record[field], "every sample fills the field that 'clearable' names"
        before = stage.current(adapter, stage.value(record))
        clear = intent("update", ref, {field: None}, before=before)
        assert stage.write(adapter, [clear])[0].outcome == "applied"
        now = stage.current(adapter, stage.value(record))
        assert now.get(field) in (None, []), (
            f"{field} was cleared and reads back as something: send what your system "
            f'calls "nothing" (where that is an empty text: empty_is_none=True)'
        )
        assert _moved(stage, adapter, before, now) <= {field}, OTHERS

    @requires(CanWrite)
    def test_deletes(self, stage: Stage) -> None:
        """Only the named record goes."""
        adapter, record, ref = _made(stage)
        other = stage.seed(1)
        assert stage.write(adapter, [intent("delete", ref, None)])[0].outcome == (
            "applied"
        )
        there = stage.present()
        assert stage.value(record) not in there, "the deleted record is still there"
        assert there == stage.values(other), "another record than the named one went"

    @requires(CanWrite, CanFetch)
    def test_a_deleted_record_is_absent(self, stage: Stage) -> None:
        """What write removed, fetch does not find."""
        adapter, _, ref = _made(stage)
        stage.write(adapter, [intent("delete", ref, None)])
        assert [type(a) for a in adapter.fetch(stage.name, [ref])] == [Absent], (
            "a deleted record is still fetched"
        )

    @requires(CanWrite)
    def test_deleting_what_is_gone_has_no_surprise(self, stage: Stage) -> None:
        """Applied already, or rejected as gone: both are true."""
        adapter, _, ref = _made(stage)
        stage.write(adapter, [intent("delete", ref, None)])
        again = stage.write(adapter, [intent("delete", ref, None)])[0]
        assert again.outcome == "applied" or (
            (again.outcome, again.reason) == ("rejected", "gone")
        ), f'"it is gone already" is no error of a delete: {again}'

    @requires(CanWrite)
    def test_updating_a_missing_record_is_rejected_as_gone(self, stage: Stage) -> None:
        """And creates nothing."""
        adapter = stage.open()
        patch = stage.harness.change(stage.harness.sample(1)[0])
        lost = intent("update", stage.harness.absent(), patch)
        receipt = stage.write(adapter, [lost])[0]
        assert (receipt.outcome, receipt.reason) == ("rejected", "gone"), (
            f"where there is no such record, raise Rejected(kind='gone'): {receipt}"
        )
        assert stage.present() == [], "an update of what is not there created it"

    @requires(CanWrite)
    def test_bad_data_is_rejected_and_the_others_applied(self, stage: Stage) -> None:
        """One broken record never blocks its batch (unless the batch is atomic)."""
        adapter = stage.open()
        good = stage.harness.sample(2)
        intents = stage.creates([good[0], stage.harness.broken(), good[1]])
        outcomes = [receipt.outcome for receipt in stage.write(adapter, intents)]
        if adapter.traits(stage.name).atomic_batch and outcomes[0] != "applied":
            assert "applied" not in outcomes
            assert stage.present() == []
        else:
            assert outcomes == ["applied", "rejected", "applied"], (
                f"{outcomes}: the second record, Harness.broken(), is one that the "
                f"system refuses as data; a refusal is Rejected (kind 'data'), and the "
                f"others are written all the same"
            )
            assert stage.present() == stage.values(good), "not exactly the good ones"

    @requires(CanWrite, "keyed")
    def test_repeating_a_create_has_no_second_effect(self, stage: Stage) -> None:
        """The same intents again, also over a new connection: one record each."""
        records = stage.harness.sample(3)
        intents = stage.creates(records)
        first = stage.write(stage.open(), intents)
        again = stage.write(stage.open(), intents)
        told = [(receipt.outcome, receipt.code) for receipt in again]
        assert [outcome for outcome, _ in told] == ["applied"] * 3, (
            f"a create that is repeated has happened already ({told}): hand its key on "
            f'if the system knows such keys, or say dedup="by-key" where it answers '
            f'"exists already"; if there is no way, dedup="none"'
        )
        assert stage.present() == stage.values(records), (
            "a create that was repeated made a second record"
        )
        keys = [[r.ref.key for r in rs if r.ref] for rs in (first, again)]
        assert keys[0] == keys[1], "the repeat names the same records"

    @requires(CanWrite, "keyed")
    def test_repeating_an_update_has_no_second_effect(self, stage: Stage) -> None:
        """The record is as after the first time."""
        adapter, record, ref = _made(stage)
        patch = stage.harness.change(record)
        same_intent = intent("update", ref, patch)
        stage.write(adapter, [same_intent])
        value = stage.value({**record, **patch})
        once = stage.current(adapter, value)
        again = stage.write(stage.open(), [same_intent])[0]
        assert again.outcome == "applied", again
        assert _moved(stage, adapter, once, stage.current(adapter, value)) == set()

    @requires(CanWrite, CanFetch, "conditional")
    def test_a_stale_version_is_not_applied(self, stage: Stage) -> None:
        """Compare and set: the newer value of somebody else survives."""
        adapter, record, ref = _made(stage)
        old = adapter.fetch(stage.name, [ref])[0]
        assert old.version is not None, "a conditional stream gives versions"
        stage.harness.edit(stage.value(record))
        patch = stage.harness.change(record)
        late = intent("update", ref, patch, before=old.data, before_version=old.version)
        receipt = stage.write(adapter, [late])[0]
        assert (receipt.outcome, receipt.reason) == ("not_applied", "stale"), receipt
        now = adapter.fetch(stage.name, [ref])[0].data
        assert any(not same(now.get(name), patch[name]) for name in patch)

    @requires(CanWrite, CanFetch, "conditional")
    def test_the_current_version_is_accepted(self, stage: Stage) -> None:
        """And the receipt's version is the next one to use."""
        adapter, record, ref = _made(stage)
        old = adapter.fetch(stage.name, [ref])[0]
        patch = stage.harness.change(record)
        more: dict[str, Any] = {"before": old.data, "before_version": old.version}
        receipt = stage.write(adapter, [intent("update", ref, patch, **more)])[0]
        assert receipt.outcome == "applied", receipt
        now = adapter.fetch(stage.name, [ref])[0]
        assert now.version != old.version
        assert receipt.version in (None, now.version)

    @requires(CanWrite, CanScan, "slots")
    def test_an_owned_slot_leaves_the_others(self, stage: Stage) -> None:
        """A value that belongs to somebody else is never touched."""
        case = stage.harness.slot()
        adapter = stage.open()
        ref = stage.create(adapter, case.record)
        before = stage.current(adapter, stage.value(case.record))
        own = intent("update", ref, case.patch, owned=case.owned, before=before)
        assert stage.write(adapter, [own])[0].outcome == "applied"
        now = stage.current(adapter, stage.value(case.record))
        assert same(now[case.field], case.expected)

    @requires(CanWrite)
    def test_writing_nothing_is_nothing(self, stage: Stage) -> None:
        """No intents, no receipts, no error."""
        assert list(stage.open().write(stage.name, [])) == []

    @requires(CanWrite)
    def test_no_input_makes_write_raise_a_bare_error(self, stage: Stage) -> None:
        """Wrong types and unknown fields become receipts or moatbridge errors."""
        adapter = stage.open()
        record = stage.harness.sample(1)[0]
        odd: list[Data] = [
            {},
            {**record, "no-such-field": "x"},
            dict.fromkeys(record, 7.5),
            {name: {"odd": [None]} for name in record},
        ]
        for data in odd:
            try:
                receipts = stage.write(adapter, stage.creates([data], like=record))
            except MoatbridgeError:
                continue
            assert receipts[0].outcome in {"applied", "not_applied", "rejected"}


def _made(stage: Stage) -> tuple[Any, Data, Any]:
    adapter = stage.open()
    record = stage.harness.sample(1)[0]
    return adapter, record, stage.create(adapter, record)


def _moved(stage: Stage, adapter: Any, before: Data, now: Data) -> set[str]:
    """Writable fields whose value differs."""
    names = [f.name for f in stage.stream(adapter).fields if f.writable]
    return {name for name in names if not same(before.get(name), now.get(name))}
