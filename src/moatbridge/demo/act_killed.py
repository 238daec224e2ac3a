"""``kill -9`` in the middle of an apply: nothing lost, nothing doubled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from moatbridge.demo.comparing import doubled
from moatbridge.demo.seed import contractors
from moatbridge.demo.stage import planned
from moatbridge.demo.world import REVIEWER

if TYPE_CHECKING:
    import subprocess

    from moatbridge.demo.stage import Stage
    from moatbridge.flow.plans import Plan

_FLOW: Final = "contractors"
_PATIENCE: Final = 60.0
_LOOK: Final = 0.02
_AGAIN: Final = 75
"""Exit code of ``moatbridge apply``: work is left, run the same command again."""


def play(stage: Stage) -> None:
    """Apply contractors in a child process, kill it, run the same command again."""
    tell, world = stage.tell, stage.world
    tell.act("kill -9 in the middle of an apply")
    before = world.social.count_users()
    every = world.size.contractors
    with world.bridge() as bridge:
        plan = stage.plan(bridge, _FLOW)
        bridge.approve(plan, actor=REVIEWER, confirm=plan.verdict.count)
    tell.expect("contractors the plan would create", f"create {every}", planned(plan))
    with tell.step(f"moatbridge apply {_FLOW}, killed as soon as some have arrived"):
        signal = _kill(stage, plan, before)
    tell.expect("the process ended by signal", 9, signal)
    there = world.social.count_users() - before
    tell.say(f"{there:,} of {every:,} contractors are on the platform")
    tell.confirm("killed in the middle", holds=0 < there < every)
    with tell.step("the same command again, until it says that nothing is left"):
        code = _resume(stage, plan)
    tell.expect("exit status of the resumed apply", 0, code)
    _verify(stage)
    with world.bridge() as bridge:
        again = stage.plan(bridge, _FLOW, show=False)
    tell.expect("planned afterwards", "nothing", planned(again))


def _apply(stage: Stage, plan: Plan) -> subprocess.Popen[bytes]:
    return stage.world.command("apply", _FLOW, plan.digest)


def _kill(stage: Stage, plan: Plan, before: int) -> int:
    """Returns the signal that ended the process; 0 if it ended by itself."""
    process = _apply(stage, plan)
    ends = time.monotonic() + _PATIENCE
    try:
        while stage.world.social.count_users() == before:
            if process.poll() is not None or time.monotonic() > ends:
                break
            time.sleep(_LOOK)
    finally:
        process.kill()
        code = process.wait()
    return max(0, -code)


def _resume(stage: Stage, plan: Plan) -> int:
    ends = time.monotonic() + _PATIENCE
    while True:
        code = _apply(stage, plan).wait(_PATIENCE)
        if code != _AGAIN or time.monotonic() > ends:
            return code


def _verify(stage: Stage) -> None:
    tell, world = stage.tell, stage.world
    with tell.step("read the platform and compare with the HR database's rows"):
        users = world.social.users()
    rows = {row[0]: row for row in contractors(world.size)}
    found = {u["externalId"]: u for u in users if u.get("externalId") in rows}
    missing = len(rows) - len(found)
    wrong = sum(_fields(user) != rows[key][1:] for key, user in found.items())
    tell.expect("contractors missing", 0, missing)
    tell.expect("contractors with a wrong field", 0, wrong)
    tell.expect("accounts doubled", 0, doubled(users))


def _fields(user: dict[str, Any]) -> tuple[Any, ...]:
    urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    name, (mail,) = user["name"], user["emails"]
    return (
        user["userName"], name["givenName"], name["familyName"], mail["value"],
        user.get(urn, {}).get("organization"),
    )  # fmt: skip
