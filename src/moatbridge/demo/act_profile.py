"""A profile edit on the platform goes back to the directory, and is not echoed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.demo.seed import Employee
from moatbridge.demo.stage import done
from moatbridge.demo.world import id_of

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_PERSON: Final = Employee(9)
_MOBILE: Final = "+44 7700 900123"
_LANGUAGE: Final = "pt-BR"


def play(stage: Stage) -> None:
    """Edit, carry back, run both ways again and look for movement."""
    tell, world = stage.tell, stage.world
    tell.act("A profile edit on the platform, written back to the directory")
    account = world.accounts()[id_of(world, _PERSON.dn)]
    with tell.step("a person adds a mobile number and chooses another language"):
        phones = [
            *account.get("phoneNumbers", ()),
            {"type": "mobile", "value": _MOBILE},
        ]
        world.social.edit(
            account["id"], phoneNumbers=phones, preferredLanguage=_LANGUAGE
        )
        edited = world.versions()
    with world.bridge() as bridge:
        tell.expect("written back", "update 1", done(stage.run(bridge, "profile")))
        (entry,) = world.directory.search(_PERSON.dn, "(objectClass=*)").values()
        tell.expect("mobile in the directory", [_MOBILE], entry.get("mobile"))
        tell.expect(
            "language in the directory", [_LANGUAGE], entry["preferredLanguage"]
        )
        tell.expect("desk number untouched", [_PERSON.phone], entry["telephoneNumber"])
        stamp = _stamp(stage)
        for flow in ("people", "profile"):
            result = stage.run(bridge, flow)
            tell.expect(f"echo through {flow}", "nothing", done(result))
    tell.expect("accounts and groups touched by an echo", 0, _touched(stage, edited))
    same = _stamp(stage) == stamp
    tell.confirm("the directory entry is untouched by an echo", holds=same)


def _touched(stage: Stage, before: dict[str, str]) -> int:
    return sum(before.get(key) != v for key, v in stage.world.versions().items())


def _stamp(stage: Stage) -> str:
    found = stage.world.directory.search(_PERSON.dn, "(objectClass=*)", "entryCSN")
    (entry,) = found.values()
    return entry["entryCSN"][0]
