"""Whole answers: faults, charsets, references, attachments, held answers."""

from __future__ import annotations

import base64
import contextlib
import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.demo.servers.erp.wsdl import wsdl
from moatbridge.errors import NotApplied, Rejected
from moatbridge_soap.decode import DecodeSettings, cleaned, compile_answer
from servers.soap_schema import (
    ENCODING,
    NS,
    SOAP12,
    Schema,
    client,
    envelope,
    items,
    leaf,
    operation_of,
)

TYPES = items(
    f"<xsd:sequence>{leaf('id', 'string')}{leaf('raw', 'base64Binary')}</xsd:sequence>"
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("answers"), TYPES)


def read(decoder, *pieces, content_type="text/xml", **more):
    answer = decoder.read(iter(pieces), content_type=content_type, **more)
    return list(answer), answer


ONE = "<Answer><item><id>1 ä 山</id></item></Answer>"


@pytest.mark.parametrize(
    ("encoding", "content_type", "declared"),
    [
        ("utf-8", "text/xml", False),
        ("utf-8-sig", "text/xml; charset=utf-8", False),
        ("utf-8-sig", "text/xml", True),
        ("utf-8", "text/xml; charset=utf8", False),
        ("utf-16", "text/xml", True),
        ("utf-16", "text/xml; charset=utf-16", False),
        ("utf-16-le", "application/soap+xml; charset=UTF-16LE", False),
        ("gb18030", 'text/xml; charset="gb18030"', False),
        ("gb18030", "text/xml", True),
    ],
)
def test_the_charset_is_the_headers_then_the_declarations_then_utf_8(
    schema, encoding, content_type, declared
):
    name = encoding.removesuffix("-sig")
    prolog = f'<?xml version="1.0" encoding="{name}"?>' if declared else ""
    data = (prolog + envelope(ONE)).encode(encoding)
    found, _ = read(schema.decoder(), data, content_type=content_type)
    assert [each.record["id"] for each in found] == ["1 ä 山"]


def test_the_header_outranks_the_declaration(schema):
    text = '<?xml version="1.0" encoding="utf-8"?>' + envelope(ONE.replace("山", ""))
    found, _ = read(
        schema.decoder(),
        text.encode("iso-8859-1"),
        content_type="text/xml; charset=iso-8859-1",
    )
    assert found[0].record["id"] == "1 ä "


def test_an_unknown_charset_is_no_soap(schema):
    with pytest.raises(NotApplied) as caught:
        read(schema.decoder(), b"<x/>", content_type="text/xml; charset=nonsense")
    assert caught.value.code == "soap.not-soap"


@given(st.data())
def test_any_cut_of_the_bytes_gives_the_same_items(schema, data):
    body = "<Answer><next>a</next>{}<total>3</total></Answer>".format(
        "".join(f"<item><id>{n}</id></item>" for n in range(5))
    )
    whole = envelope(body).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    decoder = schema.decoder(paths=("Answer/next", "Answer/total"))
    found, answer = read(decoder, *pieces)
    assert [each.record["id"] for each in found] == list("01234")
    assert (answer.value("Answer/next"), answer.value("Answer/total")) == ("a", 3)


@given(st.integers(0, 400))
def test_every_truncation_is_an_error_never_a_short_list(schema, size):
    whole = envelope(ONE + "<!-- -->").encode()
    with pytest.raises(NotApplied) as caught:
        read(schema.decoder(), whole[: min(size, len(whole) - 1)])
    assert caught.value.code in {"soap.truncated", "soap.not-soap"}


def test_items_leave_while_the_answer_still_comes(schema):
    came = []

    def pieces():
        body = "".join(f"<item><id>{n}</id></item>" for n in range(1000))
        whole = envelope(f"<Answer>{body}</Answer>").encode()
        for start in range(0, len(whole), 5000):
            came.append(start)
            yield whole[start : start + 5000]

    answer = schema.decoder().read(pieces(), content_type="text/xml")
    first = next(iter(answer))
    assert first.record == {"id": "0"}
    assert len(came) == 1


def test_what_an_answer_says_is_known_only_at_its_end(schema):
    answer = schema.decoder().read(iter([b""]), content_type="text/xml")
    with pytest.raises(RuntimeError):
        _ = answer.fault


FAULT11 = """<e:Fault><faultcode>e:Client.NotFound</faultcode><faultstring>no
 such\tthing</faultstring><detail><F xmlns="urn:f" a="1"><code>X</code><deep><er>y</er>
</deep><code>2</code></F><plain>text</plain></detail></e:Fault>"""
FAULT12 = """<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>x:Sub
</e:Value><e:Subcode><e:Value>x:Deep</e:Value></e:Subcode></e:Subcode></e:Code><e:Reason>
<e:Text xml:lang="en">why</e:Text></e:Reason><e:Detail><F xmlns="urn:f"/></e:Detail>
</e:Fault>"""


def test_a_soap_1_1_fault(schema):
    found, answer = schema.read(FAULT11)
    assert found == []
    fault = answer.fault
    assert fault.codes == ("e:Client.NotFound",)
    assert fault.text == "no such thing"
    assert fault.details[0].name == "{urn:f}F"
    assert fault.details[0].values == {"@a": "1", "code": "X", "deep.er": "y"}
    assert fault.details[1].values == {"": "text"}


def test_a_soap_1_2_fault_with_subcodes(schema):
    _, answer = schema.read(FAULT12, soap=SOAP12)
    assert answer.fault.codes == ("e:Sender", "x:Sub", "x:Deep")
    assert answer.fault.text == "why"
    assert answer.fault.details[0].name == "{urn:f}F"


def test_a_fault_outside_the_body_or_in_another_namespace_is_none(schema):
    _, answer = schema.read("<Answer><item><id>1</id></item></Answer>")
    assert answer.fault is None
    with pytest.raises(NotApplied):
        schema.read("<Fault><faultcode>x</faultcode></Fault>")


@given(st.text(max_size=400))
def test_remote_text_is_cut_and_cleaned(text):
    shown = cleaned(text)
    assert len(shown) <= 200
    assert all(c.isprintable() or c == " " or not c.isascii() for c in shown)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_an_answer_to_another_question_is_not_decoded(schema):
    with pytest.raises(NotApplied, match="another question") as caught:
        schema.read("<Other><item><id>1</id></item></Other>")
    assert caught.value.code == "soap.not-soap"


def test_an_item_elsewhere_in_the_answer_is_no_item(schema):
    body = (
        "<Answer><wrap><item><id>2</id></item></wrap><item><id>1</id></item></Answer>"
    )
    found, _ = schema.read(body)
    assert [each.record["id"] for each in found] == ["1"]


# -- limits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "body"),
    [
        ({"max_response": 2000}, "<item><id>1</id></item>" * 200),
        ({"max_records": 10}, "<item><id>1</id></item>" * 11),
        ({"max_record": 4000}, f"<item><id>{'x' * 20_000}</id></item>"),
        ({"max_record": 8000}, f"<item>{'<id/>' * 20_000}</item>"),
        ({"max_buffered": 5000}, f"<next>{'x' * 100_000}</next>"),
    ],
)
def test_each_limit_is_an_error_that_names_its_setting(schema, limit, body):
    with pytest.raises(Rejected) as caught:
        schema.read(f"<Answer>{body}</Answer>", **limit)
    assert caught.value.code == "soap.too-large"
    assert caught.value.details["setting"] == next(iter(limit))


def test_many_items_do_not_count_as_buffered(schema):
    body = "<item><id>1</id></item>" * 20_000
    found, _ = schema.read(f"<Answer>{body}</Answer>", max_buffered=70_000)
    assert len(found) == 20_000


def test_a_value_of_10_mb_is_refused_by_the_parser(schema):
    raw = base64.b64encode(b"x" * 9_000_000).decode()
    with pytest.raises(Rejected) as caught:
        schema.read(
            f"<Answer><item><raw>{raw}</raw></item></Answer>", max_record=100_000_000
        )
    assert caught.value.code == "soap.too-large"


# -- held answers ----------------------------------------------------------------------


def test_a_verified_answer_gives_nothing_before_it_was_verified(schema):
    seen = []

    def verify(root):
        seen.append(root.tag)
        return root[0]

    found, _ = read(schema.decoder(), envelope(ONE).encode(), verify=verify)
    assert len(found) == len(seen) == 1

    def refuse(root):
        raise Rejected("no", code="soap.signature")

    answer = schema.decoder().read(
        iter([envelope(ONE).encode()]), content_type="text/xml", verify=refuse
    )
    with pytest.raises(Rejected):
        next(iter(answer))


def test_a_signature_over_another_body_is_refused(schema):
    def other(root):
        return root

    with pytest.raises(Rejected) as caught:
        read(schema.decoder(), envelope(ONE).encode(), verify=other)
    assert caught.value.code == "soap.signature"


# -- references (soap 43) --------------------------------------------------------------


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    file = tmp_path_factory.mktemp("encoded") / "erp.wsdl"
    file.write_text(wsdl("erp-encoded", "http://127.0.0.1:9/"))
    operation = operation_of(file, "ListOrders")
    return compile_answer(
        operation,
        items="ListOrdersResponse/return/orders/item",
        item=None,
        paths=["ListOrdersResponse/return/nextCursor"],
        settings=DecodeSettings(fields=("orderNr", "title", "line.article")),
    )


def multi(*refs: str, rest: str) -> bytes:
    rows = "".join(f'<item href="#{ref}"/>' for ref in refs)
    return (
        f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body '
        f'e:encodingStyle="{ENCODING}"><r:ListOrdersResponse xmlns:r="urn:x"><return '
        f'href="#page"/></r:ListOrdersResponse>{rest}<multiRef id="page"><orders>{rows}'
        f'</orders><nextCursor href="#c"/></multiRef><multiRef id="c">next</multiRef>'
        f"</e:Body></e:Envelope>"
    ).encode()


def test_multi_ref_items_come_in_the_order_of_the_array(encoded):
    rest = "".join(
        f'<multiRef id="o{n}"><orderNr>PO-{n}</orderNr><title href="#t"/></multiRef>'
        for n in (2, 1, 3)
    )
    rest += '<multiRef id="t">shared</multiRef>'
    found, answer = read(encoded, multi("o1", "o2", "o3", "o1", rest=rest))
    assert [each.record for each in found] == [
        {"orderNr": f"PO-{n}", "title": "shared"} for n in (1, 2, 3, 1)
    ]
    assert answer.value("ListOrdersResponse/return/nextCursor") == "next"


def test_a_reference_to_nowhere_or_in_a_circle_rejects_the_item(encoded):
    rest = """<multiRef id="o1"><orderNr href="#nowhere"/></multiRef>
    <multiRef id="o2"><orderNr href="#a"/></multiRef>
    <multiRef id="a" href="#b"/><multiRef id="b" href="#a"/>
    <multiRef id="o3"><orderNr>3</orderNr></multiRef>"""
    found, _ = read(encoded, multi("o1", "nowhere", "o2", "o3", rest=rest))
    assert [each.reject and each.reject.reason for each in found] == [
        "soap.reference",
        "soap.reference",
        "soap.reference",
        None,
    ]


def test_a_value_whose_reference_points_nowhere_is_refused(encoded):
    data = multi(rest="").replace(b'href="#c"', b'href="#gone"')
    _, answer = read(encoded, data)
    for ask in (answer.value, answer.text):
        with pytest.raises(Rejected) as caught:
            ask("ListOrdersResponse/return/nextCursor")
        assert caught.value.code == "soap.reference"
    with pytest.raises(Rejected) as caught:
        read(encoded, multi(rest="").replace(b'href="#page"', b'href="#gone"'))
    assert caught.value.code == "soap.reference"


def test_a_value_that_is_not_of_its_type_is_refused(schema):
    paths = ("Answer/total",)
    _, answer = schema.read("<Answer><total>many</total></Answer>", paths=paths)
    assert answer.text("Answer/total") == "many"
    with pytest.raises(Rejected, match="Answer/total") as caught:
        answer.value("Answer/total")
    assert caught.value.code == "soap.value"


def test_strict_refuses_an_answer_in_another_namespace(schema):
    with pytest.raises(Rejected) as caught:
        schema.read('<Answer xmlns="urn:wrong"/>', tolerance="strict")
    assert caught.value.code == "soap.deviation"


def test_a_bomb_of_references_costs_no_more_than_the_fields_wanted(encoded):
    chain = "".join(
        f'<multiRef id="i{n}"><a href="#i{n + 1}"/><b href="#i{n + 1}"/></multiRef>'
        for n in range(200)
    )
    rest = f'<multiRef id="o1"><orderNr>1</orderNr><x href="#i0"/></multiRef>{chain}'
    found, _ = read(encoded, multi("o1", rest=rest))
    assert found[0].record == {"orderNr": "1"}


def test_very_many_references_to_one_target_run_out_of_budget(encoded):
    rows = "".join(f'<line href="#l{n % 2}"/>' for n in range(300))
    rest = f'<multiRef id="o1"><orderNr>1</orderNr>{rows}</multiRef>'
    rest += '<multiRef id="l0"><article>a</article></multiRef>'
    rest += '<multiRef id="l1"><article>b</article></multiRef>'
    with pytest.raises(Rejected) as caught:
        read(encoded, multi(*["o1"] * 300, rest=rest))
    assert caught.value.code == "soap.too-large"


PEOPLE = items(
    """<xsd:sequence><xsd:element name="id" type="xsd:string"/>
    <xsd:element name="boss" type="tns:P" minOccurs="0"/></xsd:sequence>""",
    more="""<xsd:complexType name="P"><xsd:sequence>
    <xsd:element name="id" type="xsd:string"/><xsd:element name="n" type="xsd:string"/>
    <xsd:element name="boss" type="tns:P" minOccurs="0"/></xsd:sequence>
    </xsd:complexType>""",
)


def test_a_circle_of_records_ends_in_key_fields_only(tmp_path):
    schema = Schema(tmp_path, PEOPLE)
    body = f"""<Answer xmlns="{NS}"><item><id>1</id><boss href="#p"/></item></Answer>
    <m id="p"><id>2</id><n>x</n><boss href="#q"/></m>
    <m id="q"><id>3</id><n>y</n><boss href="#p"/></m>"""
    found, _ = read(schema.decoder(key=("id",)), _encoded(envelope(body)).encode())
    assert found[0].record == {
        "id": "1",
        "boss": {
            "id": "2",
            "n": "x",
            "boss": {"id": "3", "n": "y", "boss": {"id": "2"}},
        },
    }


def _encoded(text: str) -> str:
    return text.replace("<e:Body>", f'<e:Body e:encodingStyle="{ENCODING}">')


# -- attachments (soap 44) -------------------------------------------------------------

RELATED = (
    'multipart/related; type="application/xop+xml"; boundary="=_b 1"; start="<r@x>"'
)


def related(root: str, *parts: tuple[str, bytes], end: bytes = b"--") -> bytes:
    data = b"preamble\r\n"
    head = b"Content-Type: application/xop+xml; charset=utf-8\r\nContent-ID: <r@x>"
    sections = [(head, root.encode())]
    sections += [(f"Content-ID: <{name}>".encode(), body) for name, body in parts]
    for head, body in sections:
        data += b"--=_b 1\r\n" + head + b"\r\n\r\n" + body + b"\r\n"
    return data + b"--=_b 1" + end + b"\r\n"


XOP = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{}"/>'


@given(st.binary(max_size=300), st.sampled_from(["a@x", "a%40x"]))
def test_attachments_are_bytes_in_their_fields(schema, data, link):
    body = f"<Answer><item><raw>{XOP.format(link)}</raw></item></Answer>"
    if b"\r\n--=_b 1" in b"\r\n" + data:
        return
    found, _ = read(
        schema.decoder(), related(envelope(body), ("a@x", data)), content_type=RELATED
    )
    assert found[0].record == {"raw": data}


def test_an_attachment_that_is_not_there_rejects_the_item(schema):
    body = f"<Answer><item><raw>{XOP.format('b@x')}</raw></item></Answer>"
    found, _ = read(schema.decoder(), related(envelope(body)), content_type=RELATED)
    assert found[0].reject == ("soap.attachment", "raw")


def test_soap_with_attachments_names_them_by_href(schema):
    body = '<Answer><item><raw href="cid:a@x"/></item></Answer>'
    data = related(envelope(body), ("a@x", b"\0\1"))
    found, _ = read(schema.decoder(), data, content_type=RELATED)
    assert found[0].record == {"raw": b"\0\1"}


@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        (related(envelope(ONE), end=b""), RELATED, "soap.truncated"),
        (related(envelope(ONE))[:200], RELATED, "soap.truncated"),
        (b"", RELATED, "soap.truncated"),
        (related(envelope(ONE)), "multipart/related", "soap.not-soap"),
        (
            related(envelope(ONE)),
            RELATED.replace("r@x", "other@x"),
            "soap.not-soap",
        ),
    ],
)
def test_broken_multipart_answers_are_typed_errors(schema, data, content_type, code):
    with pytest.raises(NotApplied) as caught:
        read(schema.decoder(), data, content_type=content_type)
    assert caught.value.code == code


def test_too_many_or_too_large_parts_are_refused(schema):
    parts = [(f"p{n}", b"") for n in range(1001)]
    with pytest.raises(Rejected, match="attachments"):
        read(schema.decoder(), related(envelope(ONE), *parts), content_type=RELATED)
    for more in ({"max_buffered": 100}, {"max_buffered": 900, "max_response": 2000}):
        with pytest.raises(Rejected) as caught:
            read(
                schema.decoder(**more),
                related(envelope(ONE), ("a", b"x" * 4000)),
                content_type=RELATED,
            )
        assert caught.value.code == "soap.too-large"


def linked(*names):
    rows = (f"<item><id>1</id><raw>{XOP.format(n)}</raw></item>" for n in names)
    return envelope(f"<Answer>{''.join(rows)}</Answer>")


def nameless(folder):
    """How many removed files of a folder this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith(f"{folder}/")
    return count


def test_a_large_answer_lies_in_a_file_without_a_name(schema, tmp_path, monkeypatch):
    """What is more than may be held is read from there part by part (soap 44)."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parts = [(f"p{n}@x", bytes([n]) * 5000) for n in range(8)]
    data = related(linked(*(f"p{n}@x" for n in (3, 0, 7, 3))), *parts)
    answer = schema.decoder(max_buffered=9000).read(
        (data[n : n + 700] for n in range(0, len(data), 700)), content_type=RELATED
    )
    found = [item.record["raw"] for item in answer]
    assert found == [bytes([n]) * 5000 for n in (3, 0, 7, 3)]
    assert answer.attached == 20_000
    assert list(tmp_path.iterdir()) == []
    assert nameless(tmp_path) == 1
    del answer
    gc.collect()
    assert nameless(tmp_path) == 0


def test_one_record_takes_no_more_of_attachments_than_may_be_held(schema):
    """However often it refers to them; the others are read."""
    data = related(
        linked("a@x", "b@x", "a@x"), ("a@x", b"a" * 900), ("b@x", b"b" * 2001)
    )
    found, _ = read(schema.decoder(max_buffered=2000), data, content_type=RELATED)
    assert [item.reject for item in found] == [None, ("soap.too-large", "raw"), None]


def test_no_room_for_a_large_answer_is_a_typed_error(schema, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    data = related(linked("a@x"), ("a@x", b"a" * 9000))
    with pytest.raises(NotApplied, match="temporary files") as caught:
        read(schema.decoder(max_buffered=2000), data, content_type=RELATED)
    assert caught.value.code == "soap.too-large"


def test_the_erps_wsdls_load(tmp_path):
    for flavour in ("erp", "erp12", "erp-rpc", "erp-encoded"):
        file = tmp_path / f"{flavour}.wsdl"
        file.write_text(wsdl(flavour, "http://127.0.0.1:9/"))
        assert len(client(file).service._operations) == 8
