"""The first load: nothing leaves before a person has agreed; then all of it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.demo.comparing import doubled, wrong_groups, wrong_people

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage
    from moatbridge.run import Bridge


def play(stage: Stage) -> None:
    """Plan, a refusal, apply, and a comparison with both servers."""
    stage.tell.act("First load: plan, apply, verify by reading the platform directly")
    with stage.world.bridge() as bridge:
        _people(stage, bridge)
        _groups(stage, bridge)
        _verify(stage)
        for flow in ("people", "groups", "profile"):
            again = stage.plan(bridge, flow, show=False)
            if flow == "profile":  # its first run: a person has agreed to nothing yet
                stage.apply(bridge, again)
            stage.tell.expect(f"second look at {flow}: changes planned", 0, again.total)


def _people(stage: Stage, bridge: Bridge) -> None:
    tell, world = stage.tell, stage.world
    plan = stage.plan(bridge, "people")
    tell.expect("people the plan would create", world.size.people, plan.total)
    code = stage.refused(bridge, plan)
    tell.expect("applied without a person's agreement", "refused", _words(code))
    tell.expect(
        "accounts on the platform before anybody agreed",
        0,
        stage.world.social.count_users(),
    )
    result = stage.apply(bridge, plan)
    tell.expect("run of people ended as", "done", result.state)


def _groups(stage: Stage, bridge: Bridge) -> None:
    plan = stage.plan(bridge, "groups", show=False)
    result = stage.apply(bridge, plan)
    stage.tell.expect("run of groups ended as", "done", result.state)


def _verify(stage: Stage) -> None:
    tell, world = stage.tell, stage.world
    with tell.step("read both servers with their own tools and compare"):
        people, teams = world.people(), world.teams()
        accounts, there = world.accounts(), world.social.groups()
    size = world.size
    tell.expect("accounts on the platform", size.people, len(accounts))
    tell.expect("accounts doubled", 0, doubled(accounts.values()))
    tell.expect("accounts with a wrong field", 0, len(wrong_people(people, accounts)))
    tell.expect("groups on the platform", size.groups, len(there))
    wrong = wrong_groups(teams, people, there, accounts)
    tell.expect("groups with wrong members", 0, len(wrong))


def _words(code: str) -> str:
    return "refused" if code else "let through"
