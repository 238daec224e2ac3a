"""The calls of one parcel, and what each intent was answered.

A parcel goes out in calls of at most ``max_batch`` intents. A call that an atomic
target refuses as a whole is cut in two until the guilty intents stand alone: the others
must not suffer for them (delivery 23). Keys stay as they are, and the cuts are always
the same, so a repeat after a crash sends the same calls again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moatbridge.flow.calling import call
from moatbridge.flow.thawing import aboard, thaw
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import WriteTraits
    from moatbridge.changes import Receipt
    from moatbridge.errors import MoatbridgeError
    from moatbridge.flow.departing import Boarded
    from moatbridge.flow.thawing import Thawed
    from moatbridge.ledger.parcels import Parcel
    from moatbridge.resilience.session import Session


@dataclass(slots=True)
class Sent:
    """What the calls of a parcel came to.

    Args:
        receipts: Position -> (receipt, number of the call that it answers).
        thawed: Position -> what was sent, and what is kept beside it.
        failure: What ended the calls early, if something did.
        calls: How many calls were made.
    """

    receipts: dict[int, tuple[Receipt, int]] = field(default_factory=dict)
    thawed: dict[int, Thawed] = field(default_factory=dict)
    failure: MoatbridgeError | None = None
    calls: int = 0

    @property
    def started(self) -> set[int]:
        """Positions whose call began; all others took no effect."""
        return set(self.receipts)


def send(
    target: Session,
    stream: str,
    parcel: Parcel,
    flying: Boarded,
    *,
    traits: WriteTraits,
    go_on: Callable[[], bool],
) -> Sent:
    """Send a parcel that is in flight, call by call.

    Args:
        target: An open session.
        stream: Local name of the target stream.
        parcel: The parcel, with the fence and the attempt that it flies under.
        flying: Its open intents, in order.
        traits: What the target promises.
        go_on: Asked between two calls; what is left when it says no was never sent.
    """
    sent, size = Sent(), max(1, traits.max_batch)
    left = [flying[at : at + size] for at in range(0, len(flying), size)][::-1]
    while left:
        part = left.pop()
        if sent.calls and not go_on():
            break
        answers, sent.failure = _ask(target, stream, parcel, part, sent.thawed)
        number, sent.calls = sent.calls, sent.calls + 1
        if traits.atomic_batch and len(part) > 1 and _refused_whole(answers):
            half = (len(part) + 1) // 2
            left += [part[half:], part[:half]]  # nothing of it took effect
            continue
        for (item, _parts), receipt in zip(part, answers, strict=True):
            sent.receipts[item.pos] = (receipt, number)
        if sent.failure is not None:
            break
    return sent


def _ask(
    target: Session,
    stream: str,
    parcel: Parcel,
    part: Boarded,
    thawed: dict[int, Thawed],
) -> tuple[Sequence[Receipt], MoatbridgeError | None]:
    fence, attempt = parcel.fence or 0, parcel.attempt
    found = [
        thaw(item, fence=fence, attempt=attempt)
        if parts is None or item.pos in thawed  # sent before: whoever got it had it
        else aboard(item, parts, fence=fence, attempt=attempt)
        for item, parts in part
    ]
    thawed.update(zip([item.pos for item, _parts in part], found, strict=True))
    crash_point("send.half")
    return call(target, stream, [intent for intent, _noted in found])


def _refused_whole(answers: Sequence[Receipt]) -> bool:
    return all(receipt.outcome == "rejected" for receipt in answers)
