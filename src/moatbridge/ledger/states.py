"""The life of an intent, as data (delivery 20).

PLANNED rows hold an *entity* and touch nothing else; admission (to READY or straight to
IN_FLIGHT) writes link, mark and the open slot and freezes the encoded bytes. IN_FLIGHT
is durable before the first byte leaves, so whatever is found IN_FLIGHT after a crash
has an unknown outcome and nothing else has.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """State of a parcel, and of an intent that left its parcel's company.

    Values from 10 on are final; PARKED and HELD wait for a person and never expire by
    pruning.
    """

    PLANNED = 0
    READY = 1
    IN_FLIGHT = 2
    RETRY = 3
    UNKNOWN = 4
    HELD = 5
    PARKED = 6
    DONE = 10
    REJECTED = 11
    SUPERSEDED = 12
    CANCELLED = 13
    RETRACTED = 14
    RETRACT_FAILED = 15


_S = State
MOVES: Final[dict[State, frozenset[State]]] = {
    _S.PLANNED: frozenset({_S.READY, _S.IN_FLIGHT, _S.HELD, _S.CANCELLED, _S.REJECTED}),
    _S.READY: frozenset(
        {_S.IN_FLIGHT, _S.HELD, _S.SUPERSEDED, _S.CANCELLED, _S.PARKED}
    ),
    _S.IN_FLIGHT: frozenset(
        {
            _S.DONE,
            _S.RETRY,
            _S.REJECTED,
            _S.UNKNOWN,
            _S.READY,
            _S.HELD,
            _S.CANCELLED,
            _S.PARKED,
        }
    ),
    _S.RETRY: frozenset(
        {
            _S.READY,
            _S.IN_FLIGHT,
            _S.HELD,
            _S.SUPERSEDED,
            _S.CANCELLED,
            _S.PARKED,
        }
    ),
    _S.UNKNOWN: frozenset({_S.IN_FLIGHT, _S.DONE, _S.READY, _S.PARKED}),
    _S.HELD: frozenset({_S.PLANNED, _S.READY, _S.SUPERSEDED, _S.CANCELLED}),
    _S.PARKED: frozenset({_S.PLANNED, _S.READY, _S.DONE, _S.CANCELLED}),
    _S.DONE: frozenset({_S.RETRACTED, _S.RETRACT_FAILED}),
    _S.REJECTED: frozenset({_S.PLANNED}),
    _S.SUPERSEDED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.RETRACTED: frozenset(),
    _S.RETRACT_FAILED: frozenset({_S.RETRACTED}),
}


def check_move(old: State, new: State) -> None:
    """Raise if the state machine has no such move: that is a bug of ours.

    Raises:
        AssertionError: The move is not in `MOVES`. The flow is stopped and shows
            ``bug`` in its status; it never goes on from an impossible state.
    """
    if new not in MOVES[old]:
        raise AssertionError(f"illegal transition {old.name} -> {new.name}")


class LinkState(IntEnum):
    """State of a link: is the record alive at its owner's side?"""

    PENDING = 0
    """The create has been admitted; the target has not answered yet."""
    LIVE = 1
    DISABLED = 2
    """The record vanished; the target record was disabled (or waits for removal)."""
    REMOVED = 3
