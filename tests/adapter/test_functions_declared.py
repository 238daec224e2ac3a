"""What `StreamFunctions` declares, so that no author has to write it."""

from __future__ import annotations

import pytest

from moatbridge.adapter import (
    AdapterConfig,
    Field,
    Partition,
    Query,
    StreamFunctions,
    make_adapter,
)
from moatbridge.changes import Absent, Ref, Reject
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge.testing import net
from moatbridge.testing.stage import intent

FIELDS = ("id", Field("name", required=True), "mail")
ADA = {"id": "1", "name": "Ada", "mail": "ada@corp.example"}


class Rows:
    """A system that knows whole rows with a version, and refuses what exists."""

    def __init__(self, *rows):
        self.rows = {row["id"]: {"version": 1, **row} for row in rows}
        self.passes = 0

    def read(self):
        self.passes += 1
        return list(self.rows.values())

    def get(self, key):
        if key not in self.rows:
            raise Rejected("No such row.", kind="gone")
        return dict(self.rows[key])

    def create(self, record, _):
        if record["id"] in self.rows:
            raise Rejected("It exists.", kind="conflict")
        self.rows[record["id"]] = {"version": 1, **record}

    def put(self, key, row):
        assert set(row) == {"id", "name", "mail", "version"}, "a whole row"
        if self.rows[key]["version"] != row["version"]:
            raise NotApplied("Somebody was quicker.", code="box.stale")
        self.rows[key] = {**row, "version": row["version"] + 1}


WHOLE = {
    "read": Rows.read,
    "get": Rows.get,
    "find": "read",
    "create": Rows.create,
    "replace": Rows.put,
    "dedup": "by-key",
}


def opened(system, **functions):
    """An open adapter of one stream over this system."""
    given = {"name": "people", "key": "id", "fields": FIELDS, **functions}
    kind = make_adapter(
        "box",
        AdapterConfig,
        StreamFunctions(**given),
        connect=lambda _config, _net: system,
        probe=lambda _: "box",
    )
    adapter = kind(AdapterConfig(), {})
    adapter.net = net(())
    adapter.open()
    return adapter


def written(adapter, op, record, key=None, **more):
    ref = None if key is None else Ref(key)
    [receipt] = adapter.write("people", [intent(op, ref, record, **more)])
    return receipt.outcome, receipt.reason


def test_one_record_at_a_time_is_enough_to_fetch():
    adapter = opened(Rows(ADA), get=Rows.get)
    assert type(adapter).abilities == {"CanFetch"}
    there, gone = adapter.fetch("people", [Ref("1"), Ref("2")])
    assert (there.data, gone) == (ADA, Absent(Ref("2")))


def test_a_record_that_was_not_asked_for_is_never_taken_for_no_record():
    adapter = opened(Rows(), get=lambda rows, key: {**ADA, "id": "2"})
    with pytest.raises(NotApplied) as caught:
        adapter.fetch("people", [Ref("1")])
    assert caught.value.code == "box.other-record"


def test_the_answer_to_one_key_is_none_to_the_next():
    late = iter([ADA, ADA])  # the peer repeats itself, or is one answer behind
    adapter = opened(Rows(), get=lambda rows, key: next(late))
    with pytest.raises(NotApplied) as caught:
        adapter.fetch("people", [Ref("1"), Ref("2")])
    assert caught.value.code == "box.other-record"


def test_finding_by_reading_takes_one_pass_for_all_and_skips_what_cannot_be_read():
    rows = Rows(ADA, {"id": "2", "name": 5}, {"id": "3", "name": "Bob", "mail": None})
    adapter = opened(rows, **WHOLE)
    wanted = [Query("name", "Ada"), Query("id", "3"), Query("name", "Eve")]
    found = adapter.find("people", wanted)
    assert [[hit.ref.id for hit in hits] for hits in found] == [["1"], ["3"], []]
    assert rows.passes == 1
    # Where "there is none" means "send it again", a doubtful row may be the one.
    lookup = opened(rows, **{**WHOLE, "dedup": "lookup"})
    with pytest.raises(Rejected):
        lookup.find("people", wanted)


def test_a_create_that_meets_its_own_record_has_happened():
    rows = Rows()
    adapter = opened(rows, **WHOLE)
    traits = adapter.traits("people")
    assert (traits.dedup, traits.key_scope) == ("keyed", "object")
    for _ in range(2):
        [receipt] = adapter.write("people", [intent("create", None, dict(ADA))])
        assert (receipt.outcome, receipt.ref) == ("applied", Ref("1"))
    assert rows.rows == {"1": {**ADA, "version": 1}}


@pytest.mark.parametrize("other", [{"name": "Adam"}, {"mail": None}, {"mail": ""}])
def test_a_create_that_meets_somebody_elses_record_is_a_conflict(other):
    rows = Rows({**ADA, **other})
    before = dict(rows.rows)
    adapter = opened(rows, **WHOLE)
    assert written(adapter, "create", ADA) == ("rejected", "conflict")
    assert rows.rows == before


def test_a_create_without_an_answer_about_what_is_there_is_not_judged():
    def get(rows, key):
        raise ConnectionResetError

    adapter = opened(Rows(ADA), **{**WHOLE, "get": get})
    with pytest.raises(NotApplied):
        adapter.write("people", [intent("create", None, dict(ADA))])


@pytest.mark.parametrize("key", ["", None])
def test_a_create_without_a_key_is_refused_before_anything_is_sent(key):
    rows = Rows()
    adapter = opened(rows, **WHOLE)
    assert written(adapter, "create", {**ADA, "id": key}) == ("rejected", "data")
    assert rows.rows == {}


def test_other_refusals_of_a_create_stand():
    def create(rows, record, _):
        raise Rejected("Bad.", kind="data")

    adapter = opened(Rows(ADA), **{**WHOLE, "create": create})
    assert written(adapter, "create", ADA) == ("rejected", "data")


def test_a_whole_row_is_replaced_with_what_it_holds_beside_the_fields():
    rows = Rows(ADA)
    adapter = opened(rows, **WHOLE)
    assert written(adapter, "update", {"mail": None}, "1")[0] == "applied"
    assert rows.rows["1"] == {**ADA, "mail": None, "version": 2}
    assert written(adapter, "update", {"mail": "x"}, "9") == ("rejected", "gone")
    rows.rows["2"] = {"id": "2", "name": 5, "mail": None, "version": 1}
    assert written(adapter, "update", {"mail": "x"}, "2") == ("rejected", "value")


def test_a_change_between_reading_and_replacing_is_told_as_stale():
    rows = Rows(ADA)

    def get(system, key):
        row = system.get(key)
        system.rows[key]["version"] += 1
        return row

    adapter = opened(rows, **{**WHOLE, "get": get})
    assert written(adapter, "update", {"mail": "x"}, "1") == ("not_applied", "stale")


@pytest.mark.parametrize("how", ["update", "replace"])
def test_an_update_never_changes_the_key(how):
    rows = Rows(ADA)
    called = []

    def change(system, key, record):
        called.append(record)

    functions = {**WHOLE, "replace": None, how: change}
    adapter = opened(rows, **functions)
    assert written(adapter, "update", {"id": "2"}, "1") == ("rejected", "data")
    assert called == []
    assert written(adapter, "update", {"id": "1", "mail": "x"}, "1")[0] == "applied"
    assert called[0]["mail"] == "x"


def test_nothing_is_an_empty_text_where_the_system_has_no_other():
    sent = []

    def update(rows, key, record):
        sent.append(record)

    rows = Rows({"id": "1", "name": "Ada", "mail": ""})
    functions = {"create": Rows.create, "update": update, "empty_is_none": True}
    adapter = opened(rows, read=Rows.read, get=Rows.get, dedup="by-key", **functions)
    [batch] = adapter.scan("people", Partition(), None)
    assert batch.changes[0].data == {"id": "1", "name": "Ada", "mail": None}
    assert adapter.fetch("people", [Ref("1")])[0].data["mail"] is None
    assert written(adapter, "update", {"mail": None}, "1")[0] == "applied"
    assert written(adapter, "update", {"name": ""}, "1") == ("rejected", "data")
    assert sent == [{"mail": ""}]
    same = {"id": "1", "name": "Ada", "mail": None}
    assert written(adapter, "create", same)[0] == "applied", "the repeat is recognised"


def test_bytes_that_were_no_text_are_a_reject_and_never_part_of_a_record():
    odd = b"\xff".decode("utf-8", "surrogateescape")
    rows = Rows(ADA, {"id": "2", "name": odd}, {"id": odd, "name": "x"})
    [batch] = opened(rows, read=Rows.read).scan("people", Partition(), None)
    assert [change.ref.id for change in batch.changes] == ["1"]
    found = [(each.reason, each.field, each.location) for each in batch.rejects]
    assert found == [
        ("box.value", "name", "record 2"),
        ("box.key", "id", "record 3"),
    ]
    assert batch.rejects[1].ref is None


def test_a_reject_without_a_place_is_given_one():
    adapter = opened(None, read=lambda _: [ADA, Reject("box.line")])
    [batch] = adapter.scan("people", Partition(), None)
    assert batch.rejects == [Reject("box.line", "record 2")]


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"fetch": lambda *_: []}, "leave one of them out"),
        ({"update": lambda *_: None}, "leave one of them out"),
        ({"get": None}, "give `get` or `fetch`"),
        ({"get": None, "replace": None}, "give `get` or `fetch`"),
        ({"read": None}, "give `read` or `read_after`"),
        ({"key_ttl": 60.0}, "leave `key_ttl` out"),
        ({"fields": (Field("id", writable=False), "name")}, "or only name it"),
        ({"fields": (Field("id"), "name")}, "or only name it"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once_with_the_way_out(wrong, advice):
    with pytest.raises(ConfigurationError, match=advice) as caught:
        opened(Rows(), **{**WHOLE, **wrong})
    assert caught.value.code == "adapter.functions"
