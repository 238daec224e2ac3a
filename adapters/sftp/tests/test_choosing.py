"""Which files are data, in which order, what is missing, and how long they lay still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moatbridge_sftp.config import SftpStreamConfig
from moatbridge_sftp.pickup.choosing import Choice, gap, late, order_of
from moatbridge_sftp.pickup.sighting import Sightings
from moatbridge_sftp.storage import Entry
from servers.drop_folder import PEOPLE

if TYPE_CHECKING:
    from moatbridge_sftp.storage.base import Kind


def entry(name: str, kind: Kind = "file", *, mtime: int = 100) -> Entry:
    return Entry(name, name.encode(), kind, 10, mtime, 0o644)


def choice(**settings: Any) -> Choice:
    return Choice(SftpStreamConfig.model_validate({**PEOPLE, **settings}))


def names(found: Any) -> list[str]:
    return [one.file.name for one in found.files]


def test_only_plain_files_that_match_are_data() -> None:
    entries = [
        entry("b.csv"), entry("a.csv"), entry("c.txt"), entry("up.csv.part"),
        entry(".hidden.csv"), entry("folder.csv", "folder"), entry("link.csv", "link"),
        entry("pipe.csv", "other"), entry("B.CSV"),
    ]  # fmt: skip
    assert names(choice().candidates(entries)) == ["a.csv", "b.csv"]


def test_trigger_and_side_files_are_no_data() -> None:
    entries = [entry("a.csv"), entry("a.done"), entry("a.csv.sha256"), entry("b.md5")]
    found = choice(files="*", ripe="done-file").candidates(entries)
    assert names(found) == ["a.csv", "b.md5"], "b.md5 has no data file beside it"
    assert found.files[0].trigger == "a.done"
    assert found.files[0].side == ("a.csv.sha256",)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", ["x10.csv", "x9.csv", "x9b.csv"]),
        ("mtime", ["x9.csv", "x9b.csv", "x10.csv"]),
        ({"group": r"(\d+)", "as": "int"}, ["x9.csv", "x9b.csv", "x10.csv"]),
    ],
)
def test_files_are_sorted_before_any_is_taken(order: Any, expected: list[str]) -> None:
    entries = [
        entry("x10.csv", mtime=9), entry("x9b.csv", mtime=5), entry("x9.csv", mtime=5)
    ]  # fmt: skip
    assert names(choice(order=order).candidates(entries)) == expected


def test_a_name_without_an_order_value_is_reported() -> None:
    found = choice(order={"group": r"(\d{8})", "as": "date"}).candidates(
        [entry("a20260131.csv"), entry("a20261331.csv"), entry("a.csv")]
    )
    assert names(found) == ["a20260131.csv"]
    assert found.odd == ["a.csv", "a20261331.csv"]


def test_a_set_is_whole_when_every_pattern_has_a_file() -> None:
    rule = choice(files=["head_*", "detail_*"], together="all")
    head = rule.candidates([entry("head_1")]).files
    both = rule.candidates([entry("head_1"), entry("detail_1")]).files
    assert not rule.whole(head)
    assert rule.whole(both)


@pytest.mark.parametrize(
    ("last", "number", "every", "expected"),
    [
        (None, "0007", None, None),
        ("0007", "0008", None, None),
        ("0007", "0007", None, None),
        ("0007", "0009", None, ("0008", False)),
        ("0007", "0005", None, ("0008", True)),
        ("9", "10", None, None),
        ("20260131", "20260201", 86400.0, None),
        ("20260131", "20260202", 86400.0, ("2026-02-01", False)),
        ("20260131", "20260130", 86400.0, ("2026-02-01", True)),
        ("20260131", "20260207", 7 * 86400.0, None),
    ],
)
def test_a_gap_in_numbers_or_dates_is_seen(
    last: str | None, number: str, every: float | None, expected: Any
) -> None:
    found = gap(last, number, every=every)
    assert (found and (found.expected, found.late)) == expected


def test_a_file_before_one_that_is_done_is_late() -> None:
    assert late("b.csv", "a.csv")
    assert not late("b.csv", "b.csv")
    assert not late(None, "a.csv")
    assert not late(5, "a.csv"), "the order rule changed: nothing can be said"


def test_order_of_a_group_that_did_not_take_part_is_none() -> None:
    config = SftpStreamConfig.model_validate(
        {**PEOPLE, "order": {"group": r"a(\d)?", "as": "int"}}
    )
    assert order_of(config.order, "a", 0) is None


class Clock:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.wall = 1_700_000_000.5

    def sightings(self) -> Sightings:
        return Sightings(steady=lambda: self.steady, wall=lambda: self.wall)


def test_age_counts_from_the_first_sighting_in_this_connection() -> None:
    clock = Clock()
    seen = clock.sightings()
    ages, first = seen.ages([b"a"], {})
    assert ages == {b"a": 0.0}
    clock.steady += 31
    assert seen.ages([b"a"], first)[0] == {b"a": 31.0}


def test_age_counts_across_runs_by_the_wall_clock_and_never_too_much() -> None:
    clock = Clock()
    _, first = clock.sightings().ages([b"a"], {})
    clock.wall += 31
    ages, again = clock.sightings().ages([b"a"], first)
    assert 30.0 <= ages[b"a"] <= 31.0
    assert again == first


def test_a_wall_clock_that_is_set_back_makes_nothing_ripe() -> None:
    clock = Clock()
    _, first = clock.sightings().ages([b"a"], {})
    clock.wall -= 3600
    assert clock.sightings().ages([b"a"], first)[0] == {b"a": 0.0}


def test_a_wall_clock_set_forward_does_not_matter_within_a_connection() -> None:
    clock = Clock()
    seen = clock.sightings()
    _, first = seen.ages([b"a"], {})
    clock.wall += 3600
    clock.steady += 1
    assert seen.ages([b"a"], first)[0] == {b"a": 1.0}


def test_a_file_that_vanished_and_came_back_starts_anew() -> None:
    clock = Clock()
    seen = clock.sightings()
    seen.ages([b"a"], {})
    clock.steady += 60
    seen.ages([], {})
    assert seen.ages([b"a"], {})[0] == {b"a": 0.0}
