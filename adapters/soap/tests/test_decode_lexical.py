"""Lexical forms are strict: a bad value is refused, never guessed (soap 38, 39)."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge_soap.decode import lexical


@pytest.mark.parametrize(
    "text", ["TRUE", "True", "Y", "yes", "on", "", "2", "\uff54rue"]
)
def test_a_boolean_is_true_false_1_or_0_and_nothing_else(text):
    with pytest.raises(ValueError, match="boolean"):
        lexical.boolean(text)


def test_booleans_and_white_space_around_them():
    assert [lexical.boolean(x) for x in ("true", " 1\n", "false", "\t0")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "1e5", "1,5", "", ".", "+", "--1", "\uff11", "1 2", "0x1"],
)
def test_a_decimal_has_no_exponent_nan_or_infinity(text):
    with pytest.raises(ValueError, match="decimal"):
        lexical.decimal(text)


@pytest.mark.parametrize(
    "text", ["1.0", "", "\uff11\uff12", "0x10", "1_000", "9" * 5000]
)
def test_an_integer_is_ascii_digits(text):
    with pytest.raises(ValueError, match="integer"):
        lexical.integer(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimals_survive(value):
    assert lexical.decimal(f" {value:f}\n") == value


@given(st.integers())
def test_integers_survive(value):
    assert lexical.integer(f"{value:+d}") == value


@given(st.floats())
def test_doubles_survive(value):
    text = {math.inf: "INF", -math.inf: "-INF"}.get(value, repr(value))
    read = lexical.floating("NaN" if math.isnan(value) else text)
    assert read == value or (math.isnan(read) and math.isnan(value))


_ZONES = st.integers(-14 * 60, 14 * 60).map(
    lambda m: dt.timezone(dt.timedelta(minutes=m))
)


@given(st.datetimes(timezones=st.none() | _ZONES))
def test_moments_keep_their_own_offset(value):
    read = lexical.datetime(value.isoformat())
    assert read == value
    assert read.utcoffset() == value.utcoffset()


@given(st.dates())
def test_days_survive_with_any_zone(value):
    assert lexical.date(value.isoformat()) == value
    assert lexical.date(f"{value.isoformat()}+02:00") == value


@given(st.times())
def test_times_survive(value):
    assert lexical.time(value.isoformat()) == value


def test_more_than_six_digits_of_a_second_are_cut():
    read = lexical.datetime("2026-03-01T10:00:00.123456789Z")
    assert read.microsecond == 123456
    assert lexical.datetime("2026-03-01T10:00:00.5Z").microsecond == 500000


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T24:00:00Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-03-01 10:00:00",
        "2026-03-01T10:00Z",
        "2026-W10-1T10:00:00",
        "2026-03-01T10:00:00+15:00",
        "2026-03-01",
        "20260301T100000Z",
    ],
)
def test_moments_outside_the_form_or_range_are_refused(text):
    with pytest.raises(ValueError):
        lexical.datetime(text)


@given(st.binary())
def test_binary_survives_both_spellings(value):
    assert lexical.base64_binary(base64.encodebytes(value).decode()) == value
    assert lexical.hex_binary(value.hex().upper()) == value


@pytest.mark.parametrize("text", ["a", "====", "ab$d", "äbcd", "YQ=", "YQ==YQ=="])
def test_base64_is_validated(text):
    with pytest.raises(ValueError, match="base64"):
        lexical.base64_binary(text)


@pytest.mark.parametrize("text", ["P1Y2M3DT4H5M6.7S", "-P1D", "PT1S", "P1M"])
def test_durations_stay_text(text):
    assert lexical.duration(f" {text} ") == text


@pytest.mark.parametrize("text", ["P", "PT", "1D", "P1S", "P1DT", "P-1D"])
def test_broken_durations_are_refused(text):
    with pytest.raises(ValueError, match="duration"):
        lexical.duration(text)


def test_white_space_by_type():
    assert lexical.string(" a\tb ") == " a\tb "
    assert lexical.normalized(" a\tb ") == " a b "
    assert lexical.token(" a \t b ") == "a b"
    assert lexical.token(" a\u00a0 b ä") == "a\u00a0 b ä"
    assert lexical.words(lexical.decimal)("1 2.5") == [Decimal(1), Decimal("2.5")]


@given(st.text())
def test_any_text_gives_a_value_or_a_value_error(text):
    for read in (
        lexical.boolean, lexical.integer, lexical.decimal, lexical.floating,
        lexical.date, lexical.datetime, lexical.time, lexical.duration,
        lexical.base64_binary, lexical.hex_binary,
    ):  # fmt: skip
        with contextlib.suppress(ValueError):
            assert read(text) is not None
