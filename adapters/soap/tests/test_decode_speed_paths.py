"""The straight reader of usual items agrees with the careful one, whatever comes (34)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge_soap.decode import DecodeSettings, lexical
from moatbridge_soap.decode.shape import Member
from moatbridge_soap.decode.straight import compile_straight
from servers.soap_schema import NS, Schema, envelope, items, leaf

KINDS = {
    "id": "string", "n": "int", "d": "decimal", "f": "double", "when": "dateTime",
    "day": "date", "at": "time", "lasts": "duration", "on": "boolean", "s": "string",
    "tok": "token", "raw": "base64Binary", "hex": "hexBinary", "q": "QName",
    "any": "anyType",
}  # fmt: skip
_LEAVES = "".join(
    leaf(name, kind, optional=name != "id") for name, kind in KINDS.items()
)
_MANY = 'maxOccurs="unbounded" minOccurs'
TYPES = items(
    f"""<xsd:sequence>{_LEAVES}
    {leaf("many", "int").replace("minOccurs", _MANY)}
    <xsd:element name="words" minOccurs="0"><xsd:simpleType><xsd:list itemType="xsd:int"/>
    </xsd:simpleType></xsd:element>
    <xsd:choice minOccurs="0">{leaf("left", "int")}{leaf("right", "string")}</xsd:choice>
    <xsd:element name="pay" minOccurs="0"><xsd:complexType><xsd:simpleContent>
    <xsd:extension base="xsd:decimal"><xsd:attribute name="cur" type="xsd:string"
     use="required"/></xsd:extension></xsd:simpleContent></xsd:complexType></xsd:element>
    <xsd:element name="sub" minOccurs="0" maxOccurs="unbounded"><xsd:complexType>
    <xsd:sequence>{leaf("a", "int", optional=False)}{leaf("b", "string")}</xsd:sequence>
    </xsd:complexType></xsd:element>
    <xsd:element name="boss" type="tns:Person" minOccurs="0"/>
    </xsd:sequence><xsd:attribute name="vip" type="xsd:boolean"/>""",
    more=f"""<xsd:complexType name="Person"><xsd:sequence>{leaf("name", "string")}
    <xsd:element name="boss" type="tns:Person" minOccurs="0"/></xsd:sequence>
    </xsd:complexType>""",
)
GOOD = {
    "id": ["7", "x y"], "n": ["1", " -3 "], "d": ["1.50", "+.5"], "f": ["1e3", "NaN"],
    "when": ["2026-03-01T08:00:00Z", "2026-03-01T08:00:00.1234567+01:00"],
    "day": ["2026-03-01"], "at": ["08:00:00"], "lasts": ["P1D"], "on": ["true", "0"],
    "s": ["text", " a&amp;b ", "<![CDATA[<]]>"], "tok": [" a  b "], "raw": ["YWI="],
    "hex": ["0aFF"], "q": ["xsd:int"], "any": ["x"], "many": ["1", "2"],
    "words": ["1 2"], "left": ["4"], "right": ["r"], "a": ["1"], "b": ["b"],
    "pay": ["9.5"], "name": ["Ada"],
}  # fmt: skip
ODD = [
    "", "TRUE", "1.0x", "2026-03-01T08:00:00", "2026-02-30", "<z/>", "a<z/>b", "null",
    "<!-- c -->1", "&#160;",
]  # fmt: skip
MARKS = [
    ' xsi:nil="true"', ' xsi:nil="false"', ' href="#x"', ' href="cid:1"', ' id="x"',
    ' xsi:type="xsd:int"', ' xsi:type="tns:Person"', ' cur="EUR"', ' other="1"',
    ' xmlns="urn:else"', ' vip="true"', ' vip="Y"',
]  # fmt: skip

pick = st.sampled_from
rarely = st.integers(0, 99).map(lambda number: number == 0)


@st.composite
def element(draw, name):
    """One element: nearly always good, sometimes not."""
    mark = draw(pick(MARKS)) if draw(rarely) else ""
    if name == "pay" and not mark:
        mark = ' cur="EUR"'
    if draw(rarely):
        content = draw(pick(ODD))
    elif name == "sub":
        content = draw(children(("a", "b")))
    elif name == "boss":
        content = draw(children(("name", "boss") if draw(rarely) else ("name",)))
    else:
        content = draw(pick(GOOD[name]))
    return f"<{name}{mark}>{content}</{name}>"


@st.composite
def children(draw, names):
    """Children in order, some left out; sometimes shuffled, repeated or unknown."""
    chosen = [name for name in names if name in {"id", "a"} or draw(st.booleans())]
    if draw(rarely):
        chosen = draw(st.permutations(chosen))
    if draw(rarely) and chosen:
        chosen = [*chosen, draw(pick(chosen))]
    parts = [draw(element(name)) for name in chosen]
    if draw(rarely):
        parts.append("<unknown>1</unknown>")
    return "".join(parts)


NAMES = (*KINDS, "many", "many", "words", "left", "pay", "sub", "sub", "boss")
contents = st.tuples(
    st.one_of(*[st.just("")] * 5, pick(MARKS)),
    children(NAMES),
    pick(["", "", "", "stray"]),
)
OPTIONS = {
    "plain": {},
    "keyed": {"key": ("id",)},
    "some fields": {"fields": ("n", "sub.a", "pay"), "key": ("id",)},
    "spellings": {
        "nulls": {"s": ("text",), "when": ("2026-03-01T08:00:00",), "n": ("null",)},
        "true": {"on": ("TRUE",)},
        "timezone": "Europe/Berlin",
    },
    "strict": {"tolerance": "strict"},
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return Schema(tmp_path_factory.mktemp("paths"), TYPES)


@pytest.fixture(scope="module")
def pairs(schema):
    """For each option a decoder as it is, and one that reads everything with care."""
    made = {}
    for name, options in OPTIONS.items():
        straight, careful = schema.decoder(**options), schema.decoder(**options)
        careful.straight = None
        assert straight.straight is not None  # and so used from the first item on
        made[name] = (straight, careful)
    return made


def outcome(decoder, document):
    answer = decoder.read(iter([document]), content_type="text/xml")
    found = [(exact(each.record), each.number, each.reject) for each in answer]
    return found, answer.tolerated


def exact(value):
    """A value with the types and the order in it."""
    if isinstance(value, dict):
        return [(name, exact(each)) for name, each in value.items()]
    if isinstance(value, list):
        return ["list", *map(exact, value)]
    return type(value), repr(value)


@pytest.mark.parametrize("option", OPTIONS)
@given(rows=st.lists(contents, min_size=1, max_size=4))
def test_straight_and_careful_give_the_same_items_and_deviations(pairs, option, rows):
    inner = "".join(f"<item{mark}>{text}{stray}</item>" for mark, text, stray in rows)
    document = envelope(f"<Answer xmlns:tns='{NS}'>{inner}</Answer>").encode()
    straight, careful = pairs[option]
    assert outcome(straight, document) == outcome(careful, document)


USUAL = (
    '<item vip="1"><id>1</id><n>2</n><when>2026-03-01T08:00:00Z</when><s/>'
    "<many>1</many><many>2</many><words/><left>4</left><pay cur='EUR'>9.5</pay>"
    "<sub><a>1</a></sub><sub><a>2</a><b>x</b></sub><boss xsi:nil='true'/></item>"
)


def counted(decoder, document):
    """How many items were tried straight on, and how many were read with care."""
    tried, careful = [], []
    straight, read = decoder.straight, decoder.read_item
    decoder.straight = lambda element: tried.append(1) or straight(element)
    decoder.read_item = lambda *given: careful.append(1) or read(*given)
    found = list(decoder.read(iter([document]), content_type="text/xml"))
    assert [item.reject for item in found if item.reject] == []
    return len(tried), len(careful)


def test_a_usual_item_is_never_read_with_care(schema):
    body = USUAL.replace("<boss xsi:nil='true'/>", "") * 50
    document = envelope(f"<Answer>{body}</Answer>").encode()
    assert counted(schema.decoder(key=("id",)), document) == (50, 0)


def test_the_straight_way_is_given_up_where_most_items_are_unusual(schema):
    odd = "<item><id>1</id><unknown/></item>"
    document = envelope(f"<Answer>{odd * 200}</Answer>").encode()
    assert counted(schema.decoder(), document) == (33, 200)
    mixed = envelope(
        f"<Answer>{(odd + USUAL.replace('boss', 's') * 0 + '<item><id>2</id></item>' * 2) * 60}</Answer>"
    )
    assert counted(schema.decoder(), mixed.encode()) == (180, 60)


def test_the_straight_reader_is_compiled_once_many_items_come(schema):
    decoder = schema.decoder()
    item = "<item><id>1</id></item>"
    for count, compiled in ((31, False), (40, True), (1, True)):
        document = envelope(f"<Answer>{item * count}</Answer>").encode()
        found = list(decoder.read(iter([document]), content_type="text/xml"))
        assert [each.record for each in found] == [{"id": "1"}] * count
        assert ("straight" in vars(decoder)) is compiled


def test_a_type_that_cannot_go_straight_has_no_straight_reader(tmp_path):
    person = f"""<xsd:complexType name="P"><xsd:sequence>{leaf("id", "QName", optional=False)}
    </xsd:sequence></xsd:complexType>"""
    inner = '<xsd:sequence><xsd:element name="p" type="tns:P"/></xsd:sequence>'
    schema = Schema(tmp_path, items(inner, more=person))
    assert schema.decoder().straight is None
    body = "<Answer><item><p><id>xsd:int</id></p></item></Answer>"
    expected = "{http://www.w3.org/2001/XMLSchema}int"
    assert schema.records(body) == [{"p": {"id": expected}}]


@pytest.mark.parametrize("name", ["x'", 'x"', "x\\", "x\n", "é", "class", "record"])
def test_no_name_becomes_code(name):
    text = Member(name, f"{{urn:'\"}}{name}", _Leaf())
    read = compile_straight(_Record((text,)), None, DecodeSettings())
    assert read is not None
    assert read(
        [_Node(text.tag, "v")] and _Node("item", None, [_Node(text.tag, "v")])
    ) == {name: "v"}


class _Leaf:
    is_leaf, text, listed, wildcard, array = True, "string", False, False, None


class _Record:
    is_leaf, text, array = False, None, None

    def __init__(self, members):
        self.members = members


class _Node(list):
    def __init__(self, tag, text, inside=()):
        super().__init__(inside)
        self.tag, self.text = tag, text

    def keys(self):
        return []


SHAPED = st.text("0123456789-:TZWz+. _٣²", min_size=1, max_size=26)
MOMENT = st.from_regex(
    r"[0-9]{4}.[0-9]{2}.[0-9]{2}.[0-9]{2}.[0-9]{2}.[0-9]{2}.", fullmatch=True
)
DAY = st.from_regex(r"[0-9W]{4}-[0-9W-]{2}-[0-9W-]{2}", fullmatch=True)


@given(text=st.one_of(SHAPED, MOMENT, DAY))
def test_the_quick_look_at_a_value_says_what_its_pattern_says(text):
    """With a space in front no quick look applies: white space is taken off later."""
    for convert in (
        lexical.boolean, lexical.integer, lexical.decimal, lexical.date, lexical.datetime,
    ):  # fmt: skip
        assert result(convert, text) == result(convert, f" {text}")


def result(convert, text):
    try:
        value = convert(text)
    except ValueError:
        return "refused"
    return type(value), repr(value)


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (lexical.integer, "0012", 12),
        (lexical.decimal, "5.25", Decimal("5.25")),
        (lexical.date, "2026-03-01", dt.date(2026, 3, 1)),
        (
            lexical.datetime,
            "2026-03-01T23:59:59Z",
            dt.datetime(2026, 3, 1, 23, 59, 59, tzinfo=dt.UTC),
        ),
    ],
)
def test_values_as_they_usually_look(convert, text, value):
    assert convert(text) == value


@pytest.mark.parametrize(
    "text", ["2026-03-01T24:00:00Z", "2026-03-01T24:00:00", "1_0", "٣"]
)
def test_what_python_would_take_is_refused(text):
    for convert in (lexical.integer, lexical.datetime):
        assert result(convert, text) == "refused"


def test_an_empty_list_belongs_to_its_record_alone(schema):
    body = f"<Answer>{'<item><id>1</id><words/></item>' * 2}</Answer>"
    first, second = schema.records(body)
    first["words"].append(1)
    assert second["words"] == []


def test_what_made_an_item_unusual_is_counted_once(schema):
    """The straight reader comes to the last child, past an empty one, and gives up."""
    body = "<Answer><item><id>1</id><n/><s>x</s><unknown/></item></Answer>"
    _, answer = schema.read(body)
    assert answer.tolerated == {"empty:n": 1, "unknown:unknown": 1}


def test_an_indented_answer_needs_no_more_memory_than_one_record(schema):
    """What is thrown away takes its white space with it."""
    count = 20_000
    row = "\n      <item>\n <id>1</id>\n      </item>" + " " * 50
    document = envelope(f"<Answer>{row * count}</Answer>").encode()
    answer = schema.decoder(key=("id",), max_buffered=4096).read(
        iter([document]), content_type="text/xml"
    )
    assert sum(item.record == {"id": "1"} for item in answer) == count
    (container,) = answer._body
    assert len(container) <= 1
    assert len("".join(container.itertext())) < 1000
