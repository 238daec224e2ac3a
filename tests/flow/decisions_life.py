"""One life of a worker over replies, in systems that outlive it."""

from __future__ import annotations

from pathlib import Path

from flow.decisions_world import Social, registry, systems, tables
from moatbridge.config import parse
from moatbridge.resilience.crash import crash_point
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter


class Legacy(MemoryAdapter):
    """Says when an effect has happened."""

    name = "memory"

    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        crash_point("target.effect")
        return receipts


class Platform(Social):
    name = "social"

    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        crash_point("target.effect")
        return receipts


def open_bridge(folder):
    found = registry(Platform, Legacy)
    names = {
        name: {"path": str(folder / f"{name}.db")} for name in ("erp", "social", "hr")
    }
    return Bridge(parse(tables(names, folder / "ledger.db"), found), registry=found)


def make(folder):
    """Orders are posted and both flows are agreed to; four replies wait."""
    made = systems(folder)
    made["erp"].put(
        "orders", [{"id": n, "total": "1", "state": "open"} for n in ("4711", "4712")]
    )
    made["hr"].put(
        "people", [{"uid": "a.lovelace", "account": "ada", "role": "approver"}]
    )
    with open_bridge(folder) as bridge:
        bridge.apply(bridge.plan("orders"), confirm=2)
        bridge.apply(bridge.plan("decisions"), confirm=0)
    posts = {
        row.data["content"][6:10]: row.ref.key for row in made["social"].all("posts")
    }
    for ident, text, by, to in (
        ("r1", "approve", "ada", "4711"),
        ("r2", "reject, no", "ada", "4712"),
        ("r3", "approve", "stranger", "4711"),
        ("r4", "thanks", "ada", "4711"),
    ):
        record = {
            "id": ident, "content": text, "attributedTo": by, "inReplyTo": posts[to],
            "audience": {"kind": "org", "refs": []},
        }  # fmt: skip
        made["social"].put("replies", [record])
    for system in made.values():
        system.store.close()


def work(argument):
    """Take the replies, or go on with what a dead worker left."""
    with open_bridge(Path(argument)) as bridge:
        result = bridge.run("decisions")
        assert result.state in {"done", "nothing"}, result


def proof(folder):
    """What is true at rest: decisions and answers by reply, and every effect."""
    made = systems(folder)
    decisions = sorted(
        (r.data["order"], r.data["verdict"]) for r in made["erp"].all("decisions")
    )
    answers = sorted(
        r.data["inReplyTo"] for r in made["social"].all("posts") if r.data["inReplyTo"]
    )
    effects = [
        e for s in ("erp", "social") for e in made[s].effects() if e.op == "create"
    ]
    for system in made.values():
        system.store.close()
    return decisions, answers, len(effects)
