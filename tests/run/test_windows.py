"""``systems.NAME.windows``: a system is left alone at the times its owner says."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flow_world import World
from moatbridge.config.windows import Window, opens_in, usable
from moatbridge.errors import NotApplied

BERLIN = "Europe/Berlin"


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def window(**settings):
    return Window.model_validate({"zone": BERLIN, **settings})


MORNING = window(**{"not": "09:00-11:00"})
NIGHT = window(only="22:00-06:00")


@pytest.mark.parametrize(
    ("windows", "when", "seconds"),
    [
        ([], "2026-03-02T09:30", 0),
        ([MORNING], "2026-03-02T08:59:59", 0),
        ([MORNING], "2026-03-02T09:00", 7200),
        ([MORNING], "2026-03-02T10:59:30", 30),
        ([MORNING], "2026-03-02T11:00", 0),
        ([NIGHT], "2026-03-02T21:00", 3600),
        ([NIGHT], "2026-03-02T22:00", 0),
        ([NIGHT], "2026-03-03T05:59", 0),
        ([NIGHT], "2026-03-03T06:00", 16 * 3600),
        ([NIGHT, MORNING], "2026-03-03T05:00", 0),
        ([NIGHT, window(only="12:00-13:00")], "2026-03-03T12:30", 0),
        ([window(only="08:00-18:00", days=["mon"])], "2026-03-02T12:00", 0),  # a Monday
        ([window(only="08:00-18:00", days=["tue"])], "2026-03-02T12:00", 20 * 3600),
        ([window(only="22:00-06:00", days=["mon"])], "2026-03-03T05:00", 0),
        ([window(only="22:00-06:00", days=["mon"])], "2026-03-03T23:00", None),
        # The clock goes forward: from 01:59 it is one minute to 03:00.
        ([window(**{"not": "01:00-03:00"})], "2026-03-29T01:59", 60),
    ],
)
def test_when_a_system_may_be_used(windows, when, seconds):
    found = opens_in(windows, at(when))
    if seconds is None:
        assert found > 5 * 86400
    else:
        assert found == seconds


@given(
    start=st.integers(0, 1439),
    length=st.integers(1, 1438),
    moment=st.integers(1_700_000_000, 1_900_000_000),
)
def test_not_and_only_are_opposites(start, length, moment):
    end = (start + length) % 1440
    span = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    closed, only = window(**{"not": span}), window(only=span)
    assert usable([closed], moment) is not usable([only], moment)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"not": "09:00-11:00", "only": "12:00-13:00"},
        {"not": "9-11"},
        {"not": "09:00-09:00"},
        {"only": "20:00-24:30"},
        {"only": "25:00-26:00"},
        {"only": "10:00-11:00", "zone": "Berlin"},
        {"only": "10:00-11:00", "days": ["Monday"]},
    ],
)
def test_windows_that_say_nothing_clear_are_refused(settings):
    with pytest.raises(ValidationError):
        window(**settings)


ALWAYS = [{"not": "00:00-24:00"}]


@pytest.fixture
def agreed(tmp_path):
    world = World(tmp_path, count=4)
    world.apply()
    world.put(2, family="Married")
    yield world
    world.bridge.close()


def test_a_closed_source_is_not_read(agreed):
    agreed.systems = {"hr": {"windows": ALWAYS}}
    agreed.reopen()
    with pytest.raises(NotApplied) as caught:
        agreed.bridge.run("people")
    assert caught.value.code == "system.window"
    assert "systems.hr.windows" in caught.value.message
    agreed.systems = {}
    agreed.reopen()
    assert agreed.bridge.run("people").state == "done"
    assert agreed.there()["u0002"]["family"] == "Married"


def test_how_the_last_slice_ended_is_told_even_if_nothing_is_due_by_then(
    agreed, monkeypatch
):
    """The lane rests in the ledger a moment before its result is collected."""
    monkeypatch.setattr("moatbridge.run.local.POLL", 0.0)
    pauses, asked = type(agreed.bridge)._pauses, []

    def as_late_as_can_be(bridge, flow_id, run_id):
        asked.append(run_id)
        for _ in range(500 if len(asked) > 1 else 1):
            if found := pauses(bridge, flow_id, run_id):
                return found
            time.sleep(0.01)
        return False

    monkeypatch.setattr(type(agreed.bridge), "_pauses", as_late_as_can_be)
    agreed.systems = {"social": {"windows": ALWAYS}}
    agreed.reopen()
    with pytest.raises(NotApplied) as caught:
        agreed.bridge.run("people")
    assert caught.value.code == "system.window"


def test_nothing_is_sent_to_a_closed_target_and_nothing_is_in_doubt(agreed):
    agreed.systems = {"social": {"windows": ALWAYS}}
    agreed.reopen()
    with pytest.raises(NotApplied) as caught:
        agreed.bridge.run("people")
    assert caught.value.code == "system.window"
    assert agreed.there()["u0002"]["family"] == "L2"
    with agreed.bridge.ledger.read() as tx:
        assert tx.all("SELECT DISTINCT state FROM parcel WHERE state<10") in (
            [(0,)],
            [],
        )
        error = tx.value("SELECT error FROM partition WHERE part='lane/0'")
    assert error == "system.window"
    agreed.systems = {}
    agreed.reopen()
    with agreed.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    assert agreed.bridge.run("people").state == "done"
    assert agreed.there()["u0002"]["family"] == "Married"
