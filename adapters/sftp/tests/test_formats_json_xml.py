"""JSON lines, JSON documents and XML: strict, exact, streamed, resumable."""

import io
import json
import tracemalloc
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import BadFile, field_table, format_class, settings

JSONL, JSON, XML = format_class("jsonl"), format_class("json"), format_class("xml")


def read(kind, data, fields, start=None, **table):
    file = io.BytesIO(data)
    config, specs = settings(kind, table), field_table(fields)
    kind.check(specs, config)
    chunks = list(kind().read(file, specs, config, start))
    records = [record for chunk in chunks for record in chunk.records]
    return records, [each for chunk in chunks for each in chunk.bad], chunks


def written(kind, records, fields, **table):
    file = io.BytesIO()
    writer = kind().open_writer(file, field_table(fields), settings(kind, table))
    refusals = writer.write(records)
    writer.close()
    return file.getvalue(), refusals


def test_jsonl_values_are_exact_and_checked():
    data = (
        b'{"id":"007","n":12345678901234567890,"money":1.10,"a":{"city":"Graz"},'
        b'"day":"2020-02-29","ok":true,"tags":["x"]}\r\n\r\n{"id":7,"money":3}\n'
    )
    fields = {
        "id": "text",
        "n": "integer",
        "money": "decimal",
        "city": {"from": "a.city"},
        "day": "date",
        "ok": "boolean",
        "tags": "json",
    }
    records, bad, _ = read(JSONL, data, fields)
    assert bad == []
    assert records[0] == {
        "id": "007",
        "n": 12345678901234567890,
        "money": Decimal("1.10"),
        "city": "Graz",
        "day": date(2020, 2, 29),
        "ok": True,
        "tags": ["x"],
    }
    assert records[1] == {"id": "7", "money": Decimal(3)}
    assert isinstance(records[1]["money"], Decimal)


def test_a_missing_member_says_nothing_unless_told():
    assert read(JSONL, b'{"a":null}\n', ["a", "b"])[0] == [{"a": None}]
    records, _, _ = read(JSONL, b'{"a":null}\n', ["a", "b"], absent="null")
    assert records == [{"a": None, "b": None}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":NaN}', "syntax"),
        (b'{"a":Infinity}', "syntax"),
        (b'{"a":1,"a":2}', "duplicate-name"),
        (b'{"x":{"b":1,"b":1}}', "duplicate-name"),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "depth"),
        (b"[" * 100_000, "depth"),
        (b'{"a":' + b"9" * 4301 + b"}", "syntax"),
        (b'{"a":1e999999999}', "syntax"),
        (b'{"a":"\\ud800"}', "encoding"),
        (b'{"a":"\xff"}', "encoding"),
        (b"[1]", "syntax"),
        (b"{", "syntax"),
        (b'{"a":{"b":1}}', "value"),
        (b'{"a":true}', "value"),
        (b'{"b":1}', "required"),
        (b'{"a":"' + b"x" * 2000 + b'"}', "length"),
    ],
)
def test_bad_json_is_one_reject_and_reading_goes_on(line, reason):
    limit = 1000 if reason == "length" else 1 << 20
    data = line + b'\n{"a":"ok"}\n'
    records, bad, _ = read(JSONL, data, {"a": {"required": True}}, max_record=limit)
    assert records == [{"a": "ok"}]
    assert [(each.number, each.offset, each.reason) for each in bad] == [(1, 0, reason)]


def test_jsonl_resumes_at_every_chunk():
    data = b"".join(
        b'{"a":%d}\n%s' % (i, b"oops\n" * (i % 7 == 0)) for i in range(1300)
    )
    whole, bad, chunks = read(JSONL, data, {"a": "integer"})
    assert len(bad) == 186
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        assert read(JSONL, data, {"a": "integer"}, chunk.position)[0] == whole[seen:]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.decimals(-(10**6), 10**6, places=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
json_records = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none()
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        "money": st.none() | st.decimals(-(10**9), 10**9, places=2),
        "n": st.none() | st.integers(),
        "flag": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "any": values,
        "many": st.none() | st.lists(st.integers(), max_size=3),
    },
)
JSON_FIELDS = {
    "text": {"from": "deep.er.text"},
    "money": "decimal",
    "n": "integer",
    "flag": "boolean",
    "day": {"type": "date", "pattern": "DD.MM.YYYY"},
    "any": "json",
    "many": "integer",
}


@given(
    st.lists(json_records, max_size=6), st.sampled_from([JSONL, JSON]), st.booleans()
)
@relaxed(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_read_of_write_is_the_same_for_json(records, kind, deep):
    table = {"multi": ["many"]}
    if kind is JSON and deep:
        table["path"] = "result.people"
    data, refusals = written(kind, records, JSON_FIELDS, **table)
    assert refusals == [None] * len(records)
    assert read(kind, data, JSON_FIELDS, **table)[:2] == (records, [])


def test_a_json_document_is_streamed_from_its_path():
    data = b'{"meta":{"people":[1]},"people":[{"a":"1"},{"a":"2"}],"more":[{}]}'
    assert read(JSON, data, ["a"], path="people")[0] == [{"a": "1"}, {"a": "2"}]
    with pytest.raises(BadFile):
        read(JSON, data, ["a"], path="nobody")


def test_bad_entries_of_a_json_document_are_rejects():
    deep = "[" * 120 + "]" * 120
    data = f'[{{"a":"1"}},{{"a":1,"a":2}},3,{{"a":{deep}}},{{"a":"5"}}]'.encode()
    records, bad, _ = read(JSON, data, ["a"])
    assert [each["a"] for each in records] == ["1", "5"]
    assert [(each.number, each.reason) for each in bad] == [
        (2, "duplicate-name"),
        (3, "syntax"),
        (4, "depth"),
    ]


def test_every_prefix_of_a_json_document_is_a_bad_file():
    data = b'{"r":[{"a":"1"},{"a":"2"}]}'
    for cut in range(len(data)):
        with pytest.raises(BadFile):
            read(JSON, data[:cut], ["a"], path="r")
    with pytest.raises(BadFile):
        read(JSON, data + b"x", ["a"], path="r")


def test_json_documents_and_xml_resume_by_record_number():
    objects = [{"a": str(i)} for i in range(1100)]
    document = json.dumps(objects).encode()
    markup = b"<r>" + b"".join(b"<p><a>%d</a></p>" % i for i in range(1100)) + b"</r>"
    for kind, data, table in ((JSON, document, {}), (XML, markup, {"record": "r/p"})):
        whole, _, chunks = read(kind, data, ["a"], **table)
        assert whole == objects
        again, _, _ = read(kind, data, ["a"], chunks[1].position, **table)
        assert again == objects[1000:]


XML_DATA = b"""<?xml version="1.0"?>
<h:People xmlns:h="urn:hr"><!-- no --><h:Person id="7"><h:Name> Ann </h:Name>
<h:Mail>a@x</h:Mail><h:Mail>b@x</h:Mail><h:Home><h:City>Graz</h:City></h:Home>
<h:Pay>1,50</h:Pay><h:Empty/></h:Person><h:Person id="8"><h:Mail>c@x</h:Mail></h:Person>
<h:Other><h:Person id="9"/></h:Other></h:People>"""
XML_FIELDS = {
    "id": {"from": "@id", "type": "integer"},
    "name": {"from": "h:Name", "trim": True},
    "mail": {"from": "h:Mail"},
    "city": {"from": "h:Home/h:City"},
    "pay": {"from": "h:Pay", "type": "decimal", "decimal_sep": ","},
    "empty": {"from": "h:Empty"},
}
XML_TABLE = {
    "record": "h:People/h:Person",
    "namespaces": {"h": "urn:hr"},
    "multi": ["mail"],
}


def test_xml_paths_attributes_lists_and_namespaces():
    records, bad, _ = read(XML, XML_DATA, XML_FIELDS, **XML_TABLE)
    assert bad == []
    assert records == [
        {
            "id": 7,
            "name": "Ann",
            "mail": ["a@x", "b@x"],
            "city": "Graz",
            "pay": Decimal("1.50"),
            "empty": None,
        },
        {
            "id": 8,
            "name": None,
            "mail": ["c@x"],
            "city": None,
            "pay": None,
            "empty": None,
        },
    ]


def test_a_repeated_element_that_is_no_list_is_a_reject():
    table = XML_TABLE | {"multi": []}
    records, bad, _ = read(XML, XML_DATA, XML_FIELDS, **table)
    assert [each["id"] for each in records] == [8]
    assert [(each.number, each.field) for each in bad] == [(1, "mail")]


BOMB = (
    b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY x SYSTEM "file:///etc/hostname">]><r><p><a>&b;&x;</a></p><p><a>1</a></p></r>'
)


def test_a_dtd_is_refused_and_its_entities_too():
    with pytest.raises(BadFile) as caught:
        read(XML, BOMB, ["a"], record="r/p")
    assert caught.value.reason == "dtd"
    records, bad, _ = read(XML, BOMB, ["a"], record="r/p", allow_dtd="ignore")
    assert records == [{"a": "1"}]
    assert [each.number for each in bad] == [1]


@pytest.mark.parametrize("name", ["utf-8", "utf-16"])
def test_every_prefix_of_an_xml_document_is_a_bad_file(name):
    text = '<?xml version="1.0" encoding="{}"?><r><p><a>1</a></p><p><a>2</a></p></r>'
    data = text.format(name).encode(name)
    last = len(data) - (1 if name == "utf-16" else 0)
    for cut in range(0, last, 3):
        with pytest.raises(BadFile):
            read(XML, data[:cut], ["a"], record="r/p")
    assert len(read(XML, data, ["a"], record="r/p")[0]) == 2


def test_an_endless_xml_record_is_cut_off_in_flat_memory():
    class Endless(io.RawIOBase):
        def __init__(self):
            self.given = 0

        def read(self, size=-1):
            self.given += size
            return b"<r><p><a>" if self.given == size else b"x" * size

        def seek(self, *_):
            self.given = 0
            return 0

    tracemalloc.start()
    with pytest.raises(BadFile):
        list(
            XML().read(Endless(), field_table(["a"]), settings(XML, {"record": "r/p"}))
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


xml_text = st.none() | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\n\t\r<&\"' "),
    min_size=1,
    max_size=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": xml_text,
                "name": xml_text,
                "city": xml_text,
                "mail": st.none()
                | st.lists(xml_text.filter(bool), min_size=1, max_size=3),
            }
        ),
        max_size=5,
    )
)
@relaxed(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_read_of_write_is_the_same_for_xml(records):
    fields = {
        name: XML_FIELDS[name] | {"type": "text"} for name in ("id", "mail", "city")
    }
    fields["name"] = {"from": "h:Name"}
    data, refusals = written(XML, records, fields, **XML_TABLE)
    assert refusals == [None] * len(records)
    assert read(XML, data, fields, **XML_TABLE)[:2] == (records, [])


def test_a_character_that_xml_cannot_carry_is_refused():
    data, refusals = written(XML, [{"a": "\x00"}, {"a": "b"}], ["a"], record="r/p")
    assert refusals[0].field == "a"
    assert read(XML, data, ["a"], record="r/p")[0] == [{"a": "b"}]


def test_an_unknown_prefix_is_a_settings_error():
    with pytest.raises(ConfigurationError) as caught:
        read(XML, XML_DATA, {"a": {"from": "q:Name"}}, record="People/Person")
    assert caught.value.code == "sftp.fields"


@given(
    st.binary(max_size=120), st.integers(0, 300), st.sampled_from([JSONL, JSON, XML])
)
@relaxed(deadline=None, max_examples=200)
def test_mutated_input_raises_only_bad_file(noise, place, kind):
    good = {
        JSONL: b'{"a":"x","b":{"c":[1,2]}}\n{"a":"y"}\n',
        JSON: b'[{"a":"x","b":{"c":[1,2]}},{"a":"y"}]',
        XML: b"<r><p><a>x</a><b>&#65;</b></p><p><a>y</a></p></r>",
    }
    data = bytearray(good[kind])
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    table = {"record": "r/p"} if kind is XML else {}
    try:
        read(kind, bytes(data), ["a"], **table)
    except BadFile:
        return


def test_discovery_names_nested_members_and_repeated_elements():
    lines = b'{"id":"1","a":{"n":1.5},"t":[1]}\n{"id":"2","a":{"n":2.5},"t":[]}\n'
    fields = JSONL.fields(lines, settings(JSONL, {}))
    assert {name: spec.type for name, spec in fields.items()} == {
        "id": "text",
        "a.n": "decimal",
        "t": "json",
    }
    assert JSONL.sniff(lines) > 0.9
    assert XML.sniff(XML_DATA) > 0.9
    found = XML.suggest(XML_DATA)
    assert found["record"] == "n1:People/n1:Person"
    assert set(XML.fields(XML_DATA, settings(XML, found))) >= {"id", "Name", "Mail"}
