"""Counted, not timed: what 1,000 records cost from a SQLite table to a SCIM platform.

Two sizes are carried, and the difference is held: what happens once, as opening and
planning, does not count.
"""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from moatbridge.changes import Change, Intent
from moatbridge.ledger.sqlite import SqliteStore
from moatbridge_scim import ScimAdapter

SMALL, LARGE = 500, 3000
PARCEL = 500
"""`ledger.parcel` as it comes."""

CHANGED = 10


@pytest.fixture(scope="module")
def counts():
    """Transactions of the ledger, and the most records held while sending."""
    found = Counter()
    begin, write = SqliteStore.transaction, ScimAdapter.write

    def transaction(store, mode, settled=None):
        found["commits"] += mode != "read"
        return begin(store, mode, settled)

    def written(adapter, stream, intents):
        found["calls"] += 1
        found["held"] = max(found["held"], alive())
        return write(adapter, stream, intents)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "transaction", transaction)
        patch.setattr(ScimAdapter, "write", written)
        patch.setenv("SINK_TOKEN", "benchmark")
        yield found


def alive():
    """Changes and intents of this process, whoever made them."""
    return sum(type(each) in (Change, Intent) for each in gc.get_objects())


@pytest.fixture(scope="module")
def passes(sink, counts, tmp_path_factory):
    """Size -> what its first load, an unchanged pass and a delta cost."""
    return {
        count: carried(sink, counts, tmp_path_factory.mktemp("flow"), count)
        for count in (SMALL, LARGE)
    }


def carried(sink, counts, folder, count):
    """The three passes of the benchmark, one after the other."""
    from scenarios.to_platform import ours
    from scenarios.to_platform.places import Sqlite
    from scenarios.to_platform.works import touch

    source = Sqlite(type("Place", (), {"folder": folder}))
    own = folder / "own"
    own.mkdir()
    order = {**source.order(count, own), "folder": str(own), "sink": sink.url}
    sink.clear()
    found = {}
    for work in ("first", "compare", "delta"):
        if work == "delta":
            touch(own / "hr.db", count, most=CHANGED)
        run = getattr(ours, work)(order)
        gc.collect()
        others = alive()
        counts.clear()
        before = sink.stats()
        run()
        counts["held"] -= others
        after = sink.stats()
        spent = {n: after[n] - before[n] for n in ("requests", "operations")}
        found[work] = {**spent, **counts}
    assert after["repeats"] == 0
    return found


def grown(passes, work, name):
    """How much more of something 1,000 more records cost."""
    large, small = (passes[count][work].get(name, 0) for count in (LARGE, SMALL))
    return (large - small) * 1000 / (LARGE - SMALL)


def test_a_first_load_costs_a_request_for_100_records(passes):
    for count, cost in passes.items():
        assert cost["first"]["operations"] == count
        full, ends_of_parts, others = count // 100, 4, 8
        assert cost["first"]["requests"] <= full + ends_of_parts + others


def test_a_first_load_costs_few_commits_for_1000_records(passes):
    # One a parcel, staging, and those that come with time: leases are renewed.
    assert grown(passes, "first", "commits") <= 60, passes


def test_a_first_load_holds_parcels_and_not_the_stream(passes):
    held = {count: cost["first"]["held"] for count, cost in passes.items()}
    assert 0 < held[LARGE] <= 2 * PARCEL, held  # one on its way, and the next; of six


def test_an_unchanged_pass_costs_no_request_and_no_commit_a_batch(passes):
    assert [cost["compare"]["operations"] for cost in passes.values()] == [0, 0]
    assert grown(passes, "compare", "requests") == 0
    assert grown(passes, "compare", "commits") <= 20, passes  # slices end by the clock


def test_what_told_changes_cost_does_not_depend_on_all_others(passes):
    small, large = (passes[count]["delta"] for count in (SMALL, LARGE))
    assert small["operations"] == large["operations"] == CHANGED
    assert small["requests"] == large["requests"] <= 12
    assert abs(small["commits"] - large["commits"]) <= 3
    assert large["commits"] <= 40
