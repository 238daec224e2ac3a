"""Whatever a run did, taking it back leaves the target as it was (property test)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow.retract_world import FINAL, RetractWorld
from flow.stillness import REQUEST
from moatbridge.resilience.retry import Retry

BACK = REQUEST.__class__(
    dedup="keyed", key_scope="request", max_batch=100, conditional=True,
    retractable=True,
)  # fmt: skip
VALUE = st.sampled_from([None, "1", "2", "x"])
MAIL = st.sampled_from([None, "a@x.example", "b@x.example"])
EDIT = st.one_of(
    st.none(),  # stays as it is
    st.just("gone"),
    st.fixed_dictionaries(
        {"family": st.sampled_from(["L", "M", "N"]), "phone": VALUE, "mail": MAIL}
    ),
)
PLACES = st.lists(EDIT, min_size=6, max_size=6)


def owned(world):
    """What the flow writes, of everybody who is there and enabled."""
    names = ("given", "family", "mail", "phone", "ext")
    return {
        uid: {name: row[name] for name in names}
        for uid, row in world.there().items()
        if row["active"] is not False
    }


def change(world, edits):
    for number, edit in enumerate(edits):
        if edit == "gone":
            world.remove(number)
        elif edit is not None:
            world.put(number, **edit)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=PLACES, second=PLACES, removes=st.booleans())
def test_a_run_and_its_retract_leave_the_target_as_it_was(first, second, removes):
    Retry.__init__.__kwdefaults__["first_wait"] = 0.001
    folder = Path(tempfile.mkdtemp(prefix="moatbridge-retract-"))
    world = RetractWorld(folder, count=3, traits=BACK, flow=FINAL if removes else None)
    try:
        change(world, first)
        world.put(9)  # a source is never empty
        run_of(world)
        before = owned(world)
        change(world, second)
        run = run_of(world)
        after = owned(world)
        report = world.retract(run)
        assert report.not_undone == 0, report.left
        assert owned(world) == before
        assert world.bridge.plan("people").empty
        redone = world.retract(report.run_id)
        assert redone.not_undone == 0, redone.left
        assert owned(world) == after
        assert world.social.doubled() == []
    finally:
        world.bridge.close()
        shutil.rmtree(folder)


def run_of(world):
    plan = world.bridge.plan("people")
    rules = [finding.rule for finding in plan.verdict.findings]
    return world.bridge.apply(plan, confirm=plan.verdict.count, accept=rules).run_id
