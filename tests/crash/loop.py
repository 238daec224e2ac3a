"""The kill loop over a world: random kills, rounds of changes, and what was seen."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from crash import world
from moatbridge.testing.killloop import KillLoop

TESTS = str(Path(__file__).resolve().parents[1])
SPANS = (0.02, 0.05, 0.15, 0.3)
"""Longest lives after work began, in seconds: one of them is drawn for each life."""
KILLS = 12
"""Kills in one round after which lives are twice as long."""
EARLY = 0.05
"""Share of lives that may be killed while the worker still opens its ledger."""


@dataclass
class Report:
    """What a loop did."""

    kills: int = 0
    lives: int = 0
    rounds: int = 0
    phases: Counter = field(default_factory=Counter)
    passed: dict = field(default_factory=dict)
    removed: list = field(default_factory=list)

    def replays(self, proof):
        """Repeated intents that the target's keys absorbed."""
        return self.passed.get("target.effect", 0) - proof.effects

    def words(self, proof):
        return (
            f"{self.kills} kills in {self.lives} lives and {self.rounds} rounds over {proof.records} records: "
            f"lost={len(proof.lost)} doubled={len(proof.doubled)} wrong={len(proof.wrong)} "
            f"surplus={proof.surplus} unfinished={proof.unfinished} replays absorbed={self.replays(proof)}\n"
            f"died after: {dict(self.phases.most_common())}"
        )


def open_loop(folder, work="work"):
    return KillLoop(
        f"crash.world:{work}", folder=folder, path=[TESTS], prepare="crash.world:warm"
    )


def run(
    folder,
    *,
    kills,
    records,
    first,
    step=2000,
    work="work_loaded",
    seed=1,
    spans=SPANS,
):
    """Deliver ``records`` in rounds under ``kills`` random kills, then come to rest."""
    chance = random.Random(seed)
    report = Report()
    high = first
    with open_loop(folder, work) as loop:
        _round(loop, folder, report, kills, chance, spans)
        while high < records or report.kills < kills:
            new = range(high, min(high + step, records))
            # What is through is changed again, and nobody goes twice.
            turn, block = divmod(report.rounds, records // 300)
            low = block * 300
            changed = range(low, low + 200)
            gone = range(low + 200, low + (200 if turn else 240))
            world.mutate(folder, new=new, changed=changed, gone=gone, turn=turn)
            report.removed += gone
            high = max(high, new.stop)
            _round(loop, folder, report, kills, chance, spans)
        report.passed = loop.passed()
    return report, world.prove(folder, report.removed)


def _round(loop, folder, report, kills, chance, spans):
    """Lives until one ends by itself: its work was done."""
    report.rounds += 1
    killed = 0
    while True:
        report.lives += 1
        # A slow machine gets longer lives, or all kills would fall into the beginning.
        after = (
            chance.uniform(0.0005, chance.choice(spans)) * 2 ** (killed // KILLS)
            if report.kills < kills
            else None
        )
        life = loop.life(
            str(folder),
            after=after,
            early=after is not None and chance.random() < EARLY,
        )
        if not life.killed:
            assert life.status == 0, f"the worker failed after {life.phase}"
            return
        killed += 1
        report.kills += 1
        report.phases[life.phase] += 1
        world.expire_leases(folder)
