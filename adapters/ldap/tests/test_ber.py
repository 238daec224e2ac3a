"""BER: our reader and writer against pyasn1 and ldap3, and against malice."""

from __future__ import annotations

import random
import time
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.errors import NotApplied
from moatbridge_ldap.wire import ber, filters, messages
from moatbridge_ldap.wire.messages import Names
from moatbridge_ldap.wire.port import (
    ADD,
    REPLACE,
    AddEntry,
    Control,
    DeleteEntry,
    Done,
    Entry,
    Info,
    ModifyEntry,
    ModifyItem,
    Reference,
    RenameEntry,
    SearchRequest,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.operation.search import compile_filter, parse_filter
    from ldap3.protocol import rfc4511
    from ldap3.strategy.base import BaseStrategy
    from ldap3.utils.asn1 import decode_message_fast
    from pyasn1.codec.ber import decoder, encoder
    from pyasn1.type import univ

    from moatbridge_ldap import testing as fake

NAMES = ["cn", "sn", "uid", "jpegPhoto", "member"]
REQUEST = fake.Request(7, "searchRequest", None, {})


def read(data: bytes, wanted: list[str] | None = None) -> Any:
    end = messages.message_end(data, 0)
    assert end == len(data)
    number, kind, start, stop = messages.split(data, 0, end)
    assert number == 7
    return messages.decode(data, kind, start, stop, end, Names(wanted or NAMES))


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_round_trip_and_equal_pyasn1s(value: int) -> None:
    data = ber.integer(value)
    assert ber.Reader(data).integer() == value
    assert decoder.decode(data)[0] == value


@given(st.binary(max_size=70000))
@settings(max_examples=50)
def test_octet_strings_round_trip_and_equal_pyasn1s(value: bytes) -> None:
    data = ber.octets(value)
    assert ber.Reader(data).expect(ber.OCTETS) == value
    assert data == encoder.encode(univ.OctetString(value))


values = st.lists(st.binary(max_size=300), max_size=4)
attributes = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)


@given(st.text(max_size=200), attributes)
def test_entries_equal_what_ldap3_decodes(
    dn: str, given_: dict[str, list[bytes]]
) -> None:
    data = fake.entry(REQUEST, dn, given_)
    ours = read(data)
    assert isinstance(ours, Entry)
    theirs = BaseStrategy.decode_response_fast(_Plain(), decode_message_fast(data))
    assert ours.dn == theirs["dn"]
    assert ours.attributes == {
        n: list(v or ()) for n, v in theirs["raw_attributes"].items()
    }


class _Plain:
    """What ldap3's decoder needs of a connection."""

    class connection:  # noqa: N801
        class server:  # noqa: N801
            schema = None
            custom_formatter = None

        empty_attributes = True
        return_empty_attributes = False
        check_names = False


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 129, 255, 256, 65535, 65536])
def test_values_of_every_length_form(size: int) -> None:
    held = {"cn": [b"x" * size, b"y"], "sn": [b"z" * size]}
    assert read(fake.entry(REQUEST, "cn=a", held)).attributes == held


def test_long_form_lengths_as_active_directory_writes_them() -> None:
    def long(tag: int, body: bytes) -> bytes:
        return bytes((tag, 0x84)) + len(body).to_bytes(4, "big") + body

    attribute = long(
        0x30, ber.octets("cn") + long(0x31, ber.octets("a") + ber.octets("b"))
    )
    body = ber.octets("cn=a,dc=x") + long(0x30, attribute)
    found = read(long(0x30, ber.integer(7) + long(0x64, body)))
    assert found.attributes == {"cn": [b"a", b"b"]}


def test_attributes_nobody_asked_for_are_dropped() -> None:
    data = fake.entry(
        REQUEST, "cn=a", {"CN": ["a"], "userPassword": ["s"], "cn;lang-de": ["b"]}
    )
    assert read(data, ["cn"]).attributes == {"cn": [b"a"]}


def test_a_range_keeps_its_interval_under_our_spelling() -> None:
    data = fake.entry(REQUEST, "cn=a", {"MEMBER;range=0-1": ["a", "b"]})
    assert read(data, ["Member"]).attributes == {"Member;range=0-1": [b"a", b"b"]}


def test_an_attribute_that_comes_twice_is_told() -> None:
    twice = ber.sequence(ber.octets("cn"), ber.sequence(ber.octets("a"), tag=0x31))
    body = ber.sequence(ber.octets("cn=a"), ber.sequence(twice, twice), tag=0x64)
    assert read(ber.sequence(ber.integer(7), body)).duplicate == "cn"


@given(
    st.integers(0, 4096),
    st.text(max_size=50),
    st.dictionaries(
        st.sampled_from(["1.2.3", "1.2.840.113556.1.4.319"]), st.binary(max_size=40)
    ),
)
def test_results_and_controls_equal_pyasn1s(
    code: int, text: str, controls: dict[str, bytes]
) -> None:
    made = rfc4511.SearchResultDone()
    made["resultCode"] = rfc4511.ResultCode(0)
    data = fake.done(REQUEST, 0, controls=controls, text=text)
    found = read(data)
    assert isinstance(found, Done)
    assert (found.code, found.text, dict(found.controls)) == (0, text, controls)
    body = ber.sequence(
        ber.integer(code, ber.ENUMERATED), ber.octets(""), ber.octets(text), tag=0x65
    )
    assert read(ber.sequence(ber.integer(7), body)).code == code


def test_references_referrals_and_intermediate_answers() -> None:
    assert read(fake.reference(REQUEST, "ldap://a/", "ldap://b/")) == Reference(
        ("ldap://a/", "ldap://b/")
    )
    info = ber.sequence(ber.octets("1.2.3", 0x80), ber.octets(b"v", 0x81), tag=0x79)
    assert read(ber.sequence(ber.integer(7), info)) == Info("1.2.3", b"v")
    referral = ber.sequence(ber.octets("ldap://c/"), tag=0xA3)
    body = ber.sequence(
        ber.integer(10, 0x0A), ber.octets(""), ber.octets(""), referral, tag=0x65
    )
    assert read(ber.sequence(ber.integer(7), body)).referrals == ("ldap://c/",)


def test_requests_are_what_pyasn1_reads() -> None:
    control = Control("1.2.3", critical=True, value=b"v")
    node = filters.Present("sn")
    request = SearchRequest(
        "dc=x", node, ("cn", "sn"), size_limit=9, controls=(control,)
    )
    made = parsed(messages.frame(7, messages.search(request), request.controls))
    body = made["protocolOp"].getComponent()
    assert (str(body["baseObject"]), int(body["scope"]), int(body["derefAliases"])) == (
        "dc=x",
        2,
        0,
    )
    assert (int(body["sizeLimit"]), [str(a) for a in body["attributes"]]) == (
        9,
        ["cn", "sn"],
    )
    assert str(body["filter"]["present"]) == "sn"
    assert bytes(made["controls"][0]["controlValue"]) == b"v"
    assert bool(made["controls"][0]["criticality"]) is True


@pytest.mark.parametrize(
    "text",
    [
        "(cn=a\\2a\\29\\28)", "(cn=*)", "(cn>=b)", "(cn<=b)", "(cn~=b)", "(cn=a*b*c*d)", "(cn=*x)", "(cn=x*)",
        "(!(cn=a))", "(&(cn=a)(|(sn=b)(!(uid=c))))", "(cn:1.2.3:=7)",
    ],
)  # fmt: skip
def test_filters_are_encoded_as_ldap3_does(text: str) -> None:
    theirs = encoder.encode(
        compile_filter(
            parse_filter(
                text,
                None,
                auto_escape=False,
                auto_encode=False,
                validator=None,
                check_names=False,
            ).elements[0]
        )
    )
    assert filters.encode(filters.parse(text)) == theirs


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (AddEntry("cn=a", {"cn": [b"a", b"b"]}), "addRequest"),
        (
            ModifyEntry(
                "cn=a", [ModifyItem(ADD, "cn", [b"x"]), ModifyItem(REPLACE, "sn", [])]
            ),
            "modifyRequest",
        ),
        (RenameEntry("cn=a,dc=x", "cn=b", "dc=y"), "modDNRequest"),
        (RenameEntry("cn=a,dc=x", "cn=b"), "modDNRequest"),
        (DeleteEntry("cn=a"), "delRequest"),
    ],
)
def test_writes_are_what_pyasn1_reads(operation: Any, kind: str) -> None:
    data = messages.frame(7, messages.operation(operation))
    made = parsed(data)["protocolOp"]
    assert made.getName() == kind
    again = bytes(encoder.encode(parsed(data)))
    assert again == data.replace(
        b"\x01\x01\xff", b"\x01\x01\x01"
    )  # pyasn1 writes TRUE as 1


sized = st.one_of(
    st.binary(max_size=40), st.integers(100, 140).map(lambda n: b"x" * n),
    st.sampled_from([b"y" * 255, b"z" * 256, b"w" * 70000]),
)  # fmt: skip
held = st.dictionaries(
    st.one_of(st.sampled_from(NAMES), st.integers(100, 130).map(lambda n: "n" * n)),
    st.lists(sized, max_size=3), max_size=4,
)  # fmt: skip


@given(st.text(max_size=140), held, st.integers(0, 2), st.integers(1, 2**31 - 1))
@settings(max_examples=80, deadline=None)
def test_writes_of_any_size_equal_pyasn1s(
    name: str, given_: dict[str, list[bytes]], action: int, number: int
) -> None:
    items = [ModifyItem(action, key, vs) for key, vs in given_.items()]
    control = Control("1.2.3", critical=False, value=b"v")
    for request in (AddEntry(name, given_), ModifyEntry(name, items)):
        data = messages.frame(number, messages.operation(request), (control,))
        assert bytes(encoder.encode(parsed(data))) == data


def parsed(data: bytes) -> Any:
    made, rest = decoder.decode(data, asn1Spec=rfc4511.LDAPMessage())
    assert rest == b""
    return made


@pytest.mark.parametrize(
    "head",
    [
        b"\x30\x80",
        b"\x30\x85\x00\x00\x00\x00\x01",
        b"\x31\x05",
        b"\x30\x84\x04\x00\x00\x01",
    ],
    ids=["indefinite", "five-length-bytes", "not-a-sequence", "over-64-MiB"],
)
def test_impossible_heads_are_refused_before_more_is_read(head: bytes) -> None:
    with pytest.raises(NotApplied) as caught:
        messages.message_end(head, 0)
    assert caught.value.code == "ldap.protocol"


def test_trailing_bytes_are_refused() -> None:
    done = ber.sequence(
        ber.integer(0, 0x0A), ber.octets(""), ber.octets(""), b"\x05\x00", tag=0x65
    )
    with pytest.raises(NotApplied):
        read(ber.sequence(ber.integer(7), done))


def test_more_than_32_controls_are_refused() -> None:
    listed = ber.sequence(
        *(ber.sequence(ber.octets(f"1.{i}")) for i in range(33)), tag=0xA0
    )
    done = ber.sequence(ber.integer(0, 0x0A), ber.octets(""), ber.octets(""), tag=0x65)
    with pytest.raises(NotApplied):
        read(ber.sequence(ber.integer(7), done, listed))


def test_fuzzed_messages_end_typed_and_soon() -> None:
    chance = random.Random(4511)
    seeds = [
        fake.entry(
            REQUEST,
            "cn=a,dc=x",
            {"cn": ["a", "b"], "jpegPhoto": [b"\xff" * 300]},
            {"1.2.3": b"\x30\x00"},
        ),
        fake.done(REQUEST, 0, controls=fake.page_cookie(b"cookie")),
        fake.reference(REQUEST, "ldap://a/dc=b"),
    ]
    slowest = 0.0
    for _ in range(6000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 4)]
                case _:
                    data[at:at] = bytes(
                        chance.randrange(256) for _ in range(chance.randint(1, 4))
                    )
            if not data:
                data = bytearray(b"\x30")
        started = time.thread_time()
        try:
            end = messages.message_end(bytes(data), 0)
            if end is not None and end <= len(data):
                _, kind, start, stop = messages.split(bytes(data), 0, end)
                messages.decode(bytes(data), kind, start, stop, end, Names(NAMES))
        except (NotApplied, IndexError):  # the channel turns IndexError into the former
            pass
        slowest = max(slowest, time.thread_time() - started)
    assert slowest < 0.5
