"""What was staged under former settings leaves as the present ones say."""

from __future__ import annotations

import pytest

from flow.stillness import StillWorld

PHONE = "phoneNumbers[type=work].value"


class Narrowed(StillWorld):
    """A flow that may be told to carry no phone numbers any more."""

    narrow = False

    def config(self):
        made = super().config()
        for fields in (s["translator"]["fields"] for s in made["streams"].values()):
            fields.pop("enterprise.manager", None)
        if self.narrow:
            made["streams"]["hr/people"]["translator"]["fields"].pop(PHONE)
        return made


@pytest.fixture
def world(tmp_path, at_once):
    made = Narrowed(tmp_path, count=2)
    yield made
    made.bridge.close()


@pytest.mark.parametrize("agreed", [True, False])
def test_a_path_that_is_carried_no_more_does_not_leave_with_what_was_staged(
    world, agreed
):
    """Creates are not judged again before they leave: only cutting holds it back."""
    if agreed:
        plan = world.bridge.plan("people")
    else:
        world.scan()
    world.narrow = True
    world.reopen()
    if agreed:
        world.bridge.apply(plan.digest, flow="people", confirm=plan.verdict.count)
    else:
        world.drain()
    assert world.states() == {"DONE": 2}
    assert {row["phone"] for row in world.there().values()} == {None}
