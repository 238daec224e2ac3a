"""The ERP that tests and the demo use keeps its own promises."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import zeep
from zeep.wsse.username import UsernameToken

from servers.soap_php import order, running
from servers.soap_schema import client


def token(server, **options):
    return UsernameToken(
        server.username,
        server.password,
        use_digest=True,
        zulu_timestamp=True,
        **options,
    )


@pytest.fixture
def service(erp_server):
    return client(erp_server.wsdl_file(), wsse=token(erp_server)).service


def code(call, **request):
    with pytest.raises(zeep.exceptions.Fault) as caught:
        call(**request)
    return caught.value.detail.findtext(".//{*}code")


def journal(server, number):
    return [
        (each["operation"], each["version"])
        for each in server.journal()
        if each["order_nr"] == number
    ]


def test_a_decision_repeated_with_its_request_id_happens_once(erp_server, service):
    erp_server.add([order(9001)])
    asked = {
        "orderNr": "PO-009001",
        "decision": "approve",
        "approver": "bea",
        "comment": "ok",
        "requestId": "once-1",
    }
    first = service.DecideOrder(**asked)
    again = service.DecideOrder(**asked)
    assert first.decisionId == again.decisionId
    assert again.order.status == "approved"
    assert again.order.decidedBy == "bea"
    assert journal(erp_server, "PO-009001") == [("DecideOrder", 2)]
    assert code(service.DecideOrder, **(asked | {"comment": "no"})) == "CONFLICT"
    other = asked | {"requestId": "once-2"}
    assert code(service.DecideOrder, **other) == "ALREADY_DECIDED"
    found = service.GetDecision(decisionId=first.decisionId)
    assert (found.approver, found.comment) == ("bea", "ok")


def test_many_at_once_decide_once(erp_server):
    erp_server.add([order(9002)])

    def decide(number):
        one = client(erp_server.wsdl_file(), wsse=token(erp_server)).service
        try:
            return one.DecideOrder(
                orderNr="PO-009002",
                decision="reject",
                approver="bea",
                requestId=f"race-{number % 2}",
            ).decisionId
        except zeep.exceptions.Fault as fault:
            return fault.detail.findtext(".//{*}code")

    with ThreadPoolExecutor(4) as pool:
        outcomes = set(pool.map(decide, range(8)))
    assert len(outcomes) == 2
    assert "ALREADY_DECIDED" in outcomes
    assert journal(erp_server, "PO-009002") == [("DecideOrder", 2)]


@pytest.mark.parametrize(
    ("approver", "number", "expected"),
    [
        ("nobody", 1, "NOT_AUTHORISED"),
        ("left", 1, "NOT_AUTHORISED"),
        ("cyd", 2, "NOT_AUTHORISED"),
        ("bea", 77, "NOT_FOUND"),
    ],
)
def test_who_may_decide_what(service, erp_server, approver, number, expected):
    before = len(erp_server.decisions())
    found = code(
        service.DecideOrder,
        orderNr=f"PO-{number:06d}",
        decision="approve",
        approver=approver,
        requestId=f"may-{approver}",
    )
    assert found == expected
    assert len(erp_server.decisions()) == before


def content(**more):
    values = {
        "title": "Neu",
        "status": "draft",
        "requester": "ann",
        "ordered": dt.date(2026, 1, 1),
        "currency": "EUR",
        "line": [
            {
                "position": 1,
                "article": "x",
                "quantity": Decimal("1.5"),
                "unitPrice": Decimal("2.01"),
            }
        ],
    }
    return values | more


def test_creating_updating_and_cancelling(service, erp_server):
    made = service.CreateOrder(order=content(), requestId="new-1")
    again = service.CreateOrder(order=content(), requestId="new-1")
    assert made == again
    number = made.orderNr
    assert service.GetOrder(orderNr=number).total == Decimal("3.02")
    changed = content(orderNr=number, title="Anders")
    service.UpdateOrder(order=changed, expectedVersion=1)
    assert code(service.UpdateOrder, order=changed, expectedVersion=1) == "CONFLICT"
    service.CancelOrder(orderNr=number, expectedVersion=2)
    assert service.CancelOrder(orderNr=number).version == 3
    assert journal(erp_server, number) == [
        ("CreateOrder", 1),
        ("UpdateOrder", 2),
        ("CancelOrder", 3),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"status": "approved"}, {"total": Decimal(99)}, {"currency": "EUR", "total": "x"}],
)
def test_invalid_orders_leave_nothing_behind(service, erp_server, wrong):
    before = (len(erp_server.orders()), len(erp_server.journal()))
    if isinstance(wrong.get("total"), str):
        wrong = {"line": [], "total": Decimal("1.001")}
    assert code(service.CreateOrder, order=content(**wrong)) == "INVALID"
    assert (len(erp_server.orders()), len(erp_server.journal())) == before


def test_a_nonce_is_good_once_and_an_old_token_never(erp_server):
    replayed = client(erp_server.wsdl_file(), wsse=token(erp_server, nonce="bm9uY2Ux"))
    replayed.service.ListOrders(max=1)
    with pytest.raises(zeep.exceptions.Fault, match="could not be authenticated"):
        replayed.service.ListOrders(max=1)
    old = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)
    late = client(erp_server.wsdl_file(), wsse=token(erp_server, created=old))
    with pytest.raises(zeep.exceptions.Fault, match="could not be authenticated"):
        late.service.ListOrders(max=1)


def test_pages_reach_every_order_once_and_since_is_inclusive(erp_server, service):
    seen, cursor = [], None
    while True:
        page = service.ListOrders(max=7, cursor=cursor)
        if page.orders is not None:  # the last page may be empty
            seen += [each.orderNr for each in page.orders.order]
        cursor = page.nextCursor
        if not cursor:
            break
    assert sorted(seen) == sorted(erp_server.orders())
    last = max(each["changed"] for each in erp_server.orders().values())
    since = dt.datetime.fromisoformat(last)
    assert len(service.ListOrders(max=500, since=since).orders.order) >= 1
    assert code(service.ListOrders, max=501) == "INVALID"


def test_data_survives_a_restart():
    with running(orders=[order(1)]) as server:
        server.stop()
        server.listen()
        found = client(server.wsdl_file(), wsse=token(server)).service
        assert found.GetOrder(orderNr="PO-000001").requester == "ann"
