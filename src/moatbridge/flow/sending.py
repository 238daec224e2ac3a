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
from moatbridge.flow.thawing import thaw
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import WriteTraits
    from moatbridge.changes import Receipt
    from moatbridge.errors import MoatbridgeError
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.resilience.session import Session


@dataclass(slots=True)
class Sent:
    """What the calls of a parcel came to.

    Args:
        receipts: Position -> (receipt, number of the call that it answers).
        failure: What ended the calls early, if something did.
        calls: How many calls were made.
    """

    receipts: dict[int, tuple[Receipt, int]] = field(default_factory=dict)
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
    items: Sequence[Item],
    *,
    traits: WriteTraits,
    go_on: Callable[[], bool],
) -> Sent:
    """Send a parcel that is in flight, call by call.

    Args:
        target: An open session.
        stream: Local name of the target stream.
        parcel: The parcel, with the fence and the attempt that it flies under.
        items: Its open intents, in order.
        traits: What the target promises.
        go_on: Asked between two calls; what is left when it says no was never sent.
    """
    sent, size = Sent(), max(1, traits.max_batch)
    left = [items[at : at + size] for at in range(0, len(items), size)][::-1]
    while left:
        part = left.pop()
        if sent.calls and not go_on():
            break
        answers, sent.failure = _ask(target, stream, parcel, part)
        number, sent.calls = sent.calls, sent.calls + 1
        if traits.atomic_batch and len(part) > 1 and _refused_whole(answers):
            half = (len(part) + 1) // 2
            left += [part[half:], part[:half]]  # nothing of it took effect
            continue
        for item, receipt in zip(part, answers, strict=True):
            sent.receipts[item.pos] = (receipt, number)
        if sent.failure is not None:
            break
    return sent


def _ask(
    target: Session, stream: str, parcel: Parcel, part: Sequence[Item]
) -> tuple[Sequence[Receipt], MoatbridgeError | None]:
    fence = parcel.fence or 0
    intents = [thaw(i, fence=fence, attempt=parcel.attempt)[0] for i in part]
    crash_point("send.half")
    return call(target, stream, intents)


def _refused_whole(answers: Sequence[Receipt]) -> bool:
    return all(receipt.outcome == "rejected" for receipt in answers)
