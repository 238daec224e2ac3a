"""What a write comes to: the table of soap section 4, row by row."""

from __future__ import annotations

import datetime as dt

import pytest

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError
from moatbridge.testing import Fault, FaultProxy
from moatbridge.testing.stage import intent
from servers.soap_scripted import ScriptedSoap, Told, fault, one, stored
from servers.soap_world import adapter, orders, system

ORDER = {
    "orderNr": "PO-0001",
    "title": "t",
    "status": "draft",
    "requester": "ann",
    "ordered": dt.date(2026, 3, 1),
    "currency": "EUR",
}
HTML = {"Content-Type": "text/html"}


def client(peer, tmp_path, *, streams=None, **more):
    config = system(peer.in_folder(tmp_path), **more)
    return adapter(config, streams or {"orders": orders()})


def written(tmp_path, told, *, op="create", **more):
    with ScriptedSoap(lambda _: told) as peer:
        made = client(peer, tmp_path, **more)
        with made:
            ref = None if op == "create" else Ref("PO-0001")
            record = None if op == "delete" else ORDER
            receipt = made.write("orders", [intent(op, ref, record)])[0]
        return receipt, len(peer.posted)


CLIENT = "<code>{}</code><retryable>false</retryable>"

TABLE = [
    # What certainly did not happen.
    (Told(404), "not_applied", "soap.endpoint"),
    (Told(405), "not_applied", "soap.endpoint"),
    (Told(415), "not_applied", "soap.endpoint"),
    (Told(429, headers={"Retry-After": "7"}), "not_applied", "soap.busy"),
    (Told(503, headers={"Retry-After": "7"}), "not_applied", "soap.busy"),
    (Told(503, fault("e:Server"), {"Retry-After": "7"}), "not_applied", "soap.busy"),
    # What certainly happened.
    (Told(200, stored()), "applied", ""),
    # What was refused for good.
    (Told(500, fault("e:Client")), "rejected", "soap.client-fault"),
    (Told(500, fault("Sender")), "rejected", "soap.client-fault"),
    (Told(500, fault("e:Client.NotFound")), "rejected", "soap.client-fault"),
    (Told(200, fault("e:Client")), "rejected", "soap.client-fault"),
    (Told(500, fault("e:VersionMismatch")), "rejected", "soap.client-fault"),
    (Told(500, fault("e:MustUnderstand")), "rejected", "soap.client-fault"),
    (Told(500, fault("e:DataEncodingUnknown")), "rejected", "soap.client-fault"),
    (Told(400), "rejected", "soap.data"),
    (Told(413), "rejected", "soap.data"),
    (Told(422), "rejected", "soap.data"),
    # What may have happened.
    (Told(500, fault("e:Server")), "unknown", "soap.server-fault"),
    (Told(500, fault("e:Receiver")), "unknown", "soap.server-fault"),
    (Told(500), "unknown", "soap.server-fault"),
    (Told(502, "<html></html>", HTML), "unknown", "soap.server-fault"),
    (Told(503), "unknown", "soap.server-fault"),
    (Told(504), "unknown", "soap.server-fault"),
    (Told(reset=True), "unknown", "soap.truncated"),
    (Told(200, "<html><title>Login</title></html>", HTML), "unknown", "soap.not-soap"),
    (Told(200, "no xml"), "unknown", "soap.not-soap"),
    (Told(200, stored()[:-40]), "unknown", "soap.truncated"),
    (Told(200, stored().replace("<orderNr>PO-0001</orderNr>", "")), "unknown", "soap.no-id"),
    (Told(200, stored("CancelOrder")), "unknown", "soap.not-soap"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "outcome", "code"), TABLE, ids=lambda v: str(v)[:60])
def test_the_receipt_table(tmp_path, told, outcome, code):
    receipt, posts = written(tmp_path, told)
    assert (receipt.outcome, receipt.code) == (outcome, code)
    assert posts == 1, "a write is never repeated"


def test_retry_after_reaches_the_receipt(tmp_path):
    receipt, _ = written(tmp_path, Told(503, headers={"Retry-After": "7"}))
    assert receipt.retry_after == 7.0


def test_an_applied_create_names_its_record_and_version(tmp_path):
    receipt, _ = written(tmp_path, Told(200, stored(number="PO-77")))
    assert (receipt.ref, receipt.version) == (Ref("PO-77"), "2")


@pytest.mark.parametrize(
    ("code", "outcome", "expected"),
    [
        ("NOT_FOUND", "rejected", "soap.gone"),
        ("CONFLICT", "not_applied", "soap.stale"),
        ("ALREADY_DECIDED", "rejected", "soap.data"),
    ],
)
def test_rules_on_the_detail_come_before_codes(tmp_path, code, outcome, expected):
    """The same fault code means three things; even ``Server`` may be a refusal."""
    detail = CLIENT.format(code)
    script = iter([Told(200, one(version="1")), Told(500, fault("e:Server", detail))])
    with ScriptedSoap(lambda _: next(script)) as peer:
        made = client(peer, tmp_path)
        with made:
            change = intent("update", Ref("PO-0001"), {"title": "x"})
            receipt = made.write("orders", [change])[0]
    assert (receipt.outcome, receipt.code) == (outcome, expected)


@pytest.mark.parametrize(
    "then", ["applied", "not_applied", "rejected", "unknown", "stale"]
)
def test_a_rule_decides_the_outcome(tmp_path, then):
    stream = orders(
        create={
            "operation": "CreateOrder",
            "request": {"order": "{record}"},
            "rules": [{"code": "Server.Odd", "then": then}],
        }
    )
    told = Told(500, fault("x:Server.Odd.Deep"))
    receipt, _ = written(tmp_path, told, streams={"orders": stream})
    assert receipt.outcome == {"stale": "not_applied"}.get(then, then)


def test_result_codes_inside_success(tmp_path):
    """Services that say ``resultCode=17`` inside a 200 (soap 60)."""
    path = "CreateOrderResponse/version"
    stream = orders(
        create={
            "operation": "CreateOrder",
            "request": {"order": "{record}"},
            "rules": [{"result": path, "equals": [17, 2], "then": "rejected"}],
        }
    )
    receipt, _ = written(tmp_path, Told(200, stored()), streams={"orders": stream})
    assert (receipt.outcome, receipt.code) == ("rejected", "soap.data")


def test_ok_must_hold(tmp_path):
    stream = orders(
        create={
            "operation": "CreateOrder",
            "request": {"order": "{record}"},
            "ok": {"path": "CreateOrderResponse/version", "equals": 0},
        }
    )
    receipt, _ = written(tmp_path, Told(200, stored()), streams={"orders": stream})
    assert (receipt.outcome, receipt.code) == ("unknown", "soap.not-ok")


@pytest.mark.parametrize("status", [401, 403, 407])
def test_refused_credentials_stop_the_system(tmp_path, status):
    with ScriptedSoap(lambda _: Told(status)) as peer:
        made = client(peer, tmp_path)
        with made, pytest.raises(ConfigurationError) as caught:
            made.write("orders", [intent("create", None, ORDER)])
        assert caught.value.code == "soap.auth"
        assert peer.password not in str(caught.value)


def test_a_refused_token_stops_the_system(tmp_path):
    with ScriptedSoap(lambda _: Told(500, fault("w:FailedAuthentication"))) as peer:
        made = client(peer, tmp_path)
        with made, pytest.raises(ConfigurationError) as caught:
            made.write("orders", [intent("create", None, ORDER)])
        assert caught.value.code == "soap.auth"


def test_a_refusal_after_an_effect_is_a_receipt(tmp_path):
    """``write`` raises only if nothing took effect."""
    script = iter([Told(200, stored()), Told(401)])
    with ScriptedSoap(lambda _: next(script)) as peer:
        made = client(peer, tmp_path)
        with made:
            intents = [intent("create", None, ORDER) for _ in range(3)]
            receipts = made.write("orders", intents)
    assert [r.outcome for r in receipts] == ["applied", "not_applied", "not_applied"]
    assert len(peer.posted) == 2


def test_after_an_unknown_nothing_more_is_sent(tmp_path):
    script = iter([Told(200, stored()), Told(500), Told(200, stored())])
    with ScriptedSoap(lambda _: next(script)) as peer:
        made = client(peer, tmp_path)
        with made:
            intents = [intent("create", None, ORDER) for _ in range(4)]
            receipts = made.write("orders", intents)
            assert made._connection.endpoint.connection.sock is None, "it is reopened"
    outcomes = [(r.outcome, r.code) for r in receipts]
    assert outcomes[:2] == [("applied", ""), ("unknown", "soap.server-fault")]
    assert outcomes[2:] == [("not_applied", "soap.not-sent")] * 2
    assert len(peer.posted) == 2


def test_nobody_listens_any_more(tmp_path):
    """Connecting failed: the request was not started."""
    with ScriptedSoap(lambda _: Told(200, stored())) as peer:
        with FaultProxy("127.0.0.1", peer.port) as proxy:
            made = client(peer, tmp_path, endpoint=proxy.endpoint)
            made.open()
        made._connection.endpoint.close()
        receipt = made.write("orders", [intent("create", None, ORDER)])[0]
        made.close()
    assert (receipt.outcome, receipt.code) == ("not_applied", "net.unreachable")
    assert peer.posted == []


@pytest.mark.parametrize("where", [0, 20, 200])
@pytest.mark.parametrize("how", ["reset_after", "cut_answer"])
def test_a_broken_answer_is_unknown_at_every_phase(tmp_path, how, where):
    with (
        ScriptedSoap(lambda _: Told(200, stored())) as peer,
        FaultProxy("127.0.0.1", peer.port) as proxy,
    ):
        made = client(peer, tmp_path, endpoint=proxy.endpoint)
        with made:
            proxy.fault = Fault(**{how: where})
            receipt = made.write("orders", [intent("create", None, ORDER)])[0]
    assert receipt.outcome == "unknown"
    assert receipt.code in {"soap.truncated", "soap.not-soap"}


def test_one_way_operations_are_accepted(tmp_path):
    """HTTP 202 or an empty 200 to an operation without output (soap 69)."""
    for status in (200, 202):
        with ScriptedSoap(lambda _, s=status: Told(s)) as peer:
            path = peer.in_folder(tmp_path).wsdl_file()
            text = path.read_text()
            name = '<wsdl:output message="tns:CancelOrderResponse"/>'
            assert name in text
            one_way = tmp_path / f"oneway{status}.wsdl"
            bound = '<soap:operation soapAction="urn:example:erp:orders:1#CancelOrder"/>\n<wsdl:input><soap:body use="literal"/></wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output>'
            assert bound in text
            text = text.replace(name, "").replace(
                bound, bound.partition("<wsdl:output>")[0]
            )
            one_way.write_text(text)
            made = client(peer, tmp_path, wsdl=str(one_way))
            with made:
                told = made.probe().warnings
                receipt = made.write("orders", [intent("delete", Ref("PO-1"), None)])[0]
        assert receipt.outcome == "applied"
        words = "orders.delete: accepted, not confirmed (the operation gives no answer)"
        assert words in told
        assert not [each for each in told if "orders.create: accepted" in each]
