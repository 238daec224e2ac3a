from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities import Converters, Fault
from moatbridge.errors import ConfigurationError


def make(via):
    return Converters().make(via)[0]


@pytest.mark.parametrize(
    ("via", "value", "shown"),
    [
        ("money", Decimal("1234567.5"), "1,234,567.50"),
        ("money", "12", "12.00"),
        ("money", 0, "0.00"),
        ("money", "-1234.567", "-1,234.567"),
        ({"money": {"currency": "EUR", "point": ",", "group": "."}}, "1234.5", "1.234,50 EUR"),
        ({"money": {"places": 0}}, "1234", "1,234"),
        ("day", date(2026, 1, 3), "3 Jan 2026"),
        ("day", "2026-12-31", "31 Dec 2026"),
        ("day", datetime(2026, 1, 3, 23, 30, tzinfo=UTC), "3 Jan 2026"),
        ({"day": {"zone": "Europe/Berlin"}}, "2026-01-03T23:30:00Z", "4 Jan 2026"),
        ({"day": "%d.%m.%Y"}, "2026-01-03", "03.01.2026"),
    ],
)  # fmt: skip
def test_what_people_read(via, value, shown):
    assert make(via).decode(value) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_money_never_loses_a_digit(value):
    assert Decimal(make("money").decode(value).replace(",", "")) == value


@pytest.mark.parametrize("value", [1.5, True, "x", "NaN", "1e99", None, [], ""])
def test_what_is_no_amount_is_refused_without_its_value(value):
    with pytest.raises(Fault, match=r"^not an amount"):
        make("money").decode(value)


@pytest.mark.parametrize("value", ["x", 7, None, "2026-13-01", True])
def test_what_is_no_day_is_refused(value):
    with pytest.raises(Fault):
        make("day").decode(value)


@pytest.mark.parametrize(
    "via",
    [{"money": {"point": ";"}}, {"money": {"group": "."}}, {"money": {"places": 99}},
     {"day": "%A"}, {"day": {"zone": "Mars/Base"}}],
)  # fmt: skip
def test_wrong_arguments_are_told_at_load(via):
    with pytest.raises(ConfigurationError) as caught:
        make(via)
    assert caught.value.code == "converter.arguments"
