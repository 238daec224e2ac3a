"""Substitution groups: what stands in an element's place is its field (soap 42)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_soap import SoapConfig
from moatbridge_soap.decode import DecodeSettings, compile_answer, field_types
from moatbridge_soap.wsdl import choose_port, describe
from servers.soap_schema import Schema, envelope, items, leaf

_PARTY = f"""<xsd:complexType name="Party"><xsd:sequence>
{leaf("name", "string")}</xsd:sequence></xsd:complexType>
<xsd:complexType name="Company"><xsd:complexContent><xsd:extension base="tns:Party">
<xsd:sequence>{leaf("vat", "int")}
<xsd:element ref="tns:party" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence>
</xsd:extension></xsd:complexContent></xsd:complexType>
<xsd:element name="party" type="tns:Party" abstract="true"/>
<xsd:element name="human" substitutionGroup="tns:party"/>
<xsd:element name="company" type="tns:Company" substitutionGroup="tns:party"/>
<xsd:element name="bank" type="tns:Company" substitutionGroup="tns:company"/>
<xsd:element name="note" type="xsd:string"/>
<xsd:element name="remark" type="xsd:string" substitutionGroup="tns:note"/>
<xsd:element name="weight" type="xsd:decimal"/>
<xsd:element name="grams" type="xsd:int" substitutionGroup="tns:weight"/>"""
TYPES = items(
    f"""<xsd:sequence>{leaf("id", "string", optional=False)}
    <xsd:element ref="tns:party" minOccurs="0" maxOccurs="unbounded"/>
    <xsd:element ref="tns:note"/><xsd:element ref="tns:weight" minOccurs="0"/>
    {leaf("last", "int")}</xsd:sequence>""",
    more=_PARTY,
)
GROUPED = f"""{_PARTY}<xsd:element name="Answer"><xsd:complexType><xsd:sequence>
<xsd:element name="page" minOccurs="0"><xsd:complexType><xsd:sequence>
<xsd:element ref="tns:party" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence>
</xsd:complexType></xsd:element></xsd:sequence></xsd:complexType></xsd:element>"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("groups"), TYPES)


def read_one(schema, content, **options):
    found, answer = schema.read(f"<Answer><item>{content}</item></Answer>", **options)
    return found[0], answer.tolerated


def test_an_element_of_a_group_is_its_heads_field(schema):
    item, tolerated = read_one(
        schema,
        "<id>1</id><human><name>Ada</name></human>"
        "<bank><name>B</name><vat>7</vat><company><vat>8</vat></company></bank>"
        "<remark>r</remark><grams>12</grams><last>3</last>",
        tolerance="strict",
    )
    assert item.reject is None
    assert item.record == {
        "id": "1",
        "party": [
            {"name": "Ada"},
            {"name": "B", "vat": 7, "party": [{"vat": 8, "@type": "Company"}],
             "@type": "Company"},
        ],
        "note": "r", "weight": 12, "last": 3,
    }  # fmt: skip
    assert tolerated == {}


def test_a_substitute_fills_a_required_element_once(schema):
    item, tolerated = read_one(schema, "<id>1</id><remark>r</remark>")
    assert (item.record["note"], tolerated) == ("r", {})
    item, _ = read_one(schema, "<id>1</id><note>a</note><remark>b</remark>")
    assert item.reject == ("soap.repeated", "note")


def test_what_only_substitutes_hold_is_declared_and_can_be_chosen(schema):
    fields = {f.name: f for f in field_types(schema.operation, "Answer/item")}
    assert [f.name for f in fields["party"].fields] == ["name", "vat", "party"]
    assert (fields["party"].multi, fields["note"].type) == (True, "text")
    item, _ = read_one(
        schema,
        "<id>1</id><company><name>n</name><vat>x</vat></company><note/>",
        fields=("id", "party.name"),
    )
    assert item.record["party"] == [{"name": "n", "@type": "Company"}]
    item, _ = read_one(
        schema,
        "<id>1</id><company><vat>x</vat></company><note/>",
        fields=("party.vat",),
    )
    assert item.reject == ("soap.value", "party.vat")


def test_items_of_a_group_are_never_an_empty_list(tmp_path):
    """The items are found by name: another name of the group is an item too."""
    schema = Schema(tmp_path, GROUPED)
    body = (
        "<Answer><page><human><name>a</name></human><other/>"
        "<company><name>b</name><vat>1</vat></company></page></Answer>"
    )
    expected = [{"name": "a"}, {"name": "b", "vat": 1, "@type": "Company"}]
    place = {"items": "Answer/page/party", "key": ("name",)}
    assert schema.records(body, **place) == expected
    held = schema.decoder(**place).read(
        iter([envelope(body).encode()]),
        content_type="text/xml",
        verify=lambda root: root[0],
    )
    assert [item.record for item in held] == expected
    names = [f.name for f in field_types(schema.operation, "Answer/page/party")]
    assert names == ["name", "vat", "party"]
    many = body.replace("<other/>", "<human><name>x</name></human>" * 5000)
    assert len(schema.records(many, max_buffered=20_000, **place)) == 5002


def test_a_group_inside_itself_ends(schema):
    deep = "<company>" * 80 + "</company>" * 80
    item, _ = read_one(schema, f"<id>1</id>{deep}<note/>", key=("id",))
    assert item.reject.reason == "soap.too-deep"


def test_a_large_group_whose_members_hold_each_other_is_described_and_read(tmp_path):
    """24 members in any order inside each other: 24! shapes, if they were all made."""
    names = [f"m{n}" for n in range(24)]
    types = "".join(
        f"""<xsd:complexType name="T{name}"><xsd:complexContent>
        <xsd:extension base="tns:Party"><xsd:sequence>{leaf(f"of{name}", "int")}
        <xsd:element ref="tns:party" minOccurs="0" maxOccurs="unbounded"/>
        </xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType>
        <xsd:element name="{name}" type="tns:T{name}" substitutionGroup="tns:party"/>"""
        for name in names
    )
    schema = Schema(tmp_path, TYPES + types)
    fields = {f.name: f for f in field_types(schema.operation, "Answer/item")}
    assert {f"of{name}" for name in names} < {f.name for f in fields["party"].fields}
    nest = "".join(f"<{name}>" for name in names)
    back = "".join(f"</{name}>" for name in reversed(names))
    item, _ = read_one(schema, f"<id>1</id>{nest}<name>x</name>{back}<note/>")
    found, depth = item.record["party"][0], 0
    while "party" in found:
        found, depth = found["party"][0], depth + 1
    assert (found["name"], depth) == ("x", 23)


_PARTS = st.sampled_from([
    "<human><name>a</name></human>", "<company><vat>1</vat></company>",
    "<bank><vat>y</vat></bank>", "<party><name>p</name></party>", "<note>n</note>",
    "<remark/>", "<grams>5</grams>", "<weight>1.5</weight>", "<last>4</last>", "<z/>",
    '<human xmlns="urn:else"/>', '<remark xsi:nil="true"/>',
])  # fmt: skip
_ROWS = st.lists(st.lists(_PARTS, max_size=6).map("".join), min_size=1, max_size=4)


@given(rows=_ROWS)
def test_straight_and_careful_read_groups_alike(schema, rows):
    straight, careful = schema.decoder(key=("id",)), schema.decoder(key=("id",))
    careful.straight = None
    assert straight.straight is not None
    inner = "".join(f"<item><id>1</id>{row}</item>" for row in rows)
    document = envelope(f"<Answer>{inner}</Answer>").encode()

    def outcome(decoder):
        answer = decoder.read(iter([document]), content_type="text/xml")
        return list(answer), answer.tolerated

    assert outcome(straight) == outcome(careful)


def test_a_schema_without_a_namespace_takes_that_of_its_includer(tmp_path):
    Schema(tmp_path, TYPES)
    [wsdl] = tmp_path.glob("*.wsdl")
    text = wsdl.read_text()
    remark = (
        '<xsd:element name="remark" type="xsd:string" substitutionGroup="tns:note"/>'
    )
    note = '<xsd:element name="note" type="xsd:string"/>'
    assert remark in text
    (tmp_path / "words.xsd").write_text(
        '<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema">'
        '<x:element name="note" type="x:string"/>'
        '<x:element name="remark" type="x:string" substitutionGroup="note"/></x:schema>'
    )
    into = 'elementFormDefault="qualified">'
    link = f'{into}<xsd:include schemaLocation="words.xsd"/>'
    wsdl.write_text(text.replace(remark, "").replace(note, "").replace(into, link))
    config = SoapConfig(wsdl=str(wsdl), endpoint="http://127.0.0.1:9/")
    port = choose_port(describe(config, None).document, config)
    decoder = compile_answer(
        port.operation("Ask", "x"),
        items="Answer/item",
        item=None,
        paths=[],
        settings=DecodeSettings(tolerance="strict"),
    )
    body = "<Answer><item><id>1</id><remark>r</remark></item></Answer>"
    answer = decoder.read(iter([envelope(body).encode()]), content_type="text/xml")
    assert [i.record for i in answer] == [{"id": "1", "note": "r"}]


def test_the_wsdl_is_read_with_its_groups_in_imported_schemas_too(tmp_path):
    """The road that a connection takes; the head stands in another document."""
    Schema(tmp_path, TYPES)
    [wsdl] = tmp_path.glob("*.wsdl")
    text = wsdl.read_text()
    grams = '<xsd:element name="grams" type="xsd:int" substitutionGroup="tns:weight"/>'
    assert grams in text
    more = tmp_path / "more.xsd"
    more.write_text(
        '<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:h="urn:example:test"'
        ' targetNamespace="urn:example:more"><x:import namespace="urn:example:test"/>'
        '<x:element name="grams" type="x:int" substitutionGroup="h:weight"/></x:schema>'
    )
    into = 'elementFormDefault="qualified">'
    link = '<xsd:import namespace="urn:example:more" schemaLocation="more.xsd"/>'
    wsdl.write_text(text.replace(grams, "").replace(into, into + link))
    config = SoapConfig(wsdl=str(wsdl), endpoint="http://127.0.0.1:9/")
    port = choose_port(describe(config, None).document, config)
    decoder = compile_answer(
        port.operation("Ask", "x"),
        items="Answer/item",
        item=None,
        paths=[],
        settings=DecodeSettings(tolerance="strict"),
    )
    body = (
        '<Answer><item><id>1</id><remark>r</remark><m:grams xmlns:m="urn:example:more">'
        "9</m:grams></item></Answer>"
    )
    answer = decoder.read(iter([envelope(body).encode()]), content_type="text/xml")
    assert [i.record for i in answer] == [{"id": "1", "note": "r", "weight": 9}]
    with pytest.raises(ConfigurationError):
        compile_answer(
            port.operation("Ask", "x"),
            items="Answer/grams",
            item=None,
            paths=[],
            settings=DecodeSettings(),
        )
