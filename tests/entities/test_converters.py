from __future__ import annotations

import pickle
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moatbridge.entities import Converter, Converters, Fault
from moatbridge.entities.moments import instant, moment
from moatbridge.errors import ConfigurationError

CORE = Converters(discover=False)


def one(via):
    [found] = CORE.make(via)
    return found


@pytest.mark.parametrize(
    ("via", "raw", "value"),
    [
        ("strip", "  Ada ", "Ada"),
        ("lower", "ADA", "ada"),
        ("upper", "ada", "ADA"),
        ("casefold", "STRASSE", "strasse"),
        ("int", "42", 42),
        ("int", 42, 42),
        ({"decimal": 2}, "12.5", "12.50"),
        ({"decimal": 2}, Decimal("12.5"), "12.50"),
        ({"decimal": {}}, Decimal("1E+2"), "100"),
        ({"bool": {"true": "J", "false": "N"}}, "J", True),
        ({"bool": {"true": 1, "false": 0}}, 0, False),
        ({"date": "%d.%m.%Y"}, "05.01.1999", "1999-01-05"),
        ({"date": {}}, date(1999, 1, 5), "1999-01-05"),
        ({"datetime": {"format": "%Y%m%d%H%M", "zone": "Europe/Berlin"}}, "202607011200", "2026-07-01T10:00:00Z"),
        ({"datetime": {}}, datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00Z"),
        ({"epoch": "ms"}, 1_000_000_000_500, "2001-09-09T01:46:40.5Z"),
        ({"split": ";"}, "a;b", ["a", "b"]),
        ({"prefix": "hr-"}, "7", "hr-7"),
        ({"lookup": {"A": True, "I": False}}, "I", False),
        ({"lookup": {"1": "one"}}, 1, "one"),
        ("json", '{"a":[1,null]}', {"a": [1, None]}),
        ("text_of_html", '<p>Hi <b>you</b></p><a href="https://x.org">see</a><script>x</script>', "Hi you\nsee (https://x.org)"),
    ],
)  # fmt: skip
def test_decode(via, raw, value):
    converter = one(via)
    assert converter.decode(raw) == value
    if converter.encode is not None:
        again = converter.decode(converter.encode(converter.decode(raw)))
        assert again == value


@pytest.mark.parametrize(
    ("via", "raw"),
    [
        ("lower", 3), ("int", "4x"), ("int", True), ("int", 2**60),
        ({"decimal": 2}, "1.234"), ({"decimal": 2}, 1.5), ({"decimal": 2}, "NaN"),
        ({"decimal": 2}, "1E+999999"), ({"decimal": 2}, "x"),
        ({"bool": {"true": "J", "false": "N"}}, "X"),
        ({"bool": {"true": 1, "false": 0}}, True),
        ({"date": "%d.%m.%Y"}, "31.02.2020"), ({"date": {}}, "1.1.2020"), ({"date": {}}, 5),
        ({"datetime": {}}, datetime(2026, 1, 1)),  # noqa: DTZ001
        ({"datetime": {"format": "%Y"}}, "2020"), ({"datetime": {}}, "never"),
        ({"epoch": "s"}, 10**18), ({"epoch": "s"}, "soon"),
        ({"lookup": {"A": 1}}, "B"), ("json", "{"), ("json", "1.5"), ("json", "NaN"),
        ({"prefix": "a"}, 3), ("text_of_html", 3),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_without_the_value(via, raw):
    with pytest.raises(Fault) as caught:
        one(via).decode(raw)
    assert not isinstance(raw, str) or repr(raw) not in str(caught.value)


def test_a_local_time_needs_an_explicit_zone():
    with pytest.raises(Fault, match="zone"):
        one({"datetime": {"format": "%Y%m%d"}}).decode("20260101")


@pytest.mark.parametrize(
    "via",
    [
        "lowr", {"lower": 1}, {"date": "%d %B"}, {"date": "%x"}, {"date": "50%"}, {"datetime": {"zone": "Mars/Base"}},
        {"datetime": {"zone": "../etc"}}, {"date": {"colour": "red"}}, {"epoch": "weeks"},
        {"split": ""}, {"lookup": {}}, {"bool": {"true": 1, "false": 1}}, 5, {}, {"a": 1, "b": 2},
    ],
)  # fmt: skip
def test_names_and_arguments_are_checked_when_loaded(via):
    with pytest.raises(ConfigurationError) as caught:
        CORE.make(via)
    assert caught.value.code.startswith("converter.")


def test_an_unknown_converter_gets_a_suggestion():
    with pytest.raises(ConfigurationError, match="did you mean 'lower'"):
        CORE.make("lowr")


def test_a_chain_is_a_list():
    names = [each.name for each in CORE.make(["strip", {"decimal": 2}])]
    assert names == ["strip", "decimal"]


def test_a_lookup_that_is_no_bijection_is_one_way():
    assert one({"lookup": {"a": 1, "b": 1}}).encode is None
    assert one({"lookup": {"a": 1, "b": 1}}).reversible == "no"
    assert one({"lookup": {"a": 1, "b": 2}}).reversible == "yes"


def test_converters_are_values():
    for via in ("lower", {"decimal": 2}, {"split": ","}, {"lookup": {"a": "b"}}):
        assert one(via) == one(via)
        assert hash(one(via)) == hash(one(via))
        assert pickle.loads(pickle.dumps(one(via))) == one(via)
    assert one({"decimal": 2}) != one({"decimal": 3})
    assert Converter("x", lambda v: v + 1) != Converter("x", lambda v: v + 2)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_rfc_3339_and_comes_back(when):
    text = instant(when)
    assert text.endswith("Z")
    assert ".000000" not in text
    assert moment(text) == when


@given(st.dates())
def test_dates_come_back_in_every_format(day):
    for form in ("%d.%m.%Y", "%Y%m%d", "%m/%d/%Y"):
        converter = one({"date": form})
        text = converter.encode(day.isoformat())
        assert converter.decode(text) == day.isoformat()


@given(st.integers(-(10**10), 10**11))
def test_epochs_come_back(seconds):
    converter = one({"epoch": "s"})
    assert converter.encode(converter.decode(seconds)) == seconds


@given(st.text(st.characters(codec="utf-8")))
def test_normalising_converters_are_stable(text):
    for name in ("strip", "lower", "upper", "casefold"):
        converter = one(name)
        once = converter.decode(text)
        assume(name != "upper" or once.upper() == once)
        assert converter.decode(converter.encode(once)) == converter.decode(once)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters=";"))))
def test_split_and_join(parts):
    assume(parts != [""])
    converter = one({"split": ";"})
    assert converter.decode(converter.encode(parts)) == parts


@given(st.text())
def test_text_of_html_takes_anything(text):
    assert isinstance(one("text_of_html").decode(text), str)


DISTRIBUTION = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
"""


def install(folder, name, module, entries):
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DISTRIBUTION.format(name=name))
    (info / "entry_points.txt").write_text("[moatbridge.converters]\n" + entries)
    (folder / f"{module}.py").write_text(
        "from moatbridge.entities import Converter\n"
        "swap = Converter('acme.swap', str.swapcase, str.swapcase, version='1')\n"
        "number = 5\n"
    )


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [each for each in sys.modules if each.startswith("acme_conv")]:
        del sys.modules[name]


def test_adapters_offer_converters_by_entry_point(installed):
    install(
        installed,
        "acme-one",
        "acme_conv_one",
        "acme.swap = acme_conv_one:swap\nacme.number = acme_conv_one:number\nacme.gone = acme_conv_nowhere:x\n",
    )
    found = Converters()
    assert found.make("acme.swap")[0].decode("Ab") == "aB"
    for broken in ("acme.number", "acme.gone"):
        with pytest.raises(ConfigurationError) as caught:
            found.make(broken)
        assert caught.value.code == "converter.broken"
        assert "acme-one" in caught.value.message
    with pytest.raises(ConfigurationError):
        Converters(discover=False).make("acme.swap")


def test_two_distributions_claiming_one_name_is_an_error_naming_both(installed):
    install(installed, "acme-one", "acme_conv_one", "acme.swap = acme_conv_one:swap\n")
    install(installed, "acme-two", "acme_conv_two", "acme.swap = acme_conv_two:swap\n")
    with pytest.raises(ConfigurationError, match="acme-one and acme-two"):
        Converters().make("acme.swap")


def test_a_product_registers_its_own_and_replaces_nothing():
    mine = Converters(discover=False)
    mine.register("acme.swap", Converter("acme.swap", str.swapcase, str.swapcase))
    assert mine.make("acme.swap")[0].decode("a") == "A"
    with pytest.raises(ConfigurationError, match="already"):
        mine.register("lower", Converter("lower", str.upper))
