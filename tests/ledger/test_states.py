"""The state machine, cell by cell (delivery 20)."""

from __future__ import annotations

from itertools import product

import pytest

from moatbridge.ledger.states import MOVES, State, check_move

ALLOWED = {
    "PLANNED": "READY IN_FLIGHT HELD CANCELLED REJECTED",
    "READY": "IN_FLIGHT HELD SUPERSEDED CANCELLED PARKED",
    "IN_FLIGHT": "DONE RETRY REJECTED UNKNOWN READY HELD CANCELLED PARKED",
    "RETRY": "READY IN_FLIGHT HELD SUPERSEDED CANCELLED PARKED",
    "UNKNOWN": "IN_FLIGHT DONE READY PARKED",
    "HELD": "PLANNED READY SUPERSEDED CANCELLED",
    "PARKED": "PLANNED READY DONE CANCELLED",
    "DONE": "RETRACTED RETRACT_FAILED",
    "REJECTED": "PLANNED",
    "SUPERSEDED": "",
    "CANCELLED": "",
    "RETRACTED": "",
    "RETRACT_FAILED": "RETRACTED",
}


@pytest.mark.parametrize(
    ("old", "new"), list(product(State, State)), ids=lambda s: s.name
)
def test_every_move_is_allowed_or_raises(old, new):
    if new.name in ALLOWED[old.name].split():
        check_move(old, new)
    else:
        with pytest.raises(
            AssertionError, match=f"illegal transition {old.name} -> {new.name}"
        ):
            check_move(old, new)


def test_every_state_has_its_row():
    assert set(MOVES) == set(State)


def test_what_may_have_touched_the_target_is_never_simply_forgotten():
    """From IN_FLIGHT and UNKNOWN nothing goes back to PLANNED, nor is superseded."""
    for state in (State.IN_FLIGHT, State.UNKNOWN):
        assert not MOVES[state] & {State.PLANNED, State.SUPERSEDED}
    assert State.CANCELLED not in MOVES[State.UNKNOWN]


def test_what_waits_for_a_person_is_left_only_by_a_decision_or_a_newer_one():
    assert MOVES[State.PARKED] == {
        State.PLANNED,
        State.READY,
        State.DONE,
        State.CANCELLED,
    }
    assert State.DONE not in MOVES[State.HELD]
