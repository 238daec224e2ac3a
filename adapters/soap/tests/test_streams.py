"""Scan, fetch, find and write on real servers."""

from __future__ import annotations

import dataclasses
import json
import secrets

import pytest
from zeep import Client, Settings
from zeep.helpers import serialize_object
from zeep.wsse.username import UsernameToken

from moatbridge.adapter import Query
from moatbridge.changes import Absent, OutOfScope, Ref
from moatbridge.errors import ConfigurationError
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapStreamConfig
from servers.soap_php import order as erp_order
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


# On PHP's server


@pytest.mark.parametrize("flavour", ["erp", "erp12", "erp-rpc", "erp-encoded"])
def test_every_flavour_reads_the_same(erp_server, flavour):
    with adapter(system(erp_server), {"orders": orders()}) as plain:
        wanted = records(plain)
    with adapter(system(erp_server, flavour), {"orders": orders(flavour)}) as made:
        assert records(made) == wanted
        refs = [Ref("PO-000007"), Ref("nobody"), Ref("PO-000001")]
        found = made.fetch("orders", refs)
    assert [type(f) for f in found][1] is Absent
    assert [found[0].data["orderNr"], found[2].data["orderNr"]] == [
        "PO-000007",
        "PO-000001",
    ]


def test_our_records_equal_those_of_zeep(erp_server):
    """Differential: but absent, nil and empty are told apart, and lists stay lists."""
    token = UsernameToken(
        erp_server.username, erp_server.password, use_digest=True, zulu_timestamp=True
    )
    zeep = Client(
        str(erp_server.wsdl_file()), wsse=token, settings=Settings(strict=True)
    )
    service = zeep.create_service(
        "{urn:example:erp:orders:1}Orders", erp_server.endpoint()
    )
    theirs = serialize_object(service.ListOrders(max=40).orders.order, dict)
    with adapter(system(erp_server), {"orders": orders(only={})}) as made:
        ours = records(made)[: len(theirs)]
    for mine, other in zip(ours, theirs, strict=True):
        plain = {name.lstrip("@"): value for name, value in mine.items()}
        assert _pruned(plain) == _pruned(other)


def _pruned(value):
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v not in (None, [])}
    return [_pruned(v) for v in value] if isinstance(value, list) else value


def test_only_configured_fields_are_decoded_and_declared(erp_server):
    stream = orders(fields=["title", "deliverTo.address.city"], only={})
    with adapter(system(erp_server), {"orders": stream}) as made:
        names = {field.name for field in made.streams()[0].fields}
        assert names == {"title", "deliverTo", "orderNr", "version", "changed"}
        some = next(
            r for r in records(made) if r["deliverTo"] and "address" in r["deliverTo"]
        )
        assert some["deliverTo"] == {"address": {"city": "Berlin"}}


def test_answers_are_written_back_once(erp_server):
    """A decision carries our key: the same intent again decides nothing twice."""
    number = f"PO-{secrets.token_hex(4)}"
    erp_server.add([_named(number)])
    record = {
        "orderNr": number,
        "decision": "approve",
        "comment": "ok <&>",
        "approver": "bea",
    }
    with adapter(system(erp_server), {"decisions": decisions()}) as made:
        assert made.traits("decisions").dedup == "keyed"
        again = intent("create", None, record)
        first = made.write("decisions", [again])[0]
        second = made.write("decisions", [again])[0]
        assert (first.outcome, second.outcome) == ("applied", "applied")
        assert first.ref == second.ref
        late = made.write("decisions", [intent("create", None, record)])[0]
        assert (late.outcome, late.code) == ("rejected", "soap.data")
        low = {**record, "approver": "cyd"}
        assert (
            made.write("decisions", [intent("create", None, low)])[0].outcome
            == "rejected"
        )
        assert first.ref.id in {r["decisionId"] for r in records(made, "decisions")}
    assert [d["order_nr"] for d in erp_server.decisions()].count(number) == 1


def _named(number):
    return dataclasses.replace(erp_order(1), number=number)


def test_a_full_update_keeps_what_the_stream_does_not_show(erp_server):
    """The service replaces the whole order: fields we do not decode must survive."""
    number = f"PO-{secrets.token_hex(4)}"
    erp_server.add([_named(number)])
    stream = orders(fields=["title"], only={})
    with adapter(system(erp_server), {"orders": stream}) as made:
        receipt = made.write(
            "orders", [intent("update", Ref(number), {"title": "new"})]
        )[0]
    assert receipt.outcome == "applied", receipt
    row = erp_server.orders()[number]
    assert (row["title"], row["requester"], row["cost_centre"]) == (
        "new",
        "ann",
        "CC-1",
    )
    assert json.loads(row["deliver_to"])["address"]["city"] == "Berlin"


def test_records_outside_the_stream_are_out_of_scope(erp_server):
    stream = orders(only={"requester": ["bob"]})
    with adapter(system(erp_server), {"orders": stream}) as made:
        assert {r["requester"] for r in records(made)} == {"bob"}
        assert [type(f) for f in made.fetch("orders", [Ref("PO-000001")])] == [
            OutOfScope
        ]


def test_what_the_probe_tells(erp_server):
    with adapter(system(erp_server), {"orders": orders()}) as made:
        probe = made.probe()
    assert (
        probe.server
        == f"http://127.0.0.1:{erp_server.port} {{urn:example:erp:orders:1}}Orders"
    )
    assert probe.product.startswith("SOAP 1.1")
    assert any("one call per record" in w for w in probe.warnings)
    assert any("CreateOrder" in w for w in probe.warnings)
    assert len(probe.limits["wsdl"]) == 64


def test_discover_finds_the_streams_of_the_erp(erp_server):
    with adapter(system(erp_server), {}) as made:
        found = {(s.stream, s.setting): s for s in made.discover().items}

    def says(setting):
        return found["orders", setting].value

    assert says("key") == ["orderNr"]
    assert (says("version"), says("modified")) == ("version", "changed")
    assert says("get.item") == "GetOrderResponse/order"
    assert says("changes.items") == ITEMS
    assert says("changes.request") == {
        "since": "{since}",
        "cursor": "{page.cursor}",
        "max": "{page.size}",
    }
    assert says("changes.page")["next"] == "ListOrdersResponse/nextCursor"
    assert says("changes.since") == {"as_of": "ListOrdersResponse/asOf"}
    assert says("create.request") == {"order": "{record}"}
    assert found["orders", "list.operation"].confidence < 0.8
    assert not [s for s in found.values() if not 0 < s.confidence <= 1 or not s.reason]


def test_what_is_discovered_works(erp_server):
    """From two settings to a whole scan."""
    with adapter(system(erp_server), {}) as made:
        found = [s for s in made.discover().items if s.stream == "orders"]
    settings = {}
    for s in found:
        if s.confidence >= 0.6:
            table, _, name = s.setting.rpartition(".")
            (settings.setdefault(table, {}) if table else settings)[name] = s.value
    kept = {
        k: settings[k] for k in ("key", "version", "modified", "list", "get", "changes")
    }
    with adapter(system(erp_server), {"orders": SoapStreamConfig(**kept)}) as made:
        assert len(records(made)) >= 40


# On node-soap


def test_attributes_choices_and_naive_times_of_the_hr_service(hr_server):
    from pydantic import SecretStr

    from moatbridge_soap import SoapConfig

    auth = {
        "kind": "wsse-text",
        "username": hr_server.username,
        "password": SecretStr(hr_server.password),
    }
    config = SoapConfig(
        wsdl=str(hr_server.wsdl),
        endpoint=hr_server.endpoint(),
        auth=auth,
        timezone="Europe/Berlin",
    )
    stream = SoapStreamConfig(
        key=["persNr"], modified="changed",
        list={
            "operation": "ListEmployees", "items": "ListEmployeesResponse/employee",
            "request": {"offset": "{page.offset}", "max": "{page.size}"},
            "page": {"kind": "offset", "size": 7, "total": "ListEmployeesResponse/total"},
        },
    )  # fmt: skip
    with adapter(config, {"people": stream}) as made:
        found = {r["persNr"]: r for r in records(made, "people")}
    assert sorted(found) == list(range(1, 31))
    assert found[5]["board"] is True
    assert found[5]["manager"] is None
    assert found[2]["phone"][0] == {"@kind": "work", "#text": "+49 2-0"}
    assert found[1]["changed"].utcoffset() is not None


def test_find_by_another_field_is_compared_again(desk_server):
    """``FindPeople`` answers prefixes: a hint, no more."""
    desk_server.control(
        "seed",
        [
            {"nr": 11, "login": "ann", "vip": False},
            {"nr": 12, "login": "anna", "vip": False},
        ],
    )
    try:
        with adapter(desk(desk_server), {"people": people()}) as made:
            found = made.find(
                "people",
                [Query("login", "ann"), Query("nr", "12"), Query("login", "bob")],
            )
            assert [[r.ref.id for r in hits] for hits in found] == [["11"], ["12"], []]
            with pytest.raises(ConfigurationError) as caught:
                made.find("people", [Query("mail", "x")])
            assert caught.value.code == "soap.query"
    finally:
        desk_server.control("remove", ["ann", "anna"])


def test_a_batch_is_matched_by_key_never_by_position(desk_server):
    """The lines come back in reverse; one is missing; one is refused (soap 65)."""
    stream = people(
        create={
            "operation": "AddPeople",
            "request": {"person": "{record}"},
            "batch": {
                "size": 10,
                "result": "AddPeopleResponse/line",
                "key": "nr",
                "ok": {"path": "status", "equals": "OK"},
            },
        }
    )
    rows = [
        {"nr": n, "login": f"batch{n}", "@vip": False} for n in (5001, 5002, 5999, 5003)
    ]
    rows[1]["login"] = ""
    try:
        with adapter(desk(desk_server), {"people": stream}) as made:
            before = made._connection.endpoint.calls
            assert made.traits("people").max_batch == 10
            receipts = made.write("people", [intent("create", None, r) for r in rows])
            assert made._connection.endpoint.calls == before + 1
        assert [r.outcome for r in receipts] == [
            "applied",
            "rejected",
            "unknown",
            "applied",
        ]
        assert [r.ref.id for r in receipts] == ["5001", "5002", "5999", "5003"]
    finally:
        desk_server.control("remove", [f"batch{n}" for n in (5001, 5999, 5003)])


def test_deletes_come_from_a_table_of_their_own(desk_server):
    with adapter(desk(desk_server), {"people": people()}) as made:
        assert made.streams()[0].sees_deletes
        desk_server.control("forget")
        desk_server.control("seed", [{"nr": 77, "login": "gone", "vip": False}])
        after = next(iter(made.changes("people", None))).cursor
        desk_server.control("remove", ["gone"])
        seen = [c for b in made.changes("people", after) for c in b.changes]
        assert [(c.op, c.ref.id) for c in seen] == [("delete", "77")]
        last = list(made.changes("people", after))[-1].cursor
        assert [c for b in made.changes("people", last) for c in b.changes] == []


def test_several_keys_are_fetched_in_one_call_and_answered_in_order(desk_server):
    """``{refs.FIELD}``: the service answers backwards, without what it lacks (70)."""
    stream = people(
        get={
            "operation": "ReadPeople",
            "items": "ReadPeopleResponse/person",
            "request": {"nr": "{refs.nr}"},
            "batch": {"size": 3},
        },
        only={"@vip": [False]},
    )
    rows = [{"nr": n, "login": f"many{n}", "vip": n == 302} for n in range(301, 306)]
    desk_server.control("seed", rows)
    try:
        with adapter(desk(desk_server), {"people": stream}) as made:
            warnings = made.probe().warnings
            assert not any("one call per record" in told for told in warnings)
            calls = made._connection.endpoint.calls
            refs = [Ref(n) for n in ("305", "302", "999", "301", "304", "301", "303")]
            found = made.fetch("people", refs)
            assert made._connection.endpoint.calls == calls + 3
            assert made.fetch("people", []) == []
    finally:
        desk_server.control("remove", [row["login"] for row in rows])
    assert [each.ref.id for each in found] == [ref.id for ref in refs]
    assert [type(each) for each in found[1:3]] == [OutOfScope, Absent]
    assert [found[n].data["login"] for n in (0, 3, 4, 5, 6)] == [
        f"many{n}" for n in (305, 301, 304, 301, 303)
    ]
