"""Names and filters: text from outside never becomes syntax."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_ldap import dn
from moatbridge_ldap.wire import filters

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
attribute = st.sampled_from(["cn", "OU", "uid", "1.2.3"])
rdn = st.lists(st.tuples(attribute, text), min_size=1, max_size=3).map(tuple)
raw = st.binary(max_size=20)


@given(st.lists(rdn, max_size=5).map(tuple))
@example(((("cn", "\\ "),),))
@example(((("cn", " # lead and trail "),),))
@example(((("cn", " "),), (("cn", "\0"),), (("cn", 'a,b+c"d\\e<f>g;h=i'),)))
@example(((("cn", "#04024869"),),))
@example(((("cn", ""),),))
def test_names_round_trip(parts: dn.Dn) -> None:
    assert dn.parse(dn.build(parts)) == parts


odd_names = st.text('cn=ab,+"\\;# -1.\n', max_size=24)


@given(
    st.one_of(st.lists(rdn, min_size=1, max_size=4).map(tuple).map(dn.build), odd_names)
)
@example("cn=a,")
@example("cn=a, ")
@example("cn=a,ou=b;dc=c")
@example("cn=#04024869,dc=x")
def test_cutting_a_name_is_reading_its_first_part(name: str) -> None:
    try:
        whole = dn.parse(name)
    except ConfigurationError:
        with pytest.raises(ConfigurationError):
            dn.parse(dn.cut(name)[1])
        return
    if whole:
        first, rest = dn.cut(name)
        assert (first, *dn.parse(rest)) == whole
        assert dn.normal_rdn(first) == dn.normal(name)[0]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("", ()),
        ("cn=a", ((("cn", "a"),),)),
        ("CN = a , OU=b", ((("CN", "a"),), (("OU", "b"),))),
        ("cn=a+uid=b,dc=x", ((("cn", "a"), ("uid", "b")), (("dc", "x"),))),
        ('cn="a,b",dc=x', ((("cn", "a,b"),), (("dc", "x"),))),
        ("cn=#04024869,dc=x", ((("cn", "Hi"),), (("dc", "x"),))),
        ("cn=Lu\\C4\\8Di\\C4\\87", ((("cn", "Lučić"),),)),
        ("cn=a\\,b\\ ,dc=x", ((("cn", "a,b "),), (("dc", "x"),))),
        ("OID.2.5.4.3=a", ((("OID.2.5.4.3", "a"),),)),
    ],
)
def test_names_of_rfc_4514_and_2253_are_read(given_: str, expected: dn.Dn) -> None:
    assert dn.parse(given_) == expected


@pytest.mark.parametrize(
    "bad",
    ["cn", "=a", "cn=a,", "cn=a,,dc=x", 'cn="a', "cn=a\\", "cn=\\ff", "a b=c", "," * 9],
)
def test_broken_names_are_refused_without_being_quoted(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dn.parse(bad)
    assert caught.value.code == "ldap.dn"
    assert bad not in str(caught.value) or len(bad) < 3


def test_limits_of_names() -> None:
    with pytest.raises(ConfigurationError):
        dn.parse("cn=" + "x" * 65536)
    with pytest.raises(ConfigurationError):
        dn.parse(",".join(["cn=x"] * 257))


@pytest.mark.parametrize(
    "hostile",
    [
        "cn=" + "\\41" * 20000 + '"',
        "cn=" + " " * 60000 + '"',
        "cn" + " " * 60000,
        "1." * 30000,
        'cn="' + "\\\\" * 30000,
    ],
)
def test_hostile_names_take_no_time(hostile: str) -> None:
    started = time.thread_time()
    with pytest.raises(ConfigurationError):
        dn.parse(hostile)
    assert time.thread_time() - started < 0.5


def test_under_a_base_compares_parts_not_suffixes() -> None:
    base = dn.normal("ou=People, DC=Example")
    assert dn.is_under(dn.normal("uid=a,OU=people,dc=example"), base)
    assert dn.is_under(base, base)
    assert not dn.is_under(dn.normal("uid=a,xou=people,dc=example"), base)
    assert not dn.is_under(dn.normal("uid=a\\,ou=people,dc=example"), base)
    assert not dn.in_scope(dn.normal("uid=a,ou=b,ou=people,dc=example"), base, "one")
    assert dn.in_scope(dn.normal("uid=a,ou=people,dc=example"), base, "one")


def nodes() -> st.SearchStrategy[filters.Filter]:
    name = st.sampled_from(["cn", "sn;lang-de", "1.2.3"])
    piece = st.binary(min_size=1, max_size=6)
    leaf = st.one_of(
        st.builds(filters.Eq, name, raw),
        st.builds(filters.Ge, name, raw),
        st.builds(filters.Le, name, raw),
        st.builds(filters.Approx, name, raw),
        st.builds(filters.Present, name),
        st.builds(
            filters.Substrings,
            name,
            piece,
            st.lists(piece, max_size=2).map(tuple),
            st.none() | piece,
        ),
        st.builds(
            filters.Matches,
            name,
            st.none() | st.just("1.2.840.113556.1.4.803"),
            raw,
            st.booleans(),
        ),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(filters.And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(filters.Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(filters.Not, inner),
        ),
        max_leaves=6,
    )


@given(nodes())
def test_filters_round_trip_through_text(node: filters.Filter) -> None:
    assert filters.parse(filters.to_text(node)) == node


@pytest.mark.parametrize(
    "value", ["*", ")(uid=*", "a\\2a", "\0", "ü", "(&)", "x))(|(a=b"]
)
def test_a_value_never_becomes_syntax(value: str) -> None:
    node = filters.Eq("uid", value.encode())
    assert filters.parse(filters.to_text(node)) == node
    assert value.encode() in filters.encode(node)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "uid=a",
        "(uid=a",
        "(uid=a))",
        "(&)",
        "(uid)",
        "(u id=a)",
        "(uid=\\2)",
        "(uid=a(b)",
        "(!(a=b)(c=d))",
        "(:=x)",
        "(" * 40 + "a=b" + ")" * 40,
        "(!" * 40 + "(a=b)" + ")" * 40,
    ],
)
def test_broken_filters_are_configuration_errors(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        filters.parse(bad)
    assert caught.value.code == "ldap.filter"


def test_filter_attributes_are_known() -> None:
    node = filters.parse("(&(a=1)(|(b>=2)(!(c=*)))(:1.2.3:=x))")
    assert filters.attributes_of(node) == {"a", "b", "c"}
