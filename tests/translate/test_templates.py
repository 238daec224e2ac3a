from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Fault, Person, paths
from moatbridge.errors import ConfigurationError
from moatbridge.translate import Translator
from moatbridge.translate.templates import Hole, fill, parse, shown, template_of

STREAM = Stream(
    "people", (Field("a"), Field("b"), Field("n", "int"), Field("many", multi=True))
)

NAMES = st.text(min_size=1, max_size=6).filter(
    lambda n: n.isprintable() and not n.isdigit()
)
HOLES = st.builds(
    Hole,
    NAMES.map(paths.quote).filter(lambda p: not set("{}|?") & set(p)),
    st.none() | st.sampled_from(["lower", "upper"]),
    st.booleans(),
)
PARTS = st.lists(st.text(max_size=5) | HOLES, max_size=6)


def source_of(parts):
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part.replace("{", "{{").replace("}", "}}"))
        else:
            via = f"|{part.via}" if part.via else ""
            texts.append(f"{{{part.path}{via}{'?' if part.optional else ''}}}")
    return "".join(texts)


def reference(parts, values):
    result, left = "", list(values)
    for part in parts:
        if isinstance(part, str):
            result += part
            continue
        value = left.pop(0)
        if value is None and not part.optional:
            return None
        if value is not None:
            result += {"lower": str.lower, "upper": str.upper, None: str}[part.via](
                value
            )
    return result


@given(PARTS, st.data())
def test_against_a_reference(parts, data):
    template = template_of(source_of(parts))
    parsed = parse(template.text)
    holes = [part for part in parts if isinstance(part, Hole)]
    assert [part for part in parsed if isinstance(part, Hole)] == holes
    values = [data.draw(st.none() | st.text(max_size=5)) for _ in holes]
    assert fill(parsed, dict(template.converters), values) == reference(parts, values)


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_a_typed_error(text):
    try:
        parts = parse(text)
    except ConfigurationError as error:
        code = error.code
    else:
        code = "template.syntax"
        assert all(isinstance(part, (str, Hole)) for part in parts)
    assert code == "template.syntax"


@pytest.mark.parametrize(
    "text",
    ["{a.b}", "{a[0]}", "{0}", "{a!r}", "{a:>10}", "{", "}", "{a", "a}", "{}", "{ a }", "{{a}",
     "{a|nope}", "{a|decimal(2)}", "{a.__class__}", "{a|}", "{nope}", "{a??}"],
)  # fmt: skip
def test_what_is_no_template_is_an_error_when_loaded(text):
    with pytest.raises(ConfigurationError) as caught:
        Translator(Person, {"displayName": {"template": text}}).bind(
            STREAM, "hr/people"
        )
    assert caught.value.code == "translate.invalid"


@pytest.mark.parametrize(
    ("text", "record", "wanted"),
    [
        ("{a} {b}", {"a": "Ada", "b": "L"}, "Ada L"),
        ("{a} {b}", {"a": "Ada", "b": None}, None),
        ("{a}{b?}", {"a": "Ada", "b": None}, "Ada"),
        ("{{{a}}}", {"a": "x"}, "{x}"),
        ("{a|upper}-{n}", {"a": "x", "n": 7}, "X-7"),
        ("{many}", {"many": ["b", "a"]}, "a"),
        ("none", {}, "none"),
    ],
)
def test_filling(text, record, wanted):
    bound = Translator(Person, {"displayName": {"template": text}}).bind(
        STREAM, "hr/people"
    )
    assert bound.decode(record) == {"displayName": wanted}
    assert bound.owned == ()


def test_a_template_never_executes_what_it_is_filled_with():
    bound = Translator(Person, {"displayName": {"template": "{a}"}}).bind(
        STREAM, "hr/people"
    )
    assert bound.decode({"a": "{b}{n!r}{{"}) == {"displayName": "{b}{n!r}{{"}


def test_values_have_one_text_or_none():
    assert shown(Decimal("1E+2")) == "100"
    assert shown(date(2026, 1, 2)) == "2026-01-02"
    assert shown(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
    for value in (True, 1.5, [], {}):
        with pytest.raises(Fault):
            shown(value)


def test_back_templates_read_entity_paths():
    back = {"b": {"template": "{name.givenName} {emails[type=work].value?}"}}
    bound = Translator(Person, {"userName": "a"}, back=back).bind(STREAM, "hr/people")
    entity = {"name": {"givenName": "Ada"}, "emails": [{"type": "work", "value": None}]}
    assert bound.encode(entity) == {"b": "Ada "}
    assert bound.encode({"name": {"givenName": "Ada"}}) == {}
    with pytest.raises(ConfigurationError, match="emails is list"):
        Translator(
            Person, {"userName": "a"}, back={"b": {"template": "{emails}"}}
        ).bind(STREAM)
