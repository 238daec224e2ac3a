"""A day of changes on the legacy side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.demo import seed
from moatbridge.demo.comparing import doubled, wrong_groups, wrong_people
from moatbridge.demo.seed import Employee
from moatbridge.demo.servers import ldif
from moatbridge.demo.world import flat, id_of

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_HIRES: Final = 3
_WRITTEN: Final = _HIRES + 5
"""Hires, two renames, a move, a leaver, a phone number."""
_RENAMED: Final = Employee(5)
_NEW_LOGIN: Final = Employee(6)
_MOVED: Final = Employee(7)
_CLEARED: Final = Employee(8)
_NEW_UNIT: Final = seed.unit(40)


@dataclass(frozen=True, slots=True)
class _Ids:
    """externalIds, taken before the day began."""

    renamed: str
    login: str
    moved: str
    leaver: str
    cleared: str


def play(stage: Stage) -> None:
    """Change the directory, carry it over, compare."""
    tell, world = stage.tell, stage.world
    tell.act("A day of changes in the directory")
    leaver = Employee(world.size.people - 1)
    ids = _Ids(*(id_of(world, each.dn) for each in _concerned(leaver)))
    before = world.accounts()
    with tell.step("3 hires, 2 renames, a move to another unit, a leaver, a number"):
        world.directory.change(*_records(world.size.people))
        world.directory.delete([leaver.dn])
    with world.bridge() as bridge:
        plan = stage.plan(bridge, "people")
        tell.say(
            "The changes include people whose manager's entry got another name: they "
            "are looked at, and written only if something is really different."
        )
        tell.expect("hires planned", _HIRES, plan.counts.get("create"))
        tell.expect("leavers planned", 1, plan.counts.get("disable"))
        tell.expect("verdict on an ordinary day", "pass", plan.verdict.decision)
        versions = world.versions()
        tell.expect("run of people ended as", "done", stage.apply(bridge, plan).state)
        tell.expect("accounts written", _WRITTEN, _touched(stage, versions))
        versions = world.versions()
        tell.expect("run of groups ended as", "done", stage.run(bridge, "groups").state)
        tell.expect("groups written (the leaver's)", 1, _touched(stage, versions))
    _verify(stage, ids, before)


def _concerned(leaver: Employee) -> tuple[Employee, ...]:
    return _RENAMED, _NEW_LOGIN, _MOVED, leaver, _CLEARED


def _records(first: int) -> list[str]:
    hires = [Employee(first + n) for n in range(_HIRES)]
    return [
        *(ldif.entries([hire.entry(Employee(1))]) for hire in hires),
        ldif.change(_RENAMED.dn, sn=["Öztürk-Nakamura"], cn=["Öztürk-Nakamura"]),
        ldif.rename(_NEW_LOGIN.dn, "uid=new.login"),
        ldif.rename(_MOVED.dn, f"uid={_MOVED.uid}", parent=_NEW_UNIT),
        ldif.change(
            f"uid={_MOVED.uid},{_NEW_UNIT}", departmentNumber=[Employee(40).department]
        ),
        ldif.change(_CLEARED.dn, telephoneNumber=[]),
    ]


def _touched(stage: Stage, before: dict[str, str]) -> int:
    return sum(before.get(key) != v for key, v in stage.world.versions().items())


def _verify(stage: Stage, ids: _Ids, before: dict[str, dict[str, str]]) -> None:
    tell, world = stage.tell, stage.world
    with tell.step("read both servers and compare"):
        people, teams = world.people(), world.teams()
        after, there = world.accounts(), world.social.groups()
    size = world.size.people + _HIRES
    tell.expect("accounts on the platform", size, len(after))
    tell.expect("accounts doubled", 0, doubled(after.values()))
    tell.expect("accounts with a wrong field", 0, len(wrong_people(people, after)))
    wrong = wrong_groups(teams, people, there, after)
    tell.expect("groups with wrong members", 0, len(wrong))
    same = all(before[key]["id"] == after[key]["id"] for key in before)
    tell.confirm("renamed and moved people keep their accounts", holds=same)
    name = flat(after[ids.renamed])["sn"]
    tell.expect("family name after the wedding", "Öztürk-Nakamura", name)
    tell.expect("login after the rename", "new.login", after[ids.login]["userName"])
    unit = flat(after[ids.moved])["departmentNumber"]
    tell.expect("department after the move", Employee(40).department, unit)
    tell.expect("the leaver's account", "disabled", _state(after[ids.leaver]))
    phone = flat(after[ids.cleared])["telephoneNumber"]
    tell.expect("the cleared phone number", None, phone)


def _state(account: dict[str, object]) -> str:
    return "disabled" if account.get("active") is False else "enabled"
