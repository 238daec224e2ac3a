"""Items become plain records, whatever the server's habits (soap 34-42, 45-47)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge_soap.decode import DecodeSettings, compile_answer, field_types
from servers.soap_schema import NS, Schema, envelope, items, leaf, operation_of

BASIC = items(
    f"""<xsd:sequence>{leaf("id", "string", optional=False)}{leaf("n", "int")}
    {leaf("d", "decimal")}{leaf("when", "dateTime")}{leaf("on", "boolean")}
    {leaf("s", "string")}{leaf("raw", "base64Binary")}{leaf("q", "QName")}
    {leaf("many", "string").replace("minOccurs", 'maxOccurs="unbounded" minOccurs')}
    <xsd:element name="sub" minOccurs="0"><xsd:complexType><xsd:sequence>
    {leaf("a", "int")}{leaf("b", "int")}</xsd:sequence></xsd:complexType></xsd:element>
    </xsd:sequence><xsd:attribute name="vip" type="xsd:boolean"/>"""
)


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("basic"), BASIC)


def one(schema, content, **options):
    items_, answer = schema.read(f"<Answer><item>{content}</item></Answer>", **options)
    return items_[0], answer


def test_absent_nil_and_empty_differ(basic):
    item, answer = one(
        basic, '<id>1</id><n xsi:nil="true"/><d/><s/><raw/><many/><many xsi:nil="1"/>'
    )
    assert item.record == {
        "id": "1", "n": None, "d": None, "s": "", "raw": b"", "many": ["", None],
    }  # fmt: skip
    assert answer.tolerated == {"empty:d": 1}


def test_a_repeatable_is_a_list_also_for_one_and_nested_are_dicts(basic):
    item, _ = one(basic, "<id>1</id><many>x</many><sub><a>1</a></sub>")
    assert item.record == {"id": "1", "many": ["x"], "sub": {"a": 1}}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("<on>TRUE</on>", "on"),
        ("<on>Y</on>", "on"),
        ("<d>NaN</d>", "d"),
        ("<n>1.0</n>", "n"),
        ("<when>2026-03-01T24:00:00Z</when>", "when"),
        ("<raw>?</raw>", "raw"),
        ("<sub><a>x</a></sub>", "sub.a"),
        ("<q>nope:x</q>", "q"),
    ],
)
def test_a_bad_value_rejects_the_record_with_its_field_and_never_becomes_none(
    basic, content, field
):
    item, answer = one(basic, f"<id>77</id>{content}", key=("id",))
    assert item.reject == ("soap.value", field)
    assert item.record == {"id": "77"}
    assert answer.items == 1


def test_a_bad_attribute_rejects_too(basic):
    items_, _ = basic.read('<Answer><item vip="ja"><id>1</id></item></Answer>')
    assert items_[0].reject == ("soap.value", "@vip")


def test_one_bad_record_does_not_stop_the_others(basic):
    items_, _ = basic.read(
        "<Answer><item><id>1</id></item><item><n>x</n></item><item><id>3</id></item>"
        "</Answer>",
        key=("id",),
    )
    assert [each.number for each in items_] == [1, 2, 3]
    assert [bool(each.reject) for each in items_] == [False, True, False]


def test_nulls_true_and_false_are_the_streams_own_spellings(basic):
    item, _ = one(
        basic,
        "<id>1</id><when>0001-01-01T00:00:00</when><on>J</on><n>-1</n>",
        nulls={"when": ("0001-01-01T00:00:00",), "n": ("-1",)},
        true={"on": ("J",)},
        false={"on": ("N",)},
    )
    assert item.record == {"id": "1", "when": None, "on": True, "n": None}


def test_only_configured_fields_are_decoded(basic):
    item, answer = one(
        basic,
        "<id>1</id><n>not a number</n><s>x</s><sub><a>?</a><b>2</b></sub>",
        fields=("id", "s", "sub.b"),
    )
    assert item.record == {"id": "1", "s": "x", "sub": {"b": 2}}
    assert answer.tolerated == {}


def test_key_and_modified_are_decoded_without_being_named(basic):
    item, _ = one(
        basic,
        "<id>1</id><s>x</s><when>2026-03-01T10:00:00Z</when>",
        fields=("s",),
        key=("id",),
        modified="when",
    )
    assert set(item.record) == {"id", "s", "when"}


@pytest.mark.parametrize("content", ["", "<id/>", '<id xsi:nil="true"/>'])
def test_a_missing_key_rejects(basic, content):
    item, _ = one(basic, content, key=("id",))
    assert item.reject == ("soap.missing", "id")


def test_any_order_unknown_and_missing_are_counted_not_rejected(basic):
    item, answer = one(basic, "<s>x</s><n>1</n><what>?</what><what>?</what>")
    assert item.record == {"s": "x", "n": 1}
    assert answer.tolerated == {"order:n": 1, "unknown:what": 2, "missing:id": 1}


@pytest.mark.parametrize(
    ("content", "field"),
    [("<s>x</s><id>1</id>", "id"), ("<id>1</id><what/>", "what"), ("<n>1</n>", "id")],
)
def test_strict_rejects_each_deviation(basic, content, field):
    item, _ = one(basic, content, tolerance="strict")
    assert item.reject == ("soap.deviation", field)


@pytest.mark.parametrize("namespace", ["", "urn:wrong"])
def test_a_wrong_or_missing_namespace_is_tolerated_where_the_name_is_clear(
    basic, namespace
):
    body = f'<Answer><item><id xmlns="{namespace}">1</id></item></Answer>'
    items_, answer = basic.read(body)
    assert items_[0].record == {"id": "1"}
    assert answer.tolerated == {"namespace:id": 1}


def test_a_wrong_namespace_of_everything_is_not_an_empty_list(basic):
    body = '<Answer xmlns="urn:wrong"><item><id>1</id></item></Answer>'
    items_, answer = basic.read(body)
    assert [each.record for each in items_] == [{"id": "1"}]
    assert answer.tolerated["namespace:Answer"] == 1


def test_an_element_that_may_stand_once_and_stands_twice_rejects(basic):
    item, _ = one(basic, "<id>1</id><s>a</s><s>b</s>")
    assert item.reject == ("soap.repeated", "s")


def test_text_with_elements_inside_is_never_cut_silently(basic):
    item, _ = one(basic, "<id>1</id><s>a<b/>c</s>")
    assert item.reject == ("soap.mixed", "s")


def test_comments_instructions_and_cdata_do_not_cut_text(basic):
    item, _ = one(basic, "<id>1</id><s>a<!-- x -->b<?p?>c<![CDATA[<d>]]></s>")
    assert item.record["s"] == "abc<d>"


def test_a_moment_without_zone_stays_naive_and_is_reported(basic):
    item, answer = one(basic, "<id>1</id><when>2026-03-01T10:00:00</when>")
    assert item.record["when"] == dt.datetime(2026, 3, 1, 10)  # noqa: DTZ001 - the point
    assert answer.tolerated == {"naive:when": 1}


def test_a_moment_without_zone_gets_the_configured_one(basic):
    item, answer = one(
        basic, "<id>1</id><when>2026-07-01T10:00:00</when>", timezone="Europe/Berlin"
    )
    assert item.record["when"].utcoffset() == dt.timedelta(hours=2)
    assert answer.tolerated == {}


def test_a_qname_is_resolved(basic):
    item, _ = one(basic, f'<id>1</id><q xmlns:p="{NS}">p:x</q>')
    assert item.record["q"] == f"{{{NS}}}x"


def test_same_named_elements_inside_an_item_are_left_alone(tmp_path):
    types = """<xsd:complexType name="T"><xsd:sequence>
      <xsd:element name="id" type="xsd:string"/>
      <xsd:element name="item" type="tns:T" minOccurs="0" maxOccurs="unbounded"/>
      </xsd:sequence></xsd:complexType><xsd:element name="Answer"><xsd:complexType>
      <xsd:sequence><xsd:element name="item" type="tns:T" maxOccurs="unbounded"/>
      </xsd:sequence></xsd:complexType></xsd:element>"""
    schema = Schema(tmp_path, types)
    nested = "<item><id>1</id><item><id>2</id><item><id>3</id></item></item></item>"
    assert schema.records(f"<Answer>{nested}</Answer>") == [
        {"id": "1", "item": [{"id": "2", "item": [{"id": "3"}]}]}
    ]
    deep = "<item><id>x</id>" * 80 + "</item>" * 80
    items_, _ = schema.read(f"<Answer>{deep}</Answer>")
    assert items_[0].reject.reason == "soap.too-deep"


def test_values_beside_the_items_are_found_before_and_after_them(basic):
    body = "<Answer><total>2</total>{}<next>c</next></Answer>".format(
        "<item><id>1</id></item>" * 2
    )
    paths = ("Answer/next", "Answer/total", "Header/nothing")
    items_, answer = basic.read(body, paths=paths)
    assert len(items_) == 2
    assert answer.value("Answer/total") == 2
    assert answer.text("Answer/next") == "c"
    assert answer.value("Header/nothing") is None


@pytest.mark.parametrize("content", ["", "<next/>", '<next xsi:nil="true"/>'])
def test_an_absent_nil_or_empty_cursor_is_none(basic, content):
    _, answer = basic.read(f"<Answer>{content}</Answer>", paths=("Answer/next",))
    assert answer.value("Answer/next") is None


NESTED = """<xsd:element name="Answer"><xsd:complexType><xsd:sequence>
    <xsd:element name="page" maxOccurs="unbounded"><xsd:complexType><xsd:sequence>
    <xsd:element name="count" type="xsd:int" minOccurs="0"/>
    <xsd:element name="item" minOccurs="0" maxOccurs="unbounded"><xsd:complexType>
    <xsd:sequence><xsd:element name="id" type="xsd:string"/></xsd:sequence>
    </xsd:complexType></xsd:element></xsd:sequence></xsd:complexType></xsd:element>
    <xsd:element name="next" type="xsd:string" minOccurs="0"/>
    </xsd:sequence></xsd:complexType></xsd:element>"""


def test_items_in_many_containers_need_no_memory_and_keep_the_values(tmp_path):
    schema = Schema(tmp_path, NESTED)
    page = f"<page><count>2</count><item><id>{'x' * 300}</id></item></page><junk/>"
    found, answer = schema.read(
        f"<Answer>{page * 5000}<next>n</next></Answer>",
        items="Answer/page/item",
        paths=("Answer/next", "Answer/page/count"),
        max_buffered=100_000,
    )
    assert len(found) == 5000
    assert answer.value("Answer/next") == "n"
    assert answer.value("Answer/page/count")[0] == 2
    assert len(answer._body[0]) < 500  # of 10,000 children


def test_only_the_first_child_of_body_is_the_answer(tmp_path):
    schema = Schema(tmp_path, NESTED)
    one_ = "<Answer><page><item><id>1</id></item></page></Answer>"
    two = one_ + one_.replace("1", "2")
    found, _ = schema.read(two, items="Answer/page/item")
    assert [each.record["id"] for each in found] == ["1"]
    held = schema.decoder(items="Answer/page/item").read(
        iter([envelope(two).encode()]),
        content_type="text/xml",
        verify=lambda root: root[0],
    )
    assert [each.record["id"] for each in held] == ["1"]


def test_an_answer_of_several_parts_has_items_in_any_of_them(tmp_path):
    Schema(tmp_path, NESTED + '<xsd:element name="Other" type="xsd:string"/>')
    file = tmp_path / "two.wsdl"
    [wsdl] = tmp_path.glob("*.wsdl")
    part = '<wsdl:part name="p" element="tns:Answer"/>'
    more = '<wsdl:part name="o" element="tns:Other"/>'
    file.write_text(wsdl.read_text().replace(part, more + part))
    decoder = compile_answer(
        operation_of(file, "Ask"),
        items="Answer/page/item",
        item=None,
        paths=["Other"],
        settings=DecodeSettings(),
    )
    body = "<Other>o</Other><Answer><page><item><id>1</id></item></page></Answer>"
    answer = decoder.read(iter([envelope(body).encode()]), content_type="text/xml")
    assert [each.record for each in answer] == [{"id": "1"}]
    assert answer.value("Other") == "o"


def test_a_single_item_that_comes_twice_is_rejected(basic):
    items_, _ = basic.read(
        "<Answer><item><id>1</id></item><item><id>2</id></item></Answer>",
        items=None,
        item="Answer/item",
    )
    assert [bool(each.reject) for each in items_] == [False, True]


EXTENDED = items(
    """<xsd:sequence><xsd:element name="who" type="tns:Party" minOccurs="0"/>
    <xsd:choice minOccurs="0"><xsd:element name="a" type="xsd:int"/>
    <xsd:element name="b" type="xsd:int"/></xsd:choice>
    <xsd:element name="price" minOccurs="0"><xsd:complexType><xsd:simpleContent>
      <xsd:extension base="xsd:decimal"><xsd:attribute name="currency" type="xsd:string"/>
      </xsd:extension></xsd:simpleContent></xsd:complexType></xsd:element>
    <xsd:element name="days" type="tns:Days" minOccurs="0"/>
    <xsd:sequence minOccurs="0" maxOccurs="unbounded"><xsd:element name="k"
      type="xsd:string"/><xsd:element name="v" type="xsd:string"/></xsd:sequence>
    <xsd:any namespace="##other" processContents="lax" minOccurs="0"
      maxOccurs="unbounded"/></xsd:sequence>""",
    more="""<xsd:complexType name="Party"><xsd:sequence>
      <xsd:element name="id" type="xsd:string"/></xsd:sequence></xsd:complexType>
    <xsd:complexType name="Person"><xsd:complexContent><xsd:extension base="tns:Party">
      <xsd:sequence><xsd:element name="born" type="xsd:date"/></xsd:sequence>
      </xsd:extension></xsd:complexContent></xsd:complexType>
    <xsd:complexType name="Other"><xsd:sequence/></xsd:complexType>
    <xsd:simpleType name="Days"><xsd:list itemType="xsd:int"/></xsd:simpleType>""",
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("extended"), EXTENDED)


def test_xsi_type_chooses_the_derived_type_and_names_it(extended):
    item, _ = one(
        extended,
        '<who xmlns:t="urn:example:test" xsi:type="t:Person"><id>1</id>'
        "<born>2000-01-01</born></who>",
    )
    who = item.record["who"]
    assert who == {"id": "1", "born": dt.date(2000, 1, 1), "@type": "Person"}


@pytest.mark.parametrize("kind", ["t:Other", "t:Nothing", "xsd:string", "Person:x"])
def test_xsi_type_must_derive_from_the_declared_type(extended, kind):
    item, _ = one(
        extended,
        f'<who xmlns:t="urn:example:test" xsi:type="{kind}"><id>1</id></who>',
    )
    assert item.reject == ("soap.type", "who")


def test_choice_list_types_and_text_with_attributes(extended):
    item, answer = one(
        extended, '<b>2</b><price currency="EUR">1.50</price><days>1 2  3</days>'
    )
    assert item.record == {
        "b": 2,
        "price": {"#text": Decimal("1.50"), "@currency": "EUR"},
        "days": [1, 2, 3],
    }
    assert answer.tolerated == {}


def test_a_repeated_group_gives_lists_in_any_interleaving(extended):
    item, answer = one(extended, "<k>1</k><v>a</v><k>2</k><v>b</v>")
    assert item.record == {"k": ["1", "2"], "v": ["a", "b"]}
    assert answer.tolerated == {}


def test_xsd_any_is_counted_or_kept_as_text_where_it_is_named(extended):
    foreign = '<x:badge xmlns:x="urn:x">B<x:n/></x:badge>'
    item, answer = one(extended, f"<a>1</a>{foreign}")
    assert item.record == {"a": 1}
    assert answer.tolerated == {"any:*": 1}
    item, answer = one(extended, f"<a>1</a>{foreign}", fields=("a", "badge"))
    assert item.record["badge"].startswith("<x:badge")
    assert answer.tolerated == {}


def test_an_item_with_hundreds_of_attributes_is_rejected(basic):
    attributes = " ".join(f'a{n}=""' for n in range(300))
    items_, _ = basic.read(f"<Answer><item {attributes}><id>1</id></item></Answer>")
    assert items_[0].reject == ("soap.too-large", "")


def test_unknown_paths_and_fields_are_configuration_errors_with_a_suggestion(basic):
    with pytest.raises(ConfigurationError, match="Did you mean 'item'") as caught:
        basic.decoder(items="Answer/items")
    assert caught.value.code == "soap.path"
    with pytest.raises(ConfigurationError, match="Did you mean 'total'"):
        basic.decoder(paths=("Answer/totl",))
    with pytest.raises(ConfigurationError, match=r"Did you mean 'sub\.a'"):
        basic.decoder(fields=("sub.aa",))
    with pytest.raises(ConfigurationError, match="Did you mean 'id'"):
        basic.decoder(key=("idd",))


def test_items_are_described_with_their_types(basic):
    fields = {each.name: each for each in field_types(basic.operation, "Answer/item")}
    assert {name: each.type for name, each in fields.items()} == {
        "id": "text", "n": "int", "d": "decimal", "when": "datetime", "on": "bool",
        "s": "text", "raw": "bytes", "q": "text", "many": "text", "sub": "object",
        "@vip": "bool",
    }  # fmt: skip
    assert fields["id"].required
    assert fields["many"].multi
    assert [each.name for each in fields["sub"].fields] == ["a", "b"]


def test_no_repr_shows_a_value(basic):
    item, answer = one(basic, "<id>canary</id><s>canary</s>")
    assert "canary" not in f"{item!r} {answer!r} {item}"
