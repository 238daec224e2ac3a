"""Seeded divergences: all of them are found, nothing else is, and a repair mends what can be."""

from __future__ import annotations

import pytest

from flow.reconcile_world import UNMANAGED, Seeded


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    made = Seeded(tmp_path_factory.mktemp("seeded"), count=5_000, wrong=100)
    yield made
    made.bridge.close()


def test_a_hundred_of_five_thousand_are_found_and_none_beside(seeded):
    names, report = seeded.found()
    assert names == seeded.expected
    assert report.counts == dict.fromkeys(seeded.expected, 25)
    assert [one.path for one in report.normalised] == ["name.familyName"]
    assert report.unmanaged == UNMANAGED
    assert report.compared == 5_000 - 25
    assert report.behind == {}


def test_a_repair_mends_what_is_missing_and_changed_and_deletes_nothing(seeded):
    before = len(seeded.social.all("people"))
    _names, report = seeded.found(repair=True)
    plan = report.plan
    assert plan.counts == {"create": 25, "update": 25}
    seeded.bridge.apply(plan, confirm=plan.verdict.count)
    assert len(seeded.social.all("people")) == before + 25
    assert seeded.social.doubled() == []
    names, _report = seeded.found()
    assert names == {
        **seeded.expected, "missing": set(), "changed": set()
    }  # fmt: skip
