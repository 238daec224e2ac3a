"""A hundred thousand records with a thousand divergences of every kind: all found, none beside."""

from __future__ import annotations

import logging

from flow.reconcile_world import UNMANAGED, Seeded

log = logging.getLogger(__name__)


def test_a_thousand_of_a_hundred_thousand_are_found_and_none_beside(tmp_path):
    world = Seeded(tmp_path, count=100_000, wrong=1_000)
    names, report = world.found()
    log.warning("reconciled 100,000 records in %.1f s", report.seconds)
    assert names == world.expected
    assert report.counts == dict.fromkeys(world.expected, 250)
    assert [one.path for one in report.normalised] == ["name.familyName"]
    assert (report.unmanaged, report.behind) == (UNMANAGED, {})
    _names, repaired = world.found(repair=True)
    world.bridge.apply(repaired.plan, confirm=repaired.plan.verdict.count)
    names, _report = world.found()
    assert names == {**world.expected, "missing": set(), "changed": set()}
    assert world.social.doubled() == []
    world.bridge.close()
