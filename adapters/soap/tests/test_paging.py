"""Paging engines against a model server, and what ends them (soap 54-58)."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError, CursorTooOld, Rejected
from moatbridge_soap.config.operations import PageConfig
from moatbridge_soap.paging import LoopGuard, PageFacts, pager_for

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def upper():
    return START + dt.timedelta(days=64)


class Model:
    """A service with rows 0..n-1, which answers whatever a pager asks."""

    def __init__(self, rows, limit=10**9, *, total=True):
        self.rows = sorted(rows)
        self.limit = limit
        self.total = total
        self.pages = 0

    def answer(self, config, values):
        self.pages += 1
        size = min(values["page.size"], self.limit)
        rows, texts = self._rows(config, values, size)
        texts["total"] = str(len(self.rows))
        return rows, texts

    def _rows(self, config, values, size):
        kind, rows = config.kind, self.rows
        if kind == "none":
            return rows, {}
        if kind in {"page", "offset"}:
            start = (
                values["page.offset"]
                if kind == "offset"
                else (values["page.number"] - config.first) * config.size
            )
            return rows[start : start + size], {}
        if kind in {"cursor", "more"}:
            start = int(values.get("page.cursor", 0))
            end = start + size
            return rows[start:end], {"next": str(end) if end < len(rows) else ""}
        if kind == "last":
            after = int(values.get("page.last.nr", -1))
            return [row for row in rows if row > after][:size], {}
        low, high = values["window.from"], values["window.to"]
        found = [row for row in rows if low <= START + dt.timedelta(hours=row) < high]
        return found[: config.cap], {}


def walk(config, model, *, interrupt=None):
    """All rows of a pass; with ``interrupt`` the pager is thrown away and resumed."""
    pager, found, more = pager_for(config, "s.list", upper), [], True
    while more:
        rows, texts = model.answer(config, pager.values())
        facts = PageFacts(
            len(rows),
            str(rows[:1]),
            str(rows[-1:]),
            rows[-1] if rows else None,
            texts.get,
        )
        more = pager.turn(facts)
        if not getattr(pager, "again", False):
            found += rows
        if (
            more
            and interrupt is not None
            and model.pages % interrupt == 0
            and config.resumes
        ):
            state = json.loads(json.dumps(pager.state()))
            pager = pager_for(config, "s.list", upper)
            pager.resume(state)
    return found, pager


CONFIGS = {
    "none": {"kind": "none"},
    "page": {"kind": "page"},
    "page0": {"kind": "page", "first": 0, "total": "total"},
    "offset": {"kind": "offset"},
    "offset with total": {"kind": "offset", "total": "total"},
    "cursor": {"kind": "cursor", "next": "next", "resumable": True},
    "more": {"kind": "more", "token": "next", "next_operation": "More"},
    "last": {"kind": "last", "by": "nr"},
    "window": {
        "kind": "window",
        "from": START.isoformat(),
        "step": "16d",
        "cap": 7,
        "min": 60,
    },
}


@pytest.mark.parametrize("name", CONFIGS)
@given(
    rows=st.sets(st.integers(0, 64 * 24 - 1), max_size=60),
    size=st.integers(1, 20),
    interrupt=st.none() | st.integers(1, 3),
)
def test_every_kind_sees_every_row_once(name, rows, size, interrupt):
    config = PageConfig(**CONFIGS[name], size=size)
    found, pager = walk(config, Model(rows), interrupt=interrupt)
    assert found == sorted(rows)
    assert pager.complete


def test_exactly_the_cap_means_that_rows_were_cut():
    with pytest.raises(ConfigurationError) as caught:
        walk(PageConfig(kind="none", cap=5), Model(range(5)))
    assert caught.value.code == "soap.cap"
    assert walk(PageConfig(kind="none", cap=6), Model(range(5)))[0] == list(range(5))


def test_a_short_page_followed_by_another_means_that_rows_were_skipped():
    """The server gives 5 at most where we ask for 10: rows 5 to 9 are never seen."""
    with pytest.raises(ConfigurationError) as caught:
        walk(PageConfig(kind="page", size=10), Model(range(30), limit=5))
    assert caught.value.code == "soap.cap"


def test_offset_goes_on_by_what_was_received():
    found, _ = walk(PageConfig(kind="offset", size=10), Model(range(30), limit=7))
    assert found == list(range(30))


@pytest.mark.parametrize("kind", ["page", "offset", "none"])
def test_a_total_that_does_not_match_is_not_complete(kind):
    model = Model(range(12))
    config = PageConfig(kind=kind, size=5, total="total")
    pager, more = pager_for(config, "s", upper), True
    while more:
        rows, _ = model.answer(config, pager.values())
        more = pager.turn(
            PageFacts(
                len(rows), str(rows[:1]), str(rows[-1:]), None, {"total": "13"}.get
            )
        )
    assert not pager.complete


def test_a_full_window_is_halved_down_to_the_shortest():
    config = PageConfig(**CONFIGS["window"], size=5)
    crowded = Model([0] * 50)
    with pytest.raises(ConfigurationError) as caught:
        walk(config, crowded)
    assert caught.value.code == "soap.cap"


def test_number_windows_need_an_end():
    config = PageConfig(
        **{"kind": "window", "from": 0, "to": 100, "step": 10, "cap": 50}
    )
    pager = pager_for(config, "s", upper)
    seen = []
    while True:
        values = pager.values()
        seen.append((values["window.from"], values["window.to"]))
        if not pager.turn(PageFacts(1)):
            break
    assert seen == [(n, n + 10) for n in range(0, 100, 10)]
    with pytest.raises(ConfigurationError):
        pager_for(
            PageConfig(**{"kind": "window", "from": 0, "step": 1, "cap": 5}), "s", upper
        )


def test_the_same_cursor_twice_is_a_loop():
    pager = pager_for(PageConfig(kind="cursor", next="n", size=2), "s", upper)
    assert pager.turn(PageFacts(2, "a", "b", None, {"n": "X"}.get))
    with pytest.raises(Rejected) as caught:
        pager.turn(PageFacts(2, "c", "d", None, {"n": "X"}.get))
    assert caught.value.code == "soap.paging-loop"


def test_the_same_page_twice_is_a_loop():
    pager = pager_for(PageConfig(kind="offset", size=2), "s", upper)
    pager.turn(PageFacts(2, "a", "b"))
    with pytest.raises(Rejected) as caught:
        pager.turn(PageFacts(2, "a", "b"))
    assert caught.value.code == "soap.paging-loop"


def test_a_hundred_thousand_pages_are_a_loop():
    guard = LoopGuard("s")
    guard._pages = 100_000
    with pytest.raises(Rejected):
        guard.check(PageFacts(1, "a", "b"), None)


def test_done_ends_more():
    config = PageConfig(
        kind="more", token="t", next_operation="M", done={"path": "d", "equals": True}
    )
    pager = pager_for(config, "s", upper)
    assert pager.turn(PageFacts(1, "a", "a", None, {"t": "1", "d": "false"}.get))
    assert pager.follows_on
    assert not pager.turn(PageFacts(1, "b", "b", None, {"t": "1", "d": "true"}.get))


@pytest.mark.parametrize("name", ["page", "offset", "cursor", "last", "window"])
@pytest.mark.parametrize(
    "state",
    [None, 7, "x", [], {}, {"from": "somewhere-else"}, {"number": -1}, {"cursor": 5}],
)
def test_a_foreign_state_is_refused(name, state):
    pager = pager_for(PageConfig(**CONFIGS[name]), "s", upper)
    with pytest.raises((CursorTooOld, ConfigurationError)):
        pager.resume(state)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "cursor"},
        {"kind": "more", "token": "t"},
        {"kind": "last"},
        {"kind": "window", "from": 1},
        {"kind": "page", "size": 0},
    ],
)
def test_a_kind_needs_its_settings(settings):
    with pytest.raises(ValueError, match=r"."):
        PageConfig(**settings)
