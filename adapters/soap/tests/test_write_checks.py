"""What a write would lose is found when it is loaded (soap 50, 52, 63, 65, 69)."""

from __future__ import annotations

import re

import pytest

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapConfig
from moatbridge_soap.connection import Connection
from servers.soap_desk import DeskServer
from servers.soap_scripted import ScriptedSoap, Told, envelope, fault, one, stored
from servers.soap_world import adapter, orders, people, system

NONE = {"kind": "none"}
DESK = "urn:example:desk"
COMPOUND = {"key": ["nr", "login"], "deletes": None}
LINE = {"result": "AddPeopleResponse/line", "key": "nr"}


def several(**more):
    """A write table that sends several people in one call."""
    table = {"operation": "AddPeople", "request": {"person": "{record}"}, "batch": LINE}
    return table | more


def load(stream):
    """Bind a stream of the desk; connects to nothing."""
    config = SoapConfig(wsdl=str(DeskServer.wsdl), endpoint="http://127.0.0.1:9/desk")
    return Connection(config, {"people": stream}, None).streams["people"]


def refused(stream):
    with pytest.raises(ConfigurationError) as caught:
        load(stream)
    return caught.value


VERSIONED = {"person": {"nr": "{refs.nr}", "login": "x", "version": "{version}"}}
BATCHES = {
    "a version": (several(request=VERSIONED), "{version} has no value"),
    "one record": (
        several(request={"person": {"nr": "{ref.nr}", "login": "{record.login}"}}),
        "{record.login} has no value",
    ),
    "full": (several(mode="full"), 'mode = "partial"'),
    "full where get is": (several(), 'mode = "partial"'),
    "no key": (
        several(mode="partial", batch={"result": LINE["result"]}),
        'by = "position"',
    ),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_that_would_lose_something_is_refused_at_load(name):
    table, words = BATCHES[name]
    error = refused(people(update=table))
    assert error.code == "soap.batch"
    assert "people.update.batch: " in error.message
    assert words in error.message


def test_a_batch_of_records_with_a_compound_key_needs_their_order():
    error = refused(people(**COMPOUND, create=several()))
    assert (error.code, "compound" in error.message) == ("soap.batch", True)
    batch = LINE | {"by": "position"}
    assert load(people(**COMPOUND, create=several(batch=batch)))


def test_a_batch_that_loses_nothing_is_loaded():
    assert load(people(update=several(mode="partial"), create=several()))
    assert load(people(update=several(), get=None, create=several()))


@pytest.mark.parametrize("more", [{"get": None}, {"update": {"request": {}}}])
def test_full_mode_without_a_way_to_read_the_record_is_refused(more):
    table = {"operation": "AddPerson", "mode": "full"}
    table["request"] = {
        "person": "{record}" if "get" in more else {"nr": 1, "login": "x"}
    }
    error = refused(
        people(**({"update": table} | {"get": more.get("get", people().get)}))
    )
    assert (error.code, "needs a table get" in error.message) == ("soap.mode", True)


def test_a_create_that_nobody_could_name_is_refused_at_load():
    """Every one would take effect, and be reported as unknown (soap 63)."""
    table = {"operation": "AddPerson", "request": {"person": {"nr": 1, "login": "x"}}}
    error = refused(people(create=table))
    assert (error.code, "people.create: set result" in error.message) == (
        "soap.no-id",
        True,
    )
    answer = {"result": "AddPersonResponse/nr"}
    assert load(people(create=table | answer))
    assert refused(people(**COMPOUND, create=table | answer)).code == ("soap.no-id")
    by_name = {"person": {"nr": "{record.nr}", "login": "{record.login}"}}
    assert load(people(create=table | {"request": by_name}))


# What is sent


def scripted(*answers):
    script = iter(answers)
    return ScriptedSoap(lambda _: next(script))


def lines(*numbers):
    found = "".join(f"<line><nr>{n}</nr><status>OK</status></line>" for n in numbers)
    return Told(
        200,
        envelope(f'<AddPeopleResponse xmlns="{DESK}">{found}</AddPeopleResponse>'),
    )


def desk(peer):
    config = SoapConfig(wsdl=str(DeskServer.wsdl), endpoint=f"{peer.origin}/desk")
    return adapter(config, {"people": people(create=several())})


def creates(*numbers, **more):
    rows = [{"nr": n, "login": f"p{n}", "@vip": False} for n in numbers]
    return [intent("create", None, row, **more) for row in rows]


def test_a_batch_carries_the_secrets_of_its_records():
    with scripted(lines(1, 2)) as peer, desk(peer) as made:
        wanted = [
            *creates(1, secrets={"mail": "first-canary"}),
            *creates(2, secrets={"mail": "second-canary"}),
        ]
        receipts = made.write("people", wanted)
    assert [r.outcome for r in receipts] == ["applied", "applied"]
    sent = re.findall(r"(\d)</\w+:nr>.*?>([a-z-]+)</\w+:mail>", peer.posted[0])
    assert sent == [("1", "first-canary"), ("2", "second-canary")]
    assert "canary" not in repr(receipts)


def test_after_a_refused_batch_each_is_sent_alone_until_an_unknown():
    """What was applied is told, and nothing is sent after an unknown (soap 66)."""
    refusal = Told(500, fault("e:Client"))
    with scripted(refusal, lines(1), Told(500)) as peer, desk(peer) as made:
        receipts = made.write("people", creates(1, 2, 3))
    assert [(r.outcome, r.code) for r in receipts] == [
        ("applied", ""),
        ("unknown", "soap.server-fault"),
        ("not_applied", "soap.not-sent"),
    ]
    assert len(peer.posted) == 3


def test_what_was_applied_before_our_credentials_were_refused_is_told():
    refusal = Told(500, fault("e:Client"))
    with scripted(refusal, lines(1), Told(401)) as peer, desk(peer) as made:
        receipts = made.write("people", creates(1, 2, 3))
    outcomes = [r.outcome for r in receipts]
    assert outcomes == ["applied", "not_applied", "not_applied"]


def test_a_refused_token_of_a_batch_stops_the_system():
    with (
        scripted(Told(500, fault("w:FailedAuthentication"))) as peer,
        desk(peer) as made,
        pytest.raises(ConfigurationError) as caught,
    ):
        made.write("people", creates(1, 2))
    assert caught.value.code == "soap.auth"


def test_a_create_without_the_key_that_we_must_send_is_refused_unsent(tmp_path):
    table = {"operation": "CreateOrder", "request": {"order": "{record}"}}
    with ScriptedSoap(lambda _: Told(200, stored())) as peer:
        config = system(peer.in_folder(tmp_path), auth=NONE)
        with adapter(config, {"orders": orders(create=table)}) as made:
            change = intent("create", None, {"title": "t"})
            receipt = made.write("orders", [change])[0]
    assert (receipt.outcome, receipt.code, peer.posted) == (
        "rejected",
        "soap.no-id",
        [],
    )


BY_NAME = {
    "orderNr": "{ref.orderNr}", "title": "{record.title}", "status": "{record.status}",
    "requester": "{record.requester}", "ordered": "{record.ordered}",
    "currency": "{record.currency}",
}  # fmt: skip
GET = {"operation": "GetOrder", "item": "GetOrderResponse/order"}


@pytest.mark.parametrize(
    "more",
    [
        {"update": {"order": BY_NAME, "expectedVersion": "{version}"}},
        {"get": GET | {"request": {"orderNr": "{refs.orderNr}"}, "batch": {"size": 9}}},
    ],
    ids=["fields by name", "get of several"],
)
def test_a_full_update_is_merged_however_it_is_written(tmp_path, more):
    """What the service would empty is sent again (soap 52)."""
    request = more.get("update", {"order": "{record}", "expectedVersion": "{version}"})
    table = {"operation": "UpdateOrder", "mode": "full", "request": request}
    stream = orders(
        **({"update": table} | ({"get": more["get"]} if "get" in more else {}))
    )
    told = Told(200, one(version="7")), Told(200, stored("UpdateOrder"))
    with scripted(*told) as peer:
        config = system(peer.in_folder(tmp_path), auth=NONE)
        with adapter(config, {"orders": stream}) as made:
            change = intent("update", Ref("PO-0001"), {"title": "new"})
            receipt = made.write("orders", [change])[0]
    assert receipt.outcome == "applied", receipt
    for value in ("new", "ann", "EUR", "7"):
        assert f">{value}</" in peer.posted[1]


def test_a_full_update_without_a_version_is_told_beforehand(tmp_path):
    """Who changed the record in between is overwritten: ``check`` says so (soap 52)."""
    blind = {
        "operation": "UpdateOrder",
        "request": {"order": "{record}", "expectedVersion": 1},
    }
    words = "orders.update: lost-update-possible (no {version})"
    with ScriptedSoap(lambda _: Told(200)) as peer:
        config = system(peer.in_folder(tmp_path), auth=NONE)
        for table, warned in (
            (blind, True),
            (blind | {"mode": "partial"}, False),
            (orders().update.model_dump(exclude_unset=True), False),
        ):
            with adapter(config, {"orders": orders(update=table)}) as made:
                assert (words in made.probe().warnings) is warned


def test_no_secret_is_shown_where_a_batch_cannot_be_written():
    with scripted() as peer, desk(peer) as made:
        wanted = creates(1, secrets={"mail": "canary", "x": 1})
        receipt = made.write("people", wanted)[0]
    assert (receipt.outcome, receipt.code) == ("rejected", "soap.unknown-field")
    assert "canary" not in repr(receipt)
    assert peer.posted == []
