"""The kill loop over a pair of real systems: worker and servers die, the source changes."""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crash import world
from moatbridge.config import parse
from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown
from moatbridge.ledger.states import State
from moatbridge.registry import Registry
from moatbridge.resilience.retry import Retry
from moatbridge.run import Bridge
from moatbridge.testing.killloop import KillLoop

TESTS = str(Path(__file__).resolve().parents[2])
SPANS = (0.05, 0.15, 0.4, 1.0)
"""Longest lives after work began, in seconds."""
KILLS = 4
"""Kills in one round after which lives are twice as long."""
DEATHS = 0.3
"""Share of lives in which a server dies, or stands still."""
REST = 12
"""Lives in which everything must come to rest when nobody kills any more."""
QUIET = 2
"""Lives in a row that find nothing to do: then it is at rest."""
FIRST, NEW, CHANGED, GONE = 60, 15, 10, 5


def configured(folder, source, target):
    """The pair's configuration, as its file would hold it."""
    rules = dict.fromkeys(("creates", "updates", "removals"), 1_000_000)
    words = "crash proof, tests, until 2999-12-31"
    sizes = {**rules, "posts": {"run": 1_000_000, "day": 1_000_000}}
    return {
        "ledger": {
            "url": f"sqlite:///{folder}/ledger.db",
            "parcel": 20,
            "durability": "normal",  # a SIGKILL takes nothing from the system's cache
            "checkpoint": {"records": 20},
        },
        "guard": {**sizes, "four_eyes": False, "loosen": dict.fromkeys(sizes, words)},
        "systems": {"hr": source.system, "app": target.system},
        "streams": {
            "hr/orders" if source.entity == "Post" else "hr/people": source.stream,
            address(target): target.stream,
            **target.more_streams,
        },
        "flows": {
            "pair": {
                "from": "hr/orders" if source.entity == "Post" else "hr/people",
                "to": address(target),
                "reject_limit": {"count": 0},
                **target.flow,
            }
        },
    }


def address(target):
    return "app/posts" if target.entity == "Post" else "app/people"


def warm():
    """What happens before the first fork: retries without pauses, modules loaded."""
    patch = pytest.MonkeyPatch()
    patch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.01)
    patch.setattr("moatbridge.flow.policies.SOON", 0.05)
    patch.setattr("moatbridge.flow.calling.PAUSE", 0.05)


def work(argument):
    """One life. It writes down how it ended; what must not happen ends it badly."""
    folder = Path(argument)
    said = {"state": "", "error": "", "empty": False}
    settings = json.loads((folder / "config.json").read_text())
    registry = Registry()
    try:
        with Bridge(parse(settings, registry), registry=registry) as bridge:
            said["state"], said["empty"] = carry_on(bridge)
    except (NotApplied, OutcomeUnknown) as error:  # a server is gone just now
        said["error"] = f"{error.code}: {error}"
    except MoatbridgeError as error:
        said["error"] = f"!{error.code}: {error}"
    (folder / "ended.json").write_text(json.dumps(said))


def carry_on(bridge):
    """Go on with what a dead worker left, or plan anew; state, nothing was to do."""
    route = bridge.route("pair")
    with bridge.ledger.read() as tx:
        left = world.runs.latest(tx, route.row.flow_id, "planned", "applying")
    plan = world.load_plan(route, bridge.ledger) if left else bridge.plan("pair")
    rules = [finding.rule for finding in plan.verdict.findings]
    done = bridge.apply(plan, confirm=plan.verdict.count, accept=rules)
    return done.state, plan.empty


@dataclass
class Report:
    """What was done to a pair, and what was found in the end."""

    pair: str
    guarantee: str = ""
    kills: int = 0
    lives: int = 0
    rounds: int = 0
    deaths: int = 0
    phases: Counter = field(default_factory=Counter)
    errors: Counter = field(default_factory=Counter)
    story: list = field(default_factory=list)
    records: int = 0
    lost: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    surplus: list = field(default_factory=list)
    doubled: list = field(default_factory=list)
    repeats: int = 0
    unfinished: int = 0
    waiting: list = field(default_factory=list)

    @property
    def clean(self):
        return not (
            self.lost or self.wrong or self.surplus or self.doubled or self.unfinished
        )

    def words(self):
        return (
            f"{self.pair} ({self.guarantee}): {self.kills} kills, {self.deaths} deaths of servers, "
            f"{self.lives} lives, {self.rounds} rounds, {self.records} records: "
            f"lost={len(self.lost)} doubled={len(self.doubled)} wrong={len(self.wrong)} "
            f"surplus={len(self.surplus)} unfinished={self.unfinished} waiting={len(self.waiting)} "
            f"repeats={self.repeats}\n  died after {dict(self.phases.most_common(8))}\n"
            f"  errors {dict(self.errors)}\n  story {' '.join(self.story)}"
        )


class Pair:
    """One source, one target, and the loop that kills.

    Args:
        folder: Empty.
        source: Started.
        target: Started.
        seed: Of chance.
    """

    def __init__(self, folder, source, target, seed):
        self.folder, self.source, self.target = folder, source, target
        self.chance = random.Random(seed)
        self.report = Report(f"{source.name} -> {target.name}")
        self.truth, self.high, self.turn = {}, 0, 0
        self.gone = {}
        os.environ.update(source.secrets | target.secrets)
        self.settings = configured(folder, source, target)
        (folder / "config.json").write_text(json.dumps(self.settings))

    def run(self, kills):
        """Rounds of changes and lives until so many kills, then the rest."""
        self.change(new=FIRST)
        self.report.guarantee = self.guarantee()
        with self.workers() as loop:
            while self.report.kills < kills:
                self.round(loop, kills)
                self.change(new=NEW, changed=CHANGED, gone=GONE)
            self.come_to_rest(loop)
        self.compare()
        return self.report

    def workers(self):
        return KillLoop(
            "torture.pairs.loop:work",
            folder=self.folder,
            path=[TESTS],
            prepare="torture.pairs.loop:warm",
        )

    def change(self, *, new, changed=0, gone=0):
        self.turn += 1
        self.report.story.append(f"CHANGE {self.turn}")
        left = self.chance.sample(sorted(self.truth), changed + gone)
        made = [self.key(n) for n in range(self.high, self.high + new)]
        self.high += new
        put = {key: f"w{self.turn}{key[-6:]}" for key in (*made, *left[gone:])}
        self.source.change(put, left[:gone])
        self.truth |= put
        for key in left[:gone]:
            del self.truth[key]
            self.gone[key] = self.turn

    def key(self, number):
        return f"PO-{number:06}" if self.source.entity == "Post" else f"u{number:06}"

    def round(self, loop, kills):
        self.report.rounds += 1
        killed = 0
        while self.report.kills < kills:
            span = self.chance.choice(SPANS) * 2 ** (killed // KILLS)
            life = self.life(
                loop, after=self.chance.uniform(0.0005, span), dying=self.dying()
            )
            if not life.killed and self.ended(life)["state"] in {"done", "nothing"}:
                return
            killed += life.killed

    def dying(self):
        ends = [self.source, self.target]
        return self.chance.choice(ends) if self.chance.random() < DEATHS else None

    def life(self, loop, *, after=None, at=None, dying=None):
        (self.folder / "ended.json").unlink(missing_ok=True)
        after_death = self.chance.uniform(0.02, 0.5)
        timer = threading.Timer(after_death, self.die, [dying]) if dying else None
        if timer:
            timer.start()
        life = loop.life(str(self.folder), after=after, at=at, limit=180)
        if timer:
            timer.join()
        self.report.lives += 1
        self.report.kills += life.killed
        if life.killed:
            self.report.phases[life.phase] += 1
            self.report.story.append(life.phase)
        world.expire_leases(self.folder)
        return life

    def die(self, end):
        self.report.deaths += bool(end.die(self.chance))

    def ended(self, life):
        assert life.status == 0, f"the worker failed after {life.phase}"
        said = json.loads((self.folder / "ended.json").read_text())
        self.report.story.append(said["error"].partition(":")[0] or said["state"])
        if said["error"]:
            self.report.errors[said["error"][:160]] += 1
        return said

    def come_to_rest(self, loop):
        quiet = 0  # the first may only have ended a pass that began before the change
        for _ in range(REST):
            said = self.ended(self.life(loop))
            quiet = quiet + 1 if said["empty"] and not self.open_items() else 0
            if quiet == QUIET:
                return
        self.report.errors["it never came to rest"] += 1

    def open_items(self):
        with closing(world.look(self.folder)) as ledger:
            return sum(
                ledger.execute(sql).fetchone()[0]
                for sql in (
                    f"SELECT count(*) FROM parcel WHERE state<{State.DONE:d}",
                    "SELECT count(*) FROM open",
                )
            )

    def opened(self):
        registry = Registry()
        return Bridge(parse(self.settings, registry), registry=registry)

    def guarantee(self):
        from moatbridge.run.checking import check

        with self.opened() as bridge:
            [flow] = check(bridge).flows
        assert flow.problem is None, flow.problem
        return flow.guarantee

    def compare(self):
        """Source, target and ledger, record by record."""
        there, report = self.target.found(), self.report
        report.records = len(self.truth)
        report.lost = sorted(self.truth.keys() - there.words)
        report.surplus = [
            f"{key}, gone since change {self.gone.get(key)}"
            for key in sorted(there.words.keys() - self.truth)
        ]
        report.wrong = sorted(
            key for key in self.truth.keys() & there.words
            if self.truth[key] != there.words[key]
        )  # fmt: skip
        report.doubled, report.repeats = sorted(there.doubled), there.repeats
        report.unfinished = self.open_items()
        with self.opened() as bridge:
            report.waiting = [f"{w.kind} {w}" for w in bridge.review("pair")]
