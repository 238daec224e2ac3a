"""A nightly file becomes signed events; a damaged one changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moatbridge.demo import seed_content
from moatbridge.demo.stage import done

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_FLOW: Final = "absences"
_FIRST, _SECOND = 15, 4


def play(stage: Stage) -> None:
    """A good file, a damaged one, and a good one after it."""
    tell, world = stage.tell, stage.world
    tell.act("Nightly files from a drop folder (SFTP), as signed webhooks")
    with world.bridge() as bridge:
        stage.apply(bridge, stage.plan(bridge, _FLOW))
    _drop(stage, "ABSENCES_20260601.csv", 0, _FIRST)
    _carry(stage, f"create {_FIRST}")
    _arrived(stage, _FIRST)
    folder = world.files
    tell.expect("files left in the folder", [], folder.names(_FLOW))
    archived = [each.name for each in folder.below(_FLOW, "ABSENCES_20260601*")]
    tell.expect("files in the archive", ["ABSENCES_20260601.csv"], archived)
    _drop(stage, "ABSENCES_20260602.csv", _FIRST, _SECOND, said=_SECOND + 1)
    _carry(stage, "nothing")
    _arrived(stage, _FIRST)
    _failed(stage)
    with world.bridge() as bridge:
        told = [w.detail or w.reason for w in bridge.review(_FLOW)]
        tell.say(f"moatbridge review absences: {', '.join(told)}")
        tell.expect("bad files that wait for a person", 1, len(told))
    _drop(stage, "ABSENCES_20260603.csv", _FIRST, _SECOND)
    _carry(stage, f"create {_SECOND}")
    _arrived(stage, _FIRST + _SECOND)
    tell.expect("deliveries that were not signed right", 0, world.events.refused)


def _drop(
    stage: Stage, name: str, first: int, count: int, *, said: int | None = None
) -> None:
    lie = f", whose control line says {said}" if said is not None else ""
    stage.tell.say(f"the time clock drops {name} with {count} absences{lie}")
    text = seed_content.absences(first, count, said=said)
    stage.world.files.drop(_FLOW, name, text)


def _carry(stage: Stage, expected: str) -> None:
    with stage.world.bridge() as bridge:
        stage.tell.expect("carried", expected, done(stage.run(bridge, _FLOW)))


def _arrived(stage: Stage, count: int) -> None:
    events = list(stage.world.events.events.values())
    stage.tell.expect("events at the receiver", count, len(events))
    kinds = sorted({event["type"] for event in events})
    stage.tell.expect("kinds of events", ["org.example.absence.created"], kinds)


def _failed(stage: Stage) -> None:
    tell, folder = stage.tell, stage.world.files
    bad = [each.name for each in folder.below(_FLOW, "failed/ABSENCES_20260602*")]
    tell.expect(
        "set aside in failed/",
        ["ABSENCES_20260602.csv", "ABSENCES_20260602.csv.why.json"],
        bad,
    )
    (why,) = folder.below(_FLOW, "*.why.json")
    tell.show(json.dumps(json.loads(why.read_text()), indent=2).splitlines())
