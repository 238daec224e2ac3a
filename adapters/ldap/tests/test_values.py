"""Values: decoders reject rather than guess, and encoders are their inverses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge_ldap import values
from moatbridge_ldap.schema import Schema

if TYPE_CHECKING:
    import uuid

FIRST = datetime.fromisoformat("1601-01-02T00:00")
LAST = datetime.fromisoformat("9997-12-31T00:00")
zones = st.integers(-12 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(
    FIRST,
    LAST,
    timezones=st.just(UTC) | zones,
)


@given(moments)
def test_generalized_times_round_trip(moment: datetime) -> None:
    assert values.generalized_time(values.from_datetime(moment)) == moment


@given(moments)
def test_filetimes_round_trip(moment: datetime) -> None:
    assert values.filetime(values.from_filetime(moment)) == moment


@given(st.uuids())
def test_guids_round_trip_in_microsofts_order(value: uuid.UUID) -> None:
    assert values.guid(values.from_guid(str(value))) == str(value)
    assert values.from_guid(str(value)) == value.bytes_le


@given(
    st.integers(0, 2**48 - 1),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=15),
)
def test_sids_round_trip(authority: int, parts: list[int]) -> None:
    text = "-".join(map(str, ["S-1", authority, *parts]))
    assert values.sid(values.from_sid(text)) == text


def test_a_sid_as_documented() -> None:
    raw = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
    assert values.sid(raw) == "S-1-5-21-2127521184-1604012920-1887927527-72713"


@given(st.integers(-(2**70), 2**70))
def test_integers_round_trip(value: int) -> None:
    assert values.integer(values.from_integer(value)) == value


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_text_round_trips(value: str) -> None:
    assert values.text(values.from_text(value)) == value


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"20240229123456Z", datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)),
        (b"2024022912Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        (b"202402291234Z", datetime(2024, 2, 29, 12, 34, tzinfo=UTC)),
        (b"20240229123456.5Z", datetime(2024, 2, 29, 12, 34, 56, 500000, tzinfo=UTC)),
        (b"2024022912.5Z", datetime(2024, 2, 29, 12, 30, tzinfo=UTC)),
        (b"202402291234,25Z", datetime(2024, 2, 29, 12, 34, 15, tzinfo=UTC)),
        (b"20240229123456+0130", datetime(2024, 2, 29, 11, 4, 56, tzinfo=UTC)),
        (b"20240229123456-08", datetime(2024, 2, 29, 20, 34, 56, tzinfo=UTC)),
        (b"20161231235960Z", datetime(2017, 1, 1, tzinfo=UTC)),
        (b"20240229123456.0Z", datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)),
    ],
)
def test_generalized_times_as_servers_write_them(
    raw: bytes, expected: datetime
) -> None:
    assert values.generalized_time(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"20240229123456",
        b"20230229123456Z",
        b"20240101250000Z",
        b"000001010000Z",
        b"20240101000000+99",
        b"2024-01-01T00:00:00Z",
        b"\xff",
        b"99991231235960Z",
        "\uff12\uff10240101000000Z".encode(),
    ],
)
def test_times_that_are_not_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        values.generalized_time(raw)


@pytest.mark.parametrize(
    ("decode", "raw"),
    [
        (values.text, b"\xff"), (values.text, b"a\0b"), (values.integer, b"1e3"), (values.integer, b"01"),
        (values.integer, b"9" * 65), (values.boolean, b"true"), (values.boolean, b""), (values.guid, b"short"),
        (values.sid, b""), (values.sid, b"\x01\x02" + b"\0" * 6), (values.filetime, b"x"),
        (values.filetime, b"9" * 30),
    ],
)  # fmt: skip
def test_values_that_are_not_are_refused_without_being_quoted(
    decode, raw: bytes
) -> None:
    with pytest.raises(ValueError):
        decode(raw)


def test_never_is_none() -> None:
    assert values.filetime(b"0") is None
    assert values.filetime(b"9223372036854775807") is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 1),
        ("int", True),
        ("int", "1"),
        ("bool", "TRUE"),
        ("bytes", "x"),
        ("datetime", datetime.fromisoformat("2024-01-01T00:00")),
        ("text", "a\0"),
        ("sid", "S-2-1"),
        ("guid", "x"),
    ],
)
def test_values_of_another_type_are_not_written(kind: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        values.CODECS[kind].encode(value)


SCHEMA = Schema.from_values(
    [
        b"( 2.5.4.41 NAME 'name' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
        b"( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'it''s a NAME (x)' SUP name )",
        b"( 2.5.4.6 NAME 'c' SUP name SINGLE-VALUE )",
        b"( 1.1 NAME 'stamp' SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE NO-USER-MODIFICATION )",
        b"( 1.2 NAME 'loop' SUP loop )",
        b"( 1.3 NAME 'photo' SYNTAX 1.3.6.1.4.1.1466.115.121.1.28 )",
        b"( 1.4 NAME 'accountExpires' SYNTAX 1.2.840.113556.1.4.906 SINGLE-VALUE )",
    ],
    [
        b"( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
        b"( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( description ) )",
    ],
)


def test_the_schema_decides_shape_and_kind() -> None:
    found = {
        name: SCHEMA.attribute(name)
        for name in (
            "CN",
            "commonname",
            "c",
            "stamp",
            "photo",
            "accountExpires",
            "nope",
            "loop",
        )
    }
    shapes = {
        name: (a.kind, a.single, a.writable) if a else None for name, a in found.items()
    }
    assert shapes == {
        "CN": ("text", False, True), "commonname": ("text", False, True), "c": ("text", True, True),
        "stamp": ("datetime", True, False), "photo": ("bytes", False, True),
        "accountExpires": ("filetime", True, True), "nope": None, "loop": ("text", False, True),
    }  # fmt: skip


def test_required_attributes_are_inherited() -> None:
    assert SCHEMA.required(["person"]) == {"sn", "cn", "objectclass"}
    assert SCHEMA.closest("comonName") == "commonname"
