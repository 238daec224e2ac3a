"""One life of a process that takes a run back; and what must be true in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crash import world
from moatbridge.flow.retract import planning
from moatbridge.ledger.states import State
from moatbridge.testing import MemorySystem

NEW, CHANGED, GONE = range(40, 60), range(15), range(15, 25)
RUNS_ONLY = "runs-only"
"""A file in a world's folder: its next lives only know how to run the flow."""
FIELDS = ("given", "family", "mail", "active")


def make(folder):
    """Forty people have arrived; a second run created, changed and disabled some."""
    traits = replace(world.KEYED, retractable=True)
    world.make(folder, 40, page=10, traits=traits)
    world.work_small(str(folder))
    before = shown(folder)
    world.mutate(folder, new=NEW, changed=CHANGED, gone=GONE)
    world.work_small(str(folder))
    return before


def shown(folder):
    target = MemorySystem(path=folder / "target.db")
    found = {
        row.data["uid"]: tuple(row.data[name] for name in FIELDS)
        for row in target.all("people")
    }
    target.store.close()
    return found


def work(argument):
    """Take the second run back, or go on with that."""
    planning.PAGE = 10  # several pages, so that a kill falls between two
    if (Path(argument) / RUNS_ONLY).exists():
        run_only(Path(argument))
        return
    with world.open_bridge(Path(argument), parcel=10) as bridge:
        with bridge.ledger.read() as tx:
            run = tx.value("SELECT max(run_id) FROM run WHERE kind='pass'")
        planned = bridge.plan_retract(run)
        confirm = planned.plan.verdict.count if planned.plan else None
        found = bridge.retract(run, confirm=confirm)
        assert found.state == "done", found
        assert found.not_undone == 0, found


def run_only(folder):
    """What a schedule does: it knows of no retract."""
    with world.open_bridge(folder, parcel=10) as bridge:
        assert bridge.run("people").state == "done"


def proof(folder, before):
    """(wrong people, doubled keys, originals not taken back, intents not over)."""
    now = shown(folder)
    wrong = []
    for uid, row in now.items():
        was = before.get(uid)
        active = row[-1] is not False
        right = not active if was is None else row[:-1] == was[:-1] and active
        wrong += [] if right else [uid]
    target = MemorySystem(path=folder / "target.db")
    doubled = target.doubled()
    target.store.close()
    with world.open_bridge(folder) as bridge, bridge.ledger.read() as tx:
        run = tx.value("SELECT max(run_id) FROM run WHERE kind='pass'")
        counted = dict(
            tuple(row)
            for row in tx.all(
                "SELECT coalesce(i.state, p.state), count(*) FROM parcel p "
                "JOIN intent i ON i.parcel_id=p.parcel_id WHERE p.run_id=? GROUP BY 1",
                run,
            )
        )
        left = tx.value("SELECT count(*) FROM parcel WHERE state<10")
    kept = sum(n for state, n in counted.items() if state != State.RETRACTED)
    return wrong, doubled, kept, left
