"""Two disasters in the directory, both stopped before any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.demo.seed import PEOPLE, empty_unit
from moatbridge.demo.servers import ldif
from moatbridge.demo.stage import planned

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_SHARE: Final = 0.4


def play(stage: Stage) -> None:
    """Empty the unit; then delete 40 % of the people; restore after each."""
    tell, world = stage.tell, stage.world
    tell.act("Disasters, stopped before any effect")
    before = world.versions()
    backup = world.directory.backup()
    with tell.step("somebody renames ou=people; an empty one takes its place"):
        world.directory.change(
            ldif.rename(PEOPLE, "ou=people-old"), ldif.entries([empty_unit(PEOPLE)])
        )
    _stopped(stage, "the unit reads empty", "stop", before)
    with tell.step("restore the directory from its backup"):
        world.directory.restore(backup)
    people = sorted(world.people())
    lost = people[: int(len(people) * _SHARE)]
    with tell.step(f"a script deletes {len(lost):,} of {len(people):,} people"):
        world.directory.delete(lost)
    _stopped(stage, "40 % of the people are gone", "approve", before)
    with tell.step("restore the directory from its backup"):
        world.directory.restore(backup)
    with world.bridge() as bridge:
        plan = stage.plan(bridge, "people", show=False)
        tell.expect("planned after the restore", "nothing", planned(plan))


def _stopped(stage: Stage, what: str, verdict: str, before: dict[str, str]) -> None:
    tell, world = stage.tell, stage.world
    with world.bridge() as bridge:
        plan = stage.plan(bridge, "people", show=False)
        for finding in plan.verdict.deciding:
            tell.say(f"guard: {finding.rule}: this plan {finding.sentence}")
        tell.expect(f"{what}: verdict", verdict, plan.verdict.decision)
        for confirm in (None, plan.verdict.count):
            words = "without" if confirm is None else "with"
            refused = bool(stage.refused(bridge, plan, confirm=confirm))
            tell.confirm(f"{what}: refused {words} the number typed", holds=refused)
    touched = sum(before.get(key) != v for key, v in world.versions().items())
    tell.expect(f"{what}: accounts and groups touched", 0, touched)
