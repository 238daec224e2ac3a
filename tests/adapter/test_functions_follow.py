"""Following with plain functions: ``changes`` of `StreamFunctions`."""

from __future__ import annotations

import time

import pytest

from moatbridge import Bridge, Registry
from moatbridge.adapter import AdapterConfig, Field, StreamFunctions, make_adapter
from moatbridge.changes import Absent, Ref, Reject
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge.run.local import LocalRunner
from moatbridge.testing import net

FIELDS = ("id", Field("name", required=True, unique=True), "mail")


class Log:
    """People, and what was touched; a page holds two changes."""

    def __init__(self, *names):
        self.rows = {}
        self.touched = []
        self.passes = self.pages = self.forgotten = 0
        for number, name in enumerate(names, 1):
            self.put({"id": str(number), "name": name, "mail": None})

    def put(self, row):
        self.rows[row["id"]] = row
        self.touched.append(row["id"])

    def drop(self, key):
        del self.rows[key]
        self.touched.append(key)

    def read(self):
        self.passes += 1
        return list(self.rows.values())

    def changes(self, after):
        self.pages += 1
        if after is None:
            return [], len(self.touched)
        if int(after) < self.forgotten:
            raise Rejected("That is too long ago.", kind="gone")
        keys = self.touched[int(after) :][:2]
        rows = [self.rows.get(key) or Absent(Ref(key)) for key in keys]
        return rows, int(after) + len(rows)


FOLLOWED = {
    "read": Log.read,
    "get": lambda log, key: log.rows.get(key),
    "changes": Log.changes,
    "sees_deletes": True,
}


def kind(system, **functions):
    return make_adapter(
        "box",
        AdapterConfig,
        StreamFunctions(name="people", key="id", fields=FIELDS, **functions),
        connect=lambda _config, _net: system,
        probe=lambda _: "box",
    )


def opened(system, **functions):
    adapter = kind(system, **functions)(AdapterConfig(), {})
    adapter.net = net(())
    adapter.open()
    return adapter


def told(adapter, after):
    return list(adapter.changes("people", after))


def test_a_poll_goes_from_page_to_page_and_each_position_can_be_gone_on_from():
    log = Log("Ada")
    adapter = opened(log, **FOLLOWED)
    [start] = told(adapter, None)
    assert (start.changes, start.cursor) == ([], {"at": "1"})
    log.put({"id": "2", "name": "Grace", "mail": None})
    log.put({"id": "3", "name": "Edsger", "mail": "e@corp.example"})
    log.drop("1")
    batches = told(adapter, start.cursor)
    assert [batch.cursor for batch in batches] == [
        {"at": "3"},
        {"at": "4"},
        {"at": "4"},
    ]
    assert [batch.complete for batch in batches] == [False, False, True]
    [_, edsger] = batches[0].changes
    assert (edsger.op, edsger.data) == ("upsert", log.rows["3"])
    assert batches[1].changes == [(Ref("1"), "delete", None, None, False, ())]
    rest = [c for batch in told(adapter, batches[0].cursor) for c in batch.changes]
    assert rest == list(batches[1].changes)


def test_a_row_that_lacks_fields_is_thin_and_one_that_cannot_be_read_stands_alone():
    rows = [
        {"id": 7},
        {"id": "8", "name": 5, "mail": None},
        {"name": "Eve"},
        Reject("x"),
    ]
    adapter = opened(None, **{**FOLLOWED, "changes": lambda _, _after: (rows, "now")})
    [batch, _] = told(adapter, {"at": "then"})
    [thin] = batch.changes
    assert (thin.ref, thin.op, thin.data, thin.incomplete) == (Ref("7"), "upsert", None, ())  # fmt: skip
    assert [(each.reason, each.location, each.field) for each in batch.rejects] == [
        ("box.value", "change 2", "name"),
        ("box.key", "change 3", "id"),
        ("x", "change 4", None),
    ]


def test_a_system_that_tells_the_last_moment_again_ends_the_poll():
    row = {"id": "1", "name": "Ada", "mail": None}
    moments = {"09:00": ([row], "09:05"), "09:05": ([row], "09:05")}
    adapter = opened(None, **{**FOLLOWED, "changes": lambda _, after: moments[after]})
    batches = told(adapter, {"at": "09:00"})
    assert [batch.cursor["at"] for batch in batches] == ["09:05", "09:05"]


def test_a_position_that_is_forgotten_or_foreign_means_reading_everything():
    log = Log("Ada", "Grace")
    log.forgotten = 2
    adapter = opened(log, **FOLLOWED)
    for position, reason in (({"at": "1"}, "expired"), ({"line": 1}, "foreign")):
        with pytest.raises(CursorTooOld) as caught:
            told(adapter, position)
        assert (caught.value.code, caught.value.reason) == ("box.cursor", reason)


def test_where_nothing_was_asked_for_gone_means_what_it_says():
    def nowhere(_log, _after):
        raise Rejected("There is no such path.", code="box.gone", kind="gone")

    with pytest.raises(Rejected):
        told(opened(None, **{**FOLLOWED, "changes": nowhere}), None)


@pytest.mark.parametrize("nothing", [None, "", True, 1.5])
def test_a_system_that_names_no_position_is_asked_again_later(nothing):
    changes = lambda _, _after: ([], nothing)  # noqa: E731
    with pytest.raises(NotApplied) as caught:
        told(opened(None, **{**FOLLOWED, "changes": changes}), {"at": "1"})
    assert caught.value.code == "box.position"


def test_what_the_network_does_to_a_page_is_not_applied():
    def torn(_log, _after):
        yield {"id": "1", "name": "Ada", "mail": None}
        raise ConnectionResetError

    changes = lambda log, after: (torn(log, after), "2")  # noqa: E731
    with pytest.raises(NotApplied) as caught:
        told(opened(None, **{**FOLLOWED, "changes": changes}), {"at": "1"})
    assert caught.value.code == "box.unreachable"


def generated(_log, _after):
    yield {"id": "1", "name": "Ada", "mail": None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (generated, "it returned generator"),
        (lambda _log, _after: None, "it returned NoneType"),
        (lambda _log, _after: ([], "1", "2"), "it returned tuple"),
        (lambda _log, _after: (None, "1"), "the first was NoneType"),
    ],
)
def test_a_page_that_is_no_pair_names_the_function(changes, said):
    """A generator ended in a bare TypeError."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        told(opened(None, **{**FOLLOWED, "changes": changes}), {"at": "1"})
    assert caught.value.code == "adapter.functions"
    assert "`changes` of people" in caught.value.message


def test_a_pair_whose_position_is_only_now_torn_off_is_not_applied():
    class Torn(list):
        def __len__(self):
            raise ConnectionResetError

    changes = lambda _log, _after: Torn()  # noqa: E731
    with pytest.raises(NotApplied) as caught:
        told(opened(None, **{**FOLLOWED, "changes": changes}), {"at": "1"})
    assert caught.value.code == "box.unreachable"


@pytest.mark.parametrize("lost", ["read", "get", "changes"])
def test_following_without_a_way_back_is_refused(lost):
    given = {name: each for name, each in FOLLOWED.items() if name != lost}
    with pytest.raises(ConfigurationError) as caught:
        kind(None, **given)
    assert caught.value.code == "adapter.functions"


def test_a_flow_carries_changes_without_reading_everything_again(tmp_path):
    source, target = Log("Ada", "Grace"), Log()
    source.touched = source.touched * 5
    writes = {
        "read": Log.read,
        "get": FOLLOWED["get"],
        "find": "read",
        "create": lambda log, row, _key: log.put({"mail": None, **row}),
        "update": lambda log, key, row: log.put(log.rows[key] | row),
        "delete": lambda log, key: log.drop(key),
        "dedup": "by-key",
    }
    registry = Registry(discover=False)
    registry.register("src", kind(source, **FOLLOWED))
    registry.register("dst", kind(target, **writes))
    names = {"externalId": "id", "userName": "name", "emails[type=work].value": "mail"}
    person = {"translator": {"entity": "Person", "fields": names}}
    flow = {
        "from": "src/people",
        "to": "dst/people",
        "deletes": "remove",
        "every": "1s",
    }
    config = parse(
        {
            "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"},
            "systems": {
                "src": {"adapter": "src"},
                "dst": {"adapter": "dst", "max_label": "confidential"},
            },
            "streams": {"src/people": person, "dst/people": person},
            "flows": {"people": {**flow, "i_know": "deletes are final"}},
        },
        registry,
    )
    with Bridge(config, registry=registry) as bridge:
        plan = bridge.plan("people")
        bridge.apply(plan, confirm=plan.verdict.count, actor="ops@example.org")
        assert target.rows == source.rows
        passes = source.passes
        runner = LocalRunner(bridge, slots=2)
        runner.start(["people"])
        try:
            source.put({"id": "1", "name": "Ada", "mail": "ada@corp.example"})
            source.drop("2")
            wait_until(lambda: target.rows == source.rows)
            assert source.passes == passes
            # What is forgotten is read as a whole, and then followed from there.
            source.forgotten = len(source.touched) + 1
            source.put({"id": "3", "name": "Edsger", "mail": None})
            wait_until(lambda: target.rows == source.rows)
            assert source.passes > passes
        finally:
            runner.stop()


def wait_until(so, seconds=60):
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
