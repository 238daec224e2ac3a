"""Requests: placeholders, binding to the input's schema, values (soap 3.E)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from zeep.xsd.types import builtins

from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_soap import SoapConfig
from moatbridge_soap.request import Request, check_text
from moatbridge_soap.request._lexical import WrongValue, converter
from moatbridge_soap.wsdl import choose_port, describe

ORDER = {
    "title": "t",
    "status": "draft",
    "requester": "ann",
    "ordered": dt.date(2026, 3, 1),
    "currency": "EUR",
}


@pytest.fixture(scope="module")
def port(erp_server):
    config = SoapConfig(
        wsdl=str(erp_server.wsdl_file()), endpoint=erp_server.endpoint()
    )
    return choose_port(describe(config, None).document, config)


def bound(port, operation, table, **more):
    return Request(port.operations[operation], table, "s.op.request", **more)


def body(port, operation, arguments):
    """The first child of Body that zeep makes of the arguments."""
    made = port.operations[operation].create(**arguments)
    return made.content.find("{*}Body")[0]


def sent(port, operation, table, values, **more):
    return body(port, operation, bound(port, operation, table, **more).build(values))


def texts(element):
    return {etree.QName(child).localname: child.text for child in element}


def create(port, record, **more):
    return sent(port, "CreateOrder", {"order": "{record}"}, {"record": record}, **more)[
        0
    ]


def failed(port, record):
    with pytest.raises(Rejected) as caught:
        create(port, record)
    return caught.value


# 48: placeholders


def test_a_placeholder_that_is_the_whole_value_keeps_its_type(port):
    table = {"since": "{since}", "max": "{page.size}"}
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    element = sent(port, "ListOrders", table, {"since": moment, "page.size": 7})
    assert texts(element) == {"since": "2026-01-02T03:04:05Z", "max": "7"}


def test_a_placeholder_inside_text_is_formatted(port):
    table = {"max": 5, "cursor": "{split}|{page.number}"}
    element = sent(port, "ListOrders", table, {"split": "DE", "page.number": 3})
    assert texts(element)["cursor"] == "DE|3"


def test_a_placeholder_without_a_value_leaves_the_element_out(port):
    element = sent(port, "ListOrders", {"max": 5, "cursor": "{page.cursor}"}, {})
    assert texts(element) == {"max": "5"}


def test_a_placeholder_without_a_value_is_empty_text_where_text_is_required(port):
    element = sent(port, "GetOrder", {"orderNr": "{ref.orderNr}"}, {})
    assert texts(element) in ({"orderNr": None}, {"orderNr": ""})


def test_a_required_number_without_a_value_is_a_configuration_error(port):
    with pytest.raises(ConfigurationError) as caught:
        sent(port, "ListOrders", {"max": "{page.offset}"}, {})
    assert caught.value.code == "soap.placeholder"


@pytest.mark.parametrize(
    "text", ["{nobody}", "{page.nobody}", "{}", "{ref.}", "{1+1}", "{record!r}"]
)
def test_unknown_placeholders_are_found_at_load(port, text):
    with pytest.raises(ConfigurationError) as caught:
        bound(port, "GetOrder", {"orderNr": text})
    assert caught.value.code == "soap.placeholder"


# 49: the table must fit the schema


@pytest.mark.parametrize(
    ("operation", "table", "words"),
    [
        ("ListOrders", {"max": 1, "sinse": "x"}, "did you mean 'since'"),
        ("ListOrders", {}, "required element 'max'"),
        ("ListOrders", {"max": "many"}, "integer"),
        ("ListOrders", {"max": True}, "integer"),
        ("ListOrders", {"max": [1, 2]}, "one value"),
        ("ListOrders", {"max": {"a": 1}}, "plain value"),
        ("ListOrders", {"max": 1, "since": "yesterday"}, "dateTime"),
        ("CreateOrder", {"order": "text"}, "table"),
        ("CreateOrder", {"order": {"title": "x"}}, "required element 'status'"),
    ],
)
def test_a_table_that_does_not_fit_is_found_at_load(port, operation, table, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        bound(port, operation, table)
    assert caught.value.code == "soap.path"


def test_two_branches_of_a_choice_are_found_at_load(port):
    address = {"street": "s", "zip": "z", "city": "c"}
    order = {
        **{name: f"{{record.{name}}}" for name in ORDER},
        "deliverTo": {"address": address, "pickupPoint": "Tor"},
    }
    with pytest.raises(ConfigurationError, match="exclude each other"):
        bound(port, "CreateOrder", {"order": order})


def test_a_nested_table_with_literals_and_record_fields(port):
    order = {name: f"{{record.{name}}}" for name in ORDER} | {"currency": "CHF"}
    element = sent(port, "CreateOrder", {"order": order}, {"record": ORDER})
    assert texts(element[0])["currency"] == "CHF"
    assert texts(element[0])["title"] == "t"


# 50: records


def test_a_record_is_written_in_the_order_of_the_schema(port):
    record = {
        **dict(reversed(list(ORDER.items()))),
        "@urgent": True,
        "attachment": b"\x00\xff",
        "total": Decimal("1E+2"),
        "deliverTo": {"address": {"city": "c", "zip": "z", "street": "s"}},
        "line": [
            {"position": 1, "article": "a", "quantity": Decimal("2.50"), "unitPrice": 3}
        ],
        "deliverBy": dt.datetime(
            2026, 4, 1, 10, tzinfo=dt.timezone(dt.timedelta(hours=2))
        ),
    }
    element = create(port, record)
    told = texts(element)
    assert list(told) == [
        "title", "status", "requester", "ordered", "deliverBy", "deliverTo", "line", "total", "currency", "attachment",
    ]  # fmt: skip
    assert told["attachment"] == "AP8="
    assert told["total"] == "100"
    assert told["deliverBy"] == "2026-04-01T10:00:00+02:00"
    assert element.get("urgent") == "true"
    assert texts(element.find("{*}line"))["quantity"] == "2.50"


def test_missing_none_and_empty_differ(port):
    assert "costCentre" not in texts(create(port, ORDER))
    nil = create(port, {**ORDER, "costCentre": None}).find("{*}costCentre")
    assert nil.get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"
    empty = create(port, {**ORDER, "costCentre": ""}).find("{*}costCentre")
    assert empty.attrib == {}
    assert "total" not in texts(create(port, {**ORDER, "total": None}))


def test_read_only_fields_are_not_sent(port):
    record = {**ORDER, "version": 3, "changed": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
    unsent = frozenset({"version", "changed"})
    assert not {"version", "changed"} & set(texts(create(port, record, unsent=unsent)))


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"title": None}, "soap.required", "title"),
        ({"nobody": 1}, "soap.unknown-field", "nobody"),
        ({"title": 7.5}, "soap.value", "title"),
        ({"title": {"odd": [None]}}, "soap.value", "title"),
        ({"ordered": "soon"}, "soap.value", "ordered"),
        ({"ordered": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "soap.value", "ordered"),
        ({"attachment": "AP8="}, "soap.value", "attachment"),
        ({"@urgent": "yes"}, "soap.value", "@urgent"),
        ({"total": Decimal("NaN")}, "soap.value", "total"),
        ({"total": 1.5}, "soap.value", "total"),
        ({"deliverTo": "x"}, "soap.value", "deliverTo"),
        ({"line": [{"position": 1}]}, "soap.required", "line.article"),
        ({"title": "a\x00b"}, "soap.text", "title"),
        ({"title": "a\ud800"}, "soap.text", "title"),
        ({"title": "a￾"}, "soap.text", "title"),
    ],
)
def test_values_that_do_not_fit_are_rejected_and_not_shown(port, change, code, field):
    error = failed(port, {**ORDER, **change})
    assert (error.code, field in error.message) == (code, True)
    for value in change.values():
        if isinstance(value, str) and len(value) > 3:
            assert value not in str(error)


def test_a_missing_required_field_is_rejected(port):
    record = {name: value for name, value in ORDER.items() if name != "status"}
    assert failed(port, record).code == "soap.required"


# 51 and values: properties

XML_TEXT = st.text(
    st.characters(
        blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"
    )
)


@given(XML_TEXT)
def test_any_xml_text_is_sent_as_it_is(text):
    assert check_text(text, "x") == text
    element = etree.Element("a")
    element.text = text
    assert (etree.fromstring(etree.tostring(element)).text or "") == text


@given(st.text())
def test_text_is_sent_whole_or_refused(text):
    element = etree.Element("a")
    try:
        element.text = check_text(text, "x")
    except Rejected:
        with pytest.raises(ValueError, match=r"."):
            element.text = text
    else:
        back = etree.fromstring(etree.tostring(element)).text or ""
        assert back == text.replace("\r\n", "\n") or "\r" in text


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(),
    st.dates(), st.datetimes(), st.times(), st.lists(st.integers()), st.dictionaries(st.text(), st.text()),
)  # fmt: skip
TYPES = [
    builtins.Boolean, builtins.Integer, builtins.Int, builtins.Decimal, builtins.Double, builtins.DateTime,
    builtins.Date, builtins.Time, builtins.Base64Binary, builtins.HexBinary, builtins.Duration, builtins.String,
    builtins.gYear, builtins.AnyURI,
]  # fmt: skip


@given(st.sampled_from(TYPES), ANYTHING)
def test_a_converter_accepts_or_says_wrong_value(kind, value):
    """Nothing else escapes, and what is accepted zeep can write."""
    xsd_type = kind()
    try:
        found = converter(xsd_type)(value)
    except (WrongValue, OverflowError):
        return
    assert isinstance(xsd_type.xmlvalue(found), str | bytes)


@given(
    st.decimals(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30)
)
def test_numbers_survive(number, whole):
    assert (
        Decimal(builtins.Decimal().xmlvalue(converter(builtins.Decimal())(number)))
        == number
    )
    assert (
        int(builtins.Integer().xmlvalue(converter(builtins.Integer())(whole))) == whole
    )
    assert converter(builtins.Long())(str(whole)) == whole
