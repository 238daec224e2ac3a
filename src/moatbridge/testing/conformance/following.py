"""Follow: from now on, without a gap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import CanFetch, CanFollow, CanScan
from moatbridge.changes import Record
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import changes_of

if TYPE_CHECKING:
    from moatbridge.changes import Change
    from moatbridge.testing.stage import Stage


class Following(ConformanceBase):
    """`CanFollow`."""

    @requires(CanFollow)
    def test_following_starts_with_one_empty_batch(self, stage: Stage) -> None:
        """``after=None`` gives the position "now" and no records."""
        stage.seed(2)
        batches = list(stage.open().changes(stage.name, None))
        assert [len(batch.changes) for batch in batches] == [0]
        text = json.dumps(batches[0].cursor)
        assert batches[0].cursor is not None
        assert json.loads(text) == batches[0].cursor
        assert len(text) <= 65536

    @requires(CanFollow)
    def test_sees_what_is_created_after_the_position(self, stage: Stage) -> None:
        """Follow before scan: nothing falls between the two."""
        adapter = stage.open()
        stage.seed(1)
        after = position(stage, adapter)
        stage.seed(2)
        touched = {c.ref.key for c in poll(stage, adapter, after) if c.op == "upsert"}
        assert len(touched) >= 2

    @requires(CanFollow, CanScan)
    def test_sees_an_edit(self, stage: Stage) -> None:
        """A record changed in place is reported under its own ref."""
        values = stage.values(stage.seed(3))
        adapter = stage.open()
        ref = stage.ref(adapter, values[1])
        after = position(stage, adapter)
        stage.harness.edit(values[1])
        seen = poll(stage, adapter, after)
        mine = [c for c in seen if c.op == "upsert" and c.ref.key == ref.key]
        assert mine
        judge(stage, adapter, mine)

    @requires(CanFollow)
    def test_a_change_is_whole_or_says_that_it_is_not(self, stage: Stage) -> None:
        """All fields, or ``partial``, or thin: then there is a fetch for the rest."""
        adapter = stage.open()
        after = position(stage, adapter)
        stage.seed(2)
        judge(stage, adapter, poll(stage, adapter, after))

    @requires(CanFollow)
    def test_a_poll_may_be_repeated(self, stage: Stage) -> None:
        """Nothing is used up by reading it: a crash before the commit loses nothing."""
        adapter = stage.open()
        after = position(stage, adapter)
        stage.seed(2)
        once = {change.ref.key for change in poll(stage, adapter, after)}
        again = {change.ref.key for change in poll(stage, stage.open(), after)}
        assert len(once) >= 2
        assert once <= again

    @requires(CanFollow)
    def test_a_poll_ends_where_the_next_begins(self, stage: Stage) -> None:
        """Old changes are not told again for ever, and new ones are not missed."""
        adapter = stage.open()
        after = position(stage, adapter)
        stage.seed(2)
        batches = list(adapter.changes(stage.name, after))
        stage.seed(1)
        seen = poll(stage, stage.open(), batches[-1].cursor)
        assert 1 <= len({change.ref.key for change in seen}) <= 3

    @requires(CanFollow)
    def test_a_batch_of_changes_resumes(self, stage: Stage) -> None:
        """From every cursor of a poll the rest follows."""
        adapter = stage.open()
        after = position(stage, adapter)
        stage.seed(12)
        batches = list(adapter.changes(stage.name, after))
        whole = {change.ref.key for change in changes_of(batches)}
        assert len(whole) >= 12
        for done in range(1, len(batches)):
            before = {c.ref.key for c in changes_of(batches[:done])}
            at = json.loads(json.dumps(batches[done - 1].cursor))
            rest = poll(stage, stage.open(), at)
            assert before | {change.ref.key for change in rest} == whole

    @requires(CanFollow)
    def test_a_foreign_position_is_refused(self, stage: Stage) -> None:
        """Typed, so that the core can rescan instead of missing changes."""
        adapter = stage.open()
        with pytest.raises(MoatbridgeError):
            list(adapter.changes(stage.name, {"from": "somewhere-else"}))

    @requires(CanFollow, CanScan, "deletes")
    def test_sees_deletes(self, stage: Stage) -> None:
        """A stream that says ``sees_deletes`` reports them, under the same ref."""
        values = stage.values(stage.seed(3))
        adapter = stage.open()
        ref = stage.ref(adapter, values[0])
        after = position(stage, adapter)
        stage.harness.remove([values[0]])
        seen = poll(stage, adapter, after)
        assert [c.ref.key for c in seen if c.op == "delete"] == [ref.key]


def position(stage: Stage, adapter: Any) -> Any:
    """Where the stream stands now, as the ledger would keep it."""
    batches = list(adapter.changes(stage.name, None))
    return json.loads(json.dumps(batches[-1].cursor))


def judge(stage: Stage, adapter: Any, changes: list[Change]) -> None:
    """A change that does not say "thin" or "partial" tells the whole record."""
    declared = {field.name for field in stage.stream(adapter).fields}
    fetches = stage.can(adapter, CanFetch)
    for change in (c for c in changes if c.op == "upsert"):
        now = adapter.fetch(stage.name, [change.ref])[0] if fetches else None
        if change.data is None:
            assert isinstance(now, Record), "a thin change needs CanFetch"
            continue
        assert set(change.data) <= declared, "only declared fields"
        if change.partial:
            continue
        assert set(change.data) | set(change.incomplete) == declared
        if isinstance(now, Record):
            assert change.data == now.data, "the change and fetch agree"


def poll(stage: Stage, adapter: Any, after: Any) -> list[Change]:
    """All changes of one poll."""
    return changes_of(list(adapter.changes(stage.name, after)))
