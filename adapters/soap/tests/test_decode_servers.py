"""Our decoder and zeep's, on the same answers of real servers (soap 8)."""

from __future__ import annotations

import datetime as dt

import pytest
import zeep
from lxml import etree
from zeep.helpers import serialize_object
from zeep.wsse.username import UsernameToken

from moatbridge_soap.decode import DecodeSettings, compile_answer
from servers.soap_php import ORDERS
from servers.soap_schema import client

FLAVOURS = ("erp", "erp12", "erp-rpc", "erp-encoded")


class Asked:
    """One flavour of the ERP, asked raw; answers are decoded twice."""

    def __init__(self, server, flavour) -> None:
        self.rpc = flavour in {"erp-rpc", "erp-encoded"}
        self.above = "return/" if self.rpc else ""
        self.item = "item" if flavour == "erp-encoded" else "order"
        token = UsernameToken(
            server.username,
            server.password,
            use_digest=flavour != "erp12",
            zulu_timestamp=True,
        )
        self.client = client(
            server.wsdl_file(flavour),
            wsse=token,
            settings=zeep.Settings(raw_response=True),
        )

    def operation(self, name):
        return self.client.service._binding._operations[name]

    def call(self, name, **request):
        more = {"request": request} if self.rpc else request
        return self.client.service[name](**more)

    def decode(self, name, response, *, item, **settings):
        decoder = compile_answer(
            self.operation(name),
            items=None,
            item=f"{name}Response/{self.above}{item}",
            paths=[],
            settings=DecodeSettings(**settings),
        )
        kind = response.headers["content-type"]
        return decoder.read(iter([response.content]), content_type=kind)


@pytest.fixture(params=FLAVOURS)
def erp(request, erp_server):
    return Asked(erp_server, request.param)


def listed(erp, **settings):
    response = erp.call("ListOrders", max=25)
    items = f"orders/{erp.item}"
    decoder = compile_answer(
        erp.operation("ListOrders"),
        items=f"ListOrdersResponse/{erp.above}{items}",
        item=None,
        paths=[
            f"ListOrdersResponse/{erp.above}nextCursor",
            f"ListOrdersResponse/{erp.above}asOf",
        ],
        settings=DecodeSettings(key=("orderNr",), **settings),
    )
    answer = decoder.read(
        iter([response.content]), content_type=response.headers["content-type"]
    )
    return list(answer), answer, response


def plain(value):
    """zeep's values in our shape: what documented differences leave to compare."""
    if isinstance(value, dict):
        return {
            key: plain(below) for key, below in value.items() if below not in (None, [])
        }
    if isinstance(value, list):
        return [plain(below) for below in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    return value


def test_every_flavour_of_the_erp_decodes_like_zeep(erp):
    items, answer, response = listed(erp)
    assert answer.fault is None
    assert answer.tolerated == {}
    assert [each.reject for each in items] == [None] * 25
    document = etree.fromstring(response.content)
    theirs = serialize_object(erp.operation("ListOrders").process_reply(document), dict)
    orders = theirs["orders"]
    orders = orders if isinstance(orders, list) else orders["order"]
    ours = [
        {key.removeprefix("@"): value for key, value in each.record.items()}
        for each in items
    ]
    # soap 37: zeep has None for absent and nil, [] for a list that is not there.
    assert plain(ours) == plain(orders)
    assert answer.value(f"ListOrdersResponse/{erp.above}asOf") == theirs["asOf"]


def test_every_flavour_gives_what_was_stored(erp):
    items, answer, _ = listed(erp)
    by_number = {each.record["orderNr"]: each.record for each in items}
    assert set(by_number) == {each.number for each in ORDERS[:25]}
    for order in ORDERS[:25]:
        record = by_number[order.number]
        assert (
            record["total"]
            == sum(
                round(line.quantity * line.unit_price + 0, 2) for line in order.lines
            )
            or abs(record["total"] * 100 - order.cents) == 0
        )
        assert record.get("@urgent") is order.urgent
        assert record["costCentre"] == order.cost_centre
        assert record["attachment"] == order.attachment
        assert record.get("deliverTo") == (order.deliver_to or None)
        assert [x["article"] for x in record.get("line", [])] == [
            x.article for x in order.lines
        ]
    assert answer.value(f"ListOrdersResponse/{erp.above}nextCursor").endswith("24")


def test_faults_of_both_soap_versions_carry_the_detail(erp):
    response = erp.call("GetOrder", orderNr="nowhere")
    answer = erp.decode("GetOrder", response, item="order")
    assert list(answer) == []
    fault = answer.fault
    assert fault.codes[0].rpartition(":")[2] in {"Client", "Sender"}
    assert fault.text == "no such order"
    [detail] = fault.details
    assert detail.name.endswith("OrderFault")
    assert detail.values == {"code": "NOT_FOUND", "retryable": "false"}


def test_a_wrong_password_is_a_fault_with_the_security_code(erp_server):
    erp = Asked(erp_server, "erp")
    erp.client.wsse.password = "wrong"
    answer = erp.decode("GetOrder", erp.call("GetOrder", orderNr="x"), item="order")
    assert list(answer) == []
    assert answer.fault.codes[0].endswith("FailedAuthentication")
    assert not any(detail.values.get("code") for detail in answer.fault.details)


def test_a_single_order_with_its_lines(erp):
    response = erp.call("GetOrder", orderNr="PO-000002")
    [item] = erp.decode("GetOrder", response, item="order", key=("orderNr",))
    assert item.record["orderNr"] == "PO-000002"
    assert [line["position"] for line in item.record["line"]] == [1, 2]


@pytest.fixture(params=[False, True], ids=["soap11", "soap12"])
def hr(request, hr_server):
    token = UsernameToken(
        hr_server.username,
        hr_server.password,
        use_digest=True,
        zulu_timestamp=True,
    )
    zeeps = client(
        hr_server.wsdl, wsse=token, settings=zeep.Settings(raw_response=True)
    )
    place = hr_server.endpoint(soap12=request.param)
    return zeeps, zeeps.create_service("{urn:example:hr:2}HR", place)


def test_hr_attributes_choice_any_and_dates_without_zone(hr):
    _, service = hr
    operation = service._binding._operations["ListEmployees"]
    decoder = compile_answer(
        operation,
        items="ListEmployeesResponse/employee",
        item=None,
        paths=["ListEmployeesResponse/total"],
        settings=DecodeSettings(key=("persNr",)),
    )
    response = service.ListEmployees(offset=0, max=30)
    answer = decoder.read(
        iter([response.content]), content_type=response.headers["content-type"]
    )
    records = [each.record for each in answer]
    assert answer.value("ListEmployeesResponse/total") == len(records) == 30
    assert answer.tolerated == {"naive:changed": 30, "any:*": 30}
    assert records[0]["email"] is None
    assert "email" not in records[3]
    assert ["board" in each for each in records[:5]] == [False] * 4 + [True]
    assert records[1]["phone"][1] == {"#text": "+49 2-1", "@kind": "home"}
    assert records[5]["@vip"] is True
    assert "@vip" not in records[0]
    theirs = _theirs(operation, response)
    for ours, other in zip(records, theirs, strict=True):
        assert (ours["persNr"], ours["hired"]) == (other["persNr"], other["hired"])
        assert ours["name"]["first"] == other["name"]["first"]
        assert ours["@grade"] == other["grade"]


def _theirs(operation, response):
    # zeep cannot read an answer of SOAP 1.2 over a SOAP 1.1 binding by itself.
    text = response.content.replace(
        b"http://www.w3.org/2003/05/soap-envelope",
        b"http://schemas.xmlsoap.org/soap/envelope/",
    )
    return serialize_object(operation.process_reply(etree.fromstring(text)), dict)[
        "employee"
    ]


def test_hr_fault_with_unqualified_detail(hr):
    _, service = hr
    decoder = compile_answer(
        service._binding._operations["GetEmployee"],
        items=None,
        item="GetEmployeeResponse/employee",
        paths=[],
        settings=DecodeSettings(),
    )
    response = service.GetEmployee(persNr=999)
    answer = decoder.read(
        iter([response.content]), content_type=response.headers["content-type"]
    )
    assert list(answer) == []
    assert answer.fault.details[0].values["code"] == "NOT_FOUND"
