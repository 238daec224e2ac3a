"""Scan, fetch, find: everything, once, and never silently less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import CanFetch, CanFind, CanScan, Query
from moatbridge.changes import Absent, OutOfScope, Record
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import MANY, changes_of

if TYPE_CHECKING:
    from moatbridge.changes import Batch
    from moatbridge.testing.stage import Stage


class Scanning(ConformanceBase):
    """`CanScan`."""

    @requires(CanScan)
    def test_scan_sees_everything_once(self, stage: Stage) -> None:
        """A scan is complete and holds no record twice."""
        seeded = stage.seed(MANY)
        changes = stage.everything(stage.open())
        assert stage.values([c.data or {} for c in changes]) == stage.values(seeded), (
            "the scan does not see exactly what Harness.seed put there: do both look "
            "at the same place, and does the scan read on behind its first page?"
        )
        assert len({change.ref.key for change in changes}) == MANY, (
            "two records have one key: the stream's key must identify a record"
        )
        assert all(change.op == "upsert" for change in changes), "a scan only upserts"

    @requires(CanScan)
    def test_scan_of_an_empty_stream_is_complete(self, stage: Stage) -> None:
        """Nothing there is an answer, and says so."""
        batches = stage.scan(adapter := stage.open(), stage.one(adapter))
        assert changes_of(batches) == [], (
            "the stream was emptied with Harness.remove, and the scan sees records: "
            "does read_all() return all of them, and remove() really remove them?"
        )
        assert [batch.complete for batch in batches][-1:] == [True], (
            "an empty stream ends with one batch that says complete=True"
        )

    @requires(CanScan)
    def test_only_the_last_batch_is_complete(self, stage: Stage) -> None:
        """``complete`` decides about deletes."""
        stage.seed(MANY)
        batches = stage.scan(adapter := stage.open(), stage.one(adapter))
        told = [b.complete for b in batches]
        assert told == [False] * (len(batches) - 1) + [True], (
            "complete=True stands at the last batch, and only there: deletes follow it"
        )

    @requires(CanScan)
    def test_scan_comes_in_several_batches(self, stage: Stage) -> None:
        """Memory stays bounded (the harness sets a page of about 5)."""
        stage.seed(MANY)
        batches = stage.scan(adapter := stage.open(), stage.one(adapter))
        assert len(batches) >= 2, (
            f"{MANY} records came in one batch: let Harness.make set a `page_size` of "
            f"5, and the adapter obey it"
        )

    @requires(CanScan)
    def test_records_hold_exactly_the_declared_fields(self, stage: Stage) -> None:
        """Plain dicts; every declared field is there, except those read in part."""
        stage.seed(3)
        adapter = stage.open()
        declared = {field.name for field in stage.stream(adapter).fields}
        for change in stage.everything(adapter):
            assert type(change.data) is dict, "the data of an upsert is a plain dict"
            assert set(change.data) <= declared, "only declared fields"
            if not change.partial:
                assert set(change.data) | set(change.incomplete) == declared, (
                    "a declared field is lacking: give it as None where it is empty, "
                    "or name it in `incomplete` where it was read only in part"
                )

    @requires(CanScan)
    def test_multi_valued_fields_are_lists(self, stage: Stage) -> None:
        """And the others are not, whatever their number of values."""
        stage.seed(3)
        adapter = stage.open()
        fields = [f for f in stage.stream(adapter).fields if f.type != "any"]
        for change in stage.everything(adapter):
            for field in fields:
                value = (change.data or {}).get(field.name)
                if value is not None and field.type != "json":
                    assert isinstance(value, list) == field.multi, (
                        f"{field.name}: only the values of a field with multi=True "
                        f"are lists, and those always"
                    )

    @requires(CanScan)
    def test_scan_resumes_after_each_batch(self, stage: Stage) -> None:
        """From every cursor the rest follows: nothing lost, nothing twice.

        Only batches since the cursor last changed may be read again.
        """
        seeded = stage.values(stage.seed(MANY))
        adapter = stage.open()
        whole = stage.one(adapter)
        batches = stage.scan(adapter, whole)
        for done in range(1, len(batches)):
            after = json.loads(json.dumps(batches[done - 1].cursor))
            rest = stage.scan(stage.open(), whole, after)
            both = changes_of(batches[: _settled(batches, done)]) + changes_of(rest)
            assert stage.values([c.data or {} for c in both]) == seeded, (
                f"after the cursor of batch {done} the rest does not follow: a cursor "
                f"names the last record of its own batch (or stays None where a pass "
                f"can only begin again)"
            )
            assert rest[-1].complete, "a resumed scan comes to its end as well"

    @requires(CanScan)
    def test_cursors_are_small_json(self, stage: Stage) -> None:
        """A cursor survives JSON and stays under 64 KiB."""
        stage.seed(MANY)
        for batch in stage.scan(adapter := stage.open(), stage.one(adapter)):
            text = json.dumps(batch.cursor)
            assert json.loads(text) == batch.cursor, "a cursor is plain JSON"
            assert len(text) <= 65536, "a cursor is a position, not what was seen"

    @requires(CanScan)
    def test_partitions_cover_everything_once(self, stage: Stage) -> None:
        """However it is cut; keys are unique and specs are JSON."""
        seeded = stage.values(stage.seed(MANY))
        adapter = stage.open()
        parts = adapter.split(stage.name, 4)
        assert len({part.key for part in parts}) == len(parts)
        assert (len(parts) > 1) == ("partitions" in self.features)
        found: list[Any] = []
        for part in parts:
            assert json.loads(json.dumps(part.spec)) == part.spec
            assert len(part.key) <= 200
            batches = stage.scan(adapter, part)
            assert batches[-1].complete
            found += changes_of(batches)
        assert stage.values([change.data for change in found]) == seeded

    @requires(CanScan)
    def test_a_foreign_scan_cursor_is_refused(self, stage: Stage) -> None:
        """What we never gave out is a typed error, never a scan that looks whole."""
        stage.seed(3)
        adapter = stage.open()
        try:
            stage.scan(adapter, stage.one(adapter), {"from": "somewhere-else"})
        except MoatbridgeError:
            return
        pytest.fail(
            "a cursor that the adapter never gave out was taken: raise CursorTooOld "
            "(`self.position(after, NAME, KIND)` does)"
        )

    @requires(CanScan)
    def test_an_unknown_stream_is_a_typed_error(self, stage: Stage) -> None:
        """Nothing but moatbridge errors escapes."""
        with pytest.raises(MoatbridgeError):
            list(stage.open().scan("no-such-stream", stage_part(stage), None))

    @requires(CanScan)
    def test_a_scan_left_half_way_does_no_harm(self, stage: Stage) -> None:
        """The core may stop reading; the next scan is whole again."""
        seeded = stage.values(stage.seed(MANY))
        adapter = stage.open()
        half = adapter.scan(stage.name, stage.one(adapter), None)
        next(half)
        half.close()
        again = stage.everything(adapter)
        assert stage.values([change.data or {} for change in again]) == seeded


def stage_part(stage: Stage) -> Any:
    """A partition of a real stream."""
    return stage.one(stage.open())


class Fetching(ConformanceBase):
    """`CanFetch` and `CanFind`."""

    @requires(CanFetch, CanScan)
    def test_fetch_answers_in_order(self, stage: Stage) -> None:
        """One answer per ref, in the order of the question; absent ones in between."""
        stage.seed(4)
        adapter = stage.open()
        known = {c.ref.key: c.data for c in stage.everything(adapter)}
        refs = [change.ref for change in stage.everything(adapter)]
        absent = stage.harness.absent()
        asked = [refs[3], absent, refs[0], refs[2], refs[1]]
        found = adapter.fetch(stage.name, asked)
        assert len(found) == len(asked), "one answer for each ref, in their order"
        for ref, answer in zip(asked, found, strict=True):
            assert answer.ref.key == ref.key
            if ref.key in known:
                assert isinstance(answer, Record), (
                    "a record that the scan sees is not fetched by its key"
                )
                assert answer.data == known[ref.key], "fetch and scan agree"
            else:
                assert isinstance(answer, Absent), (
                    "what does not exist is Absent; Harness.absent() says which key "
                    "that was: override it where keys have a form of their own"
                )

    @requires(CanFetch)
    def test_fetch_of_nothing_is_nothing(self, stage: Stage) -> None:
        """No refs, no answers, no error."""
        assert list(stage.open().fetch(stage.name, [])) == []

    @requires(CanFetch)
    def test_fetch_of_a_missing_record_is_absent(self, stage: Stage) -> None:
        """Not an error and not None."""
        ref = stage.harness.absent()
        found = stage.open().fetch(stage.name, [ref])
        assert [type(answer) for answer in found] == [Absent]
        assert found[0].ref.key == ref.key

    @requires(CanFetch, CanScan)
    def test_fetch_of_a_removed_record_is_no_record(self, stage: Stage) -> None:
        """Gone is gone."""
        value = stage.values(stage.seed(1))[0]
        adapter = stage.open()
        ref = stage.ref(adapter, value)
        stage.harness.remove([value])
        found = adapter.fetch(stage.name, [ref])
        assert [isinstance(a, Absent | OutOfScope) for a in found] == [True]

    @requires(CanFind)
    def test_find_hits_exactly(self, stage: Stage) -> None:
        """One list per query, in order; a prefix or a wildcard is no hit."""
        values = stage.values(stage.seed(3))
        by = stage.harness.unique
        asked = [values[1], values[0][:-1], "*", values[2], f"{values[0]}*"]
        found = stage.open().find(stage.name, [Query(by, value) for value in asked])
        hits = [[stage.value(record.data) for record in records] for records in found]
        assert hits == [[values[1]], [], [], [values[2]], []]

    @requires(CanFind)
    def test_find_takes_any_text(self, stage: Stage) -> None:
        """Hostile values find nothing and break nothing."""
        stage.seed(2)
        hostile = [
            "' OR '1'='1",
            ")(uid=*",
            "\\",
            '"',
            "a\x00b",
            "%",
            "\U0001f9ff",
            " ",
        ]
        queries = [Query(stage.harness.unique, value) for value in hostile]
        found = stage.open().find(stage.name, queries)
        assert [list(records) for records in found] == [[] for _ in hostile]


def _settled(batches: list[Batch], done: int) -> int:
    """How many of the first ``done`` batches a resumed scan does not read again."""
    cursors = [None, *(batch.cursor for batch in batches[:done])]
    return max(
        (n for n in range(1, done + 1) if cursors[n] != cursors[n - 1]), default=0
    )
