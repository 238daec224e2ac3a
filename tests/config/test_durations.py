"""Times as people write them, and the ends of what makes sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.adapters import registry
from config.test_reading import refused, whole
from moatbridge.config import parse
from moatbridge.config.durations import LONGEST, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(5, 5), (0.5, 0.5), ("30", 30), ("30s", 30), ("5 min", 300), ("5m", 300),
     ("24h", 86400), ("7d", 604800), ("1w", 604800), ("1.5H", 5400), ("250ms", 0.25)],
)  # fmt: skip
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.one_of(st.text(), st.none(), st.booleans(), st.lists(st.integers())))
def test_duration_is_a_number_or_an_error(value: Any) -> None:
    try:
        assert parse_duration(value) >= 0
    except ValueError as error:
        assert str(error).startswith("must be seconds")  # noqa: PT017 - either end is right


def with_time(key: str, value: Any) -> dict[str, Any]:
    table = whole()
    place: Any = table
    *path, last = key.split(".")
    for part in path:
        place = place.setdefault(part, {})
    place[last] = value
    return table


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("run.ttl", "1ms", "run.ttl: must be at least 1s"),
        ("run.ttl", 0, "run.ttl"),
        ("run.ttl", "2h", "run.ttl: must be at most 1h"),
        ("run.slice", "1ms", "run.slice: must be at least 100ms"),
        ("run.drain", -1, "run.drain"),
        ("run.drain", "-1s", "must be seconds or text such as"),
        ("systems.hr.deadline.call", 0, "systems.hr.deadline.call"),
        ("systems.hr.deadline.call", "1ms", "must be at least 100ms"),
        ("systems.hr.deadline.connect", -5, "systems.hr.deadline.connect"),
        ("flows.hr-to-social.every", "1ms", "must be at least 100ms"),
        ("flows.hr-to-social.rescan", 0.001, "must be at least 100ms"),
        ("flows.hr-to-social.retry_for", 1e300, "must be at most 36525d"),
        ("flows.hr-to-social.undo_window", "99999999d", "must be at most 36525d"),
        ("ledger.keep_history", 10**400, "must be seconds or text such as"),
        ("ledger.keep_history", "9" * 400, "ledger.keep_history"),
        ("ledger.checkpoint.seconds", 0, "ledger.checkpoint.seconds"),
        ("guard.approval_ttl", float("inf"), "guard.approval_ttl"),
        ("guard.approval_ttl", float("nan"), "guard.approval_ttl"),
    ],
)
def test_a_time_that_breaks_something_is_refused(
    key: str, value: Any, words: str
) -> None:
    assert words in str(refused(with_time(key, value)))


@pytest.mark.parametrize(
    ("key", "value"),
    [("run.ttl", "1s"), ("run.ttl", "1h"), ("ledger.keep_history", LONGEST),
     ("ledger.keep_payload", 0), ("run.drain", "1ms")],
)  # fmt: skip
def test_a_time_at_the_end_of_what_makes_sense_is_taken(key: str, value: Any) -> None:
    parse(with_time(key, value), registry())
