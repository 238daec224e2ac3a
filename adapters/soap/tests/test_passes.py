"""Passes: pages, positions, partitions; what an honest server would not show."""

from __future__ import annotations

import datetime as dt
import json
from zoneinfo import ZoneInfo

import pytest

from moatbridge.adapter import Partition
from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapStreamConfig
from servers.soap_scripted import ScriptedSoap, Told, fault, item, page
from servers.soap_world import adapter, decisions, desk, orders, people, system

NONE = {"kind": "none"}
ITEMS = "ListOrdersResponse/orders/order"


def batches(made, name="orders", after=None):
    return list(made.scan(name, made.split(name, 1)[0], after))


def records(made, name="orders"):
    return [change.data for batch in batches(made, name) for change in batch.changes]


def client(peer, tmp_path, stream=None, **more):
    config = system(peer.in_folder(tmp_path), auth=NONE, **more)
    return adapter(config, {"orders": stream or orders()})


# What a script must show


def pages(*answers):
    script = iter(answers)
    return lambda _: Told(200, next(script))


def test_a_partial_scan_is_never_complete(tmp_path):
    script = pages(page([item(n) for n in range(5)], "c1"), page([item(9)])[:-60])
    with ScriptedSoap(script) as peer, client(peer, tmp_path) as made:
        seen = []
        with pytest.raises(NotApplied) as caught:
            seen.extend(made.scan("orders", Partition(), None))
    assert caught.value.code == "soap.truncated"
    assert [batch.complete for batch in seen] == [False]


def test_a_bad_record_is_a_reject_and_stops_nothing(tmp_path):
    bad = item(2).replace("2026-03-01", "soon")
    with (
        ScriptedSoap(pages(page([item(1), bad, item(3)]))) as peer,
        client(peer, tmp_path, orders(only={})) as made,
    ):
        found = batches(made)
    (reject,) = found[0].rejects
    assert (reject.reason, reject.field, reject.ref.id) == (
        "soap.value",
        "ordered",
        "PO-0002",
    )
    assert "soon" not in repr(found)
    assert [c.ref.id for c in found[0].changes] == ["PO-0001", "PO-0003"]
    assert found[-1].complete


def test_big_pages_leave_in_batches_of_500(tmp_path):
    with (
        ScriptedSoap(pages(page([item(n) for n in range(1203)]))) as peer,
        client(peer, tmp_path) as made,
    ):
        found = batches(made)
    assert [len(b.changes) for b in found] == [500, 500, 203]
    assert [b.complete for b in found] == [False, False, True]


def test_an_exact_cap_means_that_rows_were_cut(tmp_path):
    listing = {
        "operation": "ListOrders",
        "items": ITEMS,
        "request": {"max": 5},
        "page": {"kind": "none", "cap": 3},
    }
    with (
        ScriptedSoap(pages(page([item(n) for n in range(3)]))) as peer,
        client(peer, tmp_path, orders(list=listing)) as made,
        pytest.raises(ConfigurationError) as caught,
    ):
        batches(made)
    assert caught.value.code == "soap.cap"


def test_a_field_that_does_not_rise_ends_the_pass(tmp_path):
    listing = {
        "operation": "ListOrders", "items": ITEMS, "request": {"max": 5, "cursor": "{page.last.orderNr}"},
        "page": {"kind": "last", "by": "orderNr"},
    }  # fmt: skip
    with (
        ScriptedSoap(pages(page([item(2), item(1)]))) as peer,
        client(peer, tmp_path, orders(list=listing)) as made,
        pytest.raises(Rejected) as caught,
    ):
        batches(made)
    assert caught.value.code == "soap.order"


def test_rows_that_move_between_pages_make_a_pass_incomplete(desk_server):
    """The first page's total is read again at the end (soap 57)."""
    rows = [{"nr": n, "login": f"drift{n}", "vip": False} for n in range(1, 13)]
    desk_server.control("seed", rows)
    try:
        with adapter(desk(desk_server), {"people": people()}) as made:
            calls = made._connection.endpoint.calls
            whole = batches(made, "people")
            assert whole[-1].complete
            assert made._connection.endpoint.calls - calls == 4
            scan = made.scan("people", Partition(), None)
            found = [next(scan), next(scan)]
            desk_server.control("remove", ["drift1"])
            desk_server.control("seed", [{"nr": 99, "login": "drift99", "vip": False}])
            desk_server.control("seed", [{"nr": 98, "login": "drift98", "vip": False}])
            found += list(scan)
            assert not any(batch.complete for batch in found)
    finally:
        desk_server.control(
            "remove", [r["login"] for r in rows] + ["drift98", "drift99"]
        )


def test_one_partition_per_value(tmp_path):
    listing = {
        "operation": "ListOrders",
        "items": ITEMS,
        "request": {"max": 5},
        "split": {"param": "cursor", "values": ["DE", "FR", "IT"]},
    }

    def script(asked):
        country = next(
            n for n, c in enumerate((b">DE<", b">FR<", b">IT<")) if c in asked.body
        )
        return Told(200, page([item(country * 10 + n) for n in range(2)]))

    with (
        ScriptedSoap(script) as peer,
        client(peer, tmp_path, orders(list=listing)) as made,
    ):
        assert [p.key for p in made.split("orders", 9)] == ["DE", "FR", "IT"]
        assert [p.key for p in made.split("orders", 2)] == ["DE,IT", "FR"]
        (whole,) = made.split("orders", 1)
        found = list(made.scan("orders", whole, None))
        assert [b.complete for b in found] == [False, False, True]
        assert len({c.ref.id for b in found for c in b.changes}) == 6
        rest = list(made.scan("orders", whole, json.loads(json.dumps(found[0].cursor))))
        assert len([c for b in rest for c in b.changes]) == 4


def test_more_goes_on_with_another_operation(tmp_path):
    """The queryMore pattern; here both are ListOrders."""
    listing = {
        "operation": "ListOrders", "items": ITEMS, "request": {"max": 2},
        "page": {
            "kind": "more", "token": "ListOrdersResponse/nextCursor", "next_operation": "ListOrders",
            "next_request": {"max": 2, "cursor": "{page.cursor}"},
        },
    }  # fmt: skip
    with (
        ScriptedSoap(
            pages(page([item(1), item(2)], "t"), page([item(3)], "t"), page([item(4)]))
        ) as peer,
        client(peer, tmp_path, orders(list=listing)) as made,
    ):
        assert [r["orderNr"] for r in records(made)] == [
            f"PO-000{n}" for n in (1, 2, 3, 4)
        ]
    assert "cursor" not in peer.posted[0]
    assert peer.posted[1].count(">t<") == 1


def changes_of(made, after):
    return [c for b in made.changes("orders", after) for c in b.changes]


def changed(nr, minute, **more):
    return item(nr, **more).replace(
        "</order>", f"<changed>2026-03-01T00:{minute:02}:00Z</changed></order>"
    )


def test_the_position_is_the_servers_time_never_ours(tmp_path):
    with (
        ScriptedSoap(pages(page([], as_of="2020-01-01T00:00:00Z"))) as peer,
        client(peer, tmp_path) as made,
    ):
        cursor = next(iter(made.changes("orders", None))).cursor
    assert cursor["since"] == "2020-01-01T00:00:00Z"


def test_without_as_of_the_http_date_counts(tmp_path):
    stream = {
        "operation": "ListOrders",
        "items": ITEMS,
        "request": {"since": "{since}", "max": 5},
    }
    with (
        ScriptedSoap(pages(page([changed(1, 1)]), page([changed(1, 1)]))) as peer,
        client(peer, tmp_path, orders(changes=stream)) as made,
    ):
        cursor = next(iter(made.changes("orders", None))).cursor
        lag = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(cursor["since"])
        assert dt.timedelta(seconds=1) < lag < dt.timedelta(seconds=60)
        after = list(made.changes("orders", cursor))[-1].cursor
        assert changes_of(made, after) == [], "the overlap is dropped"


def test_the_position_moves_only_with_the_last_page(tmp_path):
    script = pages(
        page([changed(n, n) for n in range(5)], "c1", "2026-03-01T01:00:00Z"),
        page([changed(9, 9)], "", "2026-03-01T02:00:00Z"),
    )
    start = {
        "op": "changes",
        "since": "2026-03-01T00:30:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    with ScriptedSoap(script) as peer, client(peer, tmp_path) as made:
        found = list(made.changes("orders", start))
    assert [b.cursor["since"] for b in found] == ["2026-03-01T00:30:00Z"] * 2 + [
        "2026-03-01T01:00:00Z"
    ]
    assert [b.complete for b in found] == [False, False, True]
    assert "2026-03-01T00:29:00Z" in peer.posted[0], "minus the overlap"


def test_the_later_of_two_versions_wins(tmp_path):
    start = {
        "op": "changes",
        "since": "2026-03-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    answers = page(
        [changed(1, 9, title="new"), changed(1, 5, title="old"), changed(2, 1)]
    )
    with ScriptedSoap(pages(answers)) as peer, client(peer, tmp_path) as made:
        assert [c.data["title"] for c in changes_of(made, start)] == ["new", "t"]


def test_thin_changes_carry_only_the_key(tmp_path):
    table = {
        "operation": "ListOrders",
        "items": ITEMS,
        "request": {"since": "{since}", "max": 5},
        "thin": True,
    }
    start = {
        "op": "changes",
        "since": "2026-03-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    with (
        ScriptedSoap(pages(page([item(1)]))) as peer,
        client(peer, tmp_path, orders(changes=table)) as made,
    ):
        assert [(c.ref.id, c.data) for c in changes_of(made, start)] == [
            ("PO-0001", None)
        ]


def test_a_window_bounds_one_pass(tmp_path):
    table = {
        "operation": "ListOrders", "items": ITEMS, "request": {"since": "{since}", "cursor": "{until}", "max": 5},
        "since": {"as_of": "ListOrdersResponse/asOf", "window": "1d", "overlap": 0},
    }  # fmt: skip
    start = {
        "op": "changes",
        "since": "2026-01-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    with (
        ScriptedSoap(pages(page([]))) as peer,
        client(peer, tmp_path, orders(changes=table)) as made,
    ):
        (last,) = made.changes("orders", start)
    assert last.cursor["since"] == "2026-01-02T00:00:00Z"
    assert "2026-01-02T00:00:00Z" in peer.posted[0]


def test_a_position_too_old_asks_for_a_rescan(tmp_path):
    table = {
        "operation": "ListOrders", "items": ITEMS, "request": {"since": "{since}", "max": 5},
        "rules": [{"code": "Client.TooOld", "then": "cursor"}],
    }  # fmt: skip
    start = {
        "op": "changes",
        "since": "2026-01-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    with (
        ScriptedSoap(lambda _: Told(500, fault("e:Client.TooOld"))) as peer,
        client(peer, tmp_path, orders(changes=table)) as made,
        pytest.raises(CursorTooOld),
    ):
        list(made.changes("orders", start))


def test_a_stream_without_a_table_says_so(erp_server):
    stream = SoapStreamConfig(key=["decisionId"], create=decisions().create)
    with adapter(system(erp_server), {"decisions": stream}) as made:
        assert made.streams()[0].abilities == {"CanWrite"}
        assert {f.name for f in made.streams()[0].fields} >= {
            "orderNr",
            "decision",
            "approver",
        }
        for call in (
            lambda: list(made.scan("decisions", Partition(), None)),
            lambda: made.fetch("decisions", [Ref("1")]),
            lambda: list(made.changes("decisions", None)),
        ):
            with pytest.raises(ConfigurationError) as caught:
                call()
            assert caught.value.code == "soap.no-operation"
        lost = made.write("decisions", [intent("delete", Ref("D-1"), None)])[0]
        assert (lost.outcome, lost.code) == ("rejected", "soap.no-delete")


@pytest.mark.parametrize(
    ("change", "dedup", "scope"),
    [
        ({}, "keyed", "request"),
        ({"create": None}, "keyed", "object"),
        (
            {"create": {"operation": "CreateOrder", "request": {"order": "{record}"}}},
            "lookup",
            "object",
        ),
        (
            {
                "create": {
                    "operation": "CreateOrder",
                    "request": {"order": "{record}"},
                    "rules": [{"code": "Client", "then": "duplicate"}],
                }
            },
            "keyed",
            "object",
        ),
        (
            {
                "create": {
                    "operation": "CreateOrder",
                    "request": {"order": "{record}"},
                    "result": "CreateOrderResponse/orderNr",
                },
                "get": None,
                "update": None,
            },
            "none",
            "object",
        ),
        (
            {
                "update": {
                    "operation": "UpdateOrder",
                    "request": {"order": "{record}", "expectedVersion": 1},
                }
            },
            "lookup",
            "request",
        ),
    ],
)
def test_traits_follow_from_the_tables(erp_server, change, dedup, scope):
    with adapter(system(erp_server), {"orders": orders(**change)}) as made:
        traits = made.traits("orders")
    assert (traits.dedup, traits.key_scope) == (dedup, scope)


def test_a_large_position_stays_small(tmp_path):
    start = {
        "op": "changes",
        "since": "2026-03-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    with (
        ScriptedSoap(pages(page([changed(n, n % 60) for n in range(4990)]))) as peer,
        client(peer, tmp_path) as made,
    ):
        cursor = list(made.changes("orders", start))[-1].cursor
    assert 50_000 < len(json.dumps(cursor)) < 65_536


def test_today_is_the_day_in_the_systems_zone(tmp_path):
    request = {"max": 5, "cursor": "{today}"}
    listing = {"operation": "ListOrders", "items": ITEMS, "request": request}
    with ScriptedSoap(pages(page([]))) as peer:
        made = client(
            peer, tmp_path, orders(list=listing), timezone="Pacific/Kiritimati"
        )
        with made:
            batches(made)
    day = dt.datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    assert f">{day}<" in peer.posted[0]


@pytest.mark.parametrize(
    "text", ["{since}", "{record.title}", "{ref.orderNr}", "{key}"]
)
def test_a_placeholder_that_never_has_a_value_is_found_at_load(erp_server, text):
    request = {"max": 5, "cursor": text}
    listing = {"operation": "ListOrders", "items": ITEMS, "request": request}
    with pytest.raises(ConfigurationError) as caught:
        adapter(system(erp_server), {"orders": orders(list=listing)}).open()
    assert caught.value.code == "soap.placeholder"


def test_a_list_of_changes_that_moved_is_read_from_its_beginning_again(tmp_path):
    table = {
        "operation": "ListOrders",
        "items": ITEMS,
        "request": {"since": "{since}", "cursor": "{page.number}", "max": 5},
        "page": {"kind": "page", "size": 5, "total": "ListOrdersResponse/nextCursor"},
        "since": {"as_of": "ListOrdersResponse/asOf", "overlap": "1m"},
    }
    start = {
        "op": "changes",
        "since": "2026-03-01T00:00:00Z",
        "table": "changes",
        "page": None,
        "next": None,
        "edge": "",
    }
    script = pages(
        page([changed(n, n) for n in range(5)], "9"),
        page([], "7"),  # some that were announced are gone
        page([changed(n, n) for n in range(4)], "4"),
    )
    with (
        ScriptedSoap(script) as peer,
        client(peer, tmp_path, orders(changes=table)) as made,
    ):
        found = made.changes("orders", start)
        first, anew = next(found), next(found)
        with pytest.raises(NotApplied, match="total"):
            next(found)
        again = list(made.changes("orders", anew.cursor))
    assert first.cursor["page"]["number"] == 2
    assert anew.cursor["page"] is None
    assert [change.ref.key for batch in again for change in batch.changes] == [
        f"PO-{n:04}" for n in range(4)
    ]
    assert again[-1].complete
