"""120 random SIGKILLs: nothing lost, nothing doubled; and controls that must be caught."""

from __future__ import annotations

import logging

from crash import loop, world


def test_120_random_kills_over_8_000_records_lose_and_double_nothing(tmp_path):
    world.make(tmp_path, 4000)
    report, proof = loop.run(tmp_path, kills=120, records=8000, first=4000)
    logging.getLogger(__name__).warning(report.words(proof))
    assert report.kills >= 120
    assert proof.records == 8000
    assert proof.lost == []
    assert proof.doubled == []
    assert proof.wrong == []
    assert proof.surplus == 0
    assert proof.unfinished == 0
    assert proof.links == proof.records
    assert report.replays(proof) > 0, (
        "no kill fell between an effect and its settlement"
    )
    assert report.replays(proof) <= report.kills * 100, "a kill repeats one parcel"
    assert len(report.phases) >= 6, (
        f"the kills fell into too few phases: {report.phases}"
    )


def test_control_marking_before_the_call_loses_records_and_is_caught(tmp_path):
    world.make(tmp_path, 3000)
    report, proof = loop.run(
        tmp_path,
        kills=40,
        records=5000,
        first=3000,
        work="work_marking_first",
    )
    logging.getLogger(__name__).warning(report.words(proof))
    assert report.kills >= 40
    assert proof.lost


def test_control_a_target_without_keys_doubles_records_and_is_caught(tmp_path):
    world.make(tmp_path, 2000, traits=world.UNKEYED)
    report, proof = loop.run(
        tmp_path,
        kills=40,
        records=4000,
        first=2000,
        work="work_resending",
    )
    logging.getLogger(__name__).warning(report.words(proof))
    assert report.kills >= 40
    assert proof.doubled
    assert not proof.lost
