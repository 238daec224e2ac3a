"""How the flows are doing, for people: pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moatbridge.cli.show_let_go import let_go_lines
from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.guard import Kill
    from moatbridge.ledger.tries import NextTry
    from moatbridge.run.retract_status import RetractStatus
    from moatbridge.run.status import (
        FlowStatus,
        PartitionStatus,
        PassStatus,
        Status,
        WorkerStatus,
    )

_DAY: Final = 86400
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def status_lines(found: Status) -> Iterator[str]:
    """Alarms and kill switches first, then the workers, then one block a flow."""
    for alarm in found.alarms:
        yield f"ALARM: {clean(alarm, 400)}"
    for kill in found.kills:
        yield f"SWITCHED OFF: {clean(kill.scope)}, by {_who(kill)}"
    for worker in found.workers:
        yield _worker(worker)
    for flow in found.flows:
        yield from _flow(flow, found)
    if not found.flows:
        yield "No flow is configured."


def _worker(worker: WorkerStatus) -> str:
    lost = f", {worker.lost} lost" if worker.lost else ""
    seen = f"seen {ago(worker.seen)} ago" if worker.alive else "not seen any more"
    return (
        f"Worker {clean(worker.owner)}: zones {clean(', '.join(worker.zones))}; "
        f"{worker.busy} of {worker.slots} slots busy{lost}; up {ago(worker.up)}, {seen}"
    )


def _who(kill: Kill) -> str:
    return f"{clean(kill.actor)}: {clean(kill.reason)}"


def ago(seconds: float) -> str:
    """``3 min``, ``2 h``: whole units, as people say it."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def moment(posix: float) -> str:
    """A POSIX time as UTC, to the second."""
    return datetime.fromtimestamp(posix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def due(at: float, seconds: float) -> str:
    """``at 14:32:05 UTC, in 40 s``; ``now`` if it is due. The day, if not within one.

    Args:
        at: POSIX seconds.
        seconds: Until then.
    """
    if seconds < 1:
        return "now"
    whole = moment(at)
    clock = whole if seconds >= _DAY else whole.partition(" ")[2]
    return f"at {clock}, in {ago(seconds)}"


def try_lines(flow: str, found: NextTry | None, options: str = "") -> Iterator[str]:
    """When what could not be delivered is tried again, and by what.

    Args:
        flow: Name.
        found: What waits; None if nothing does.
        options: What a suggested command must repeat.
    """
    if found is None:
        return
    command = f"`moatbridge run {flow} --once{options}`"
    why = f" ({clean(found.error)})" if found.error else ""
    if found.at is not None:
        count = _changes(found.changes - found.blocked)
        yield (
            f"{count}{why}; next try {due(found.at, found.seconds)}: {command} then, "
            f"or `moatbridge run {flow}{options}` keeps trying"
        )
    if found.blocked:
        count = _changes(found.blocked)
        yield (
            f"{count} until somebody sees to it, for it was tried too often; then "
            f"{command}"
        )


def _tries(flow: FlowStatus, kills: Iterable[Kill]) -> Iterator[str]:
    system = flow.target.partition("/")[0]
    scopes = {"all", f"flow:{flow.flow}", f"system:{system}"}
    off = next((kill for kill in kills if kill.scope in scopes), None)
    if off is None:
        yield from try_lines(flow.flow, flow.next_try)
    elif flow.next_try is not None:
        yield (
            f"{_changes(flow.next_try.changes)} until sending is switched on again "
            f"({clean(off.scope)})"
        )


def _changes(number: int) -> str:
    return "1 change waits" if number == 1 else f"{number:,} changes wait"


def _flow(flow: FlowStatus, found: Status) -> Iterator[str]:
    yield f"Flow {flow.flow}: {flow.source} -> {flow.target}"
    if flow.bug:
        yield f"  STOPPED   an impossible state was met: {clean(flow.bug)}"
    yield f"  last pass {_pass(flow.last_pass)}"
    if flow.live_run is not None:
        yield f"  live      run {flow.live_run}"
    yield from _retract(flow.retract)
    yield f"  linked    {flow.links:,} records on both sides"
    if flow.open:
        counts = ", ".join(f"{n:,} {state}" for state, n in flow.open.items())
        yield f"  open      {counts}"
    if flow.oldest_unsent is not None:
        yield f"  unsent    the oldest change waits for {ago(flow.oldest_unsent)}"
    yield from (f"  next try  {line}" for line in _tries(flow, found.kills))
    yield from _waiting(flow)
    yield from (f"  guard     {line} in 24 h" for line in let_go_lines(flow.let_go))
    if flow.expired:
        yield (
            f"  expired   {flow.expired:,} held for too long in 30 days, not sent "
            f"(moatbridge review {flow.flow})"
        )
    for notice in flow.notices:
        yield f"  notice    {moment(notice.at)}: {clean(notice.words, 400)}"
    for partition in flow.partitions:
        yield from _partition(partition, found.now)
    yield ""


def _pass(found: PassStatus | None) -> str:
    if found is None:
        return "never"
    verdict = f", verdict {found.decision}" if found.decision else ""
    state = {"nothing": "nothing new to read"}.get(found.state, found.state)
    return f"run {found.run}, {moment(found.created)}: {state}{verdict}"


def _retract(found: RetractStatus | None) -> Iterator[str]:
    if found is None:
        return
    from moatbridge.flow.retract.reasons import WORDS  # noqa: PLC0415 - brings SQL

    state = {"planned": "waits for a person", "applying": "not finished"}
    facts = [f"run {found.run} takes back run {found.of}"]
    facts += [state[found.state]] if found.state in state else []
    facts += [f"{found.undone:,} undone"] if found.undone else []
    facts += [f"{found.open:,} to do"] if found.open else []
    facts += [
        f"{n:,} not ({WORDS.get(why, why)})" for why, n in sorted(found.left.items())
    ]
    yield f"  retract   {moment(found.created)}: {', '.join(facts)}"


def _waiting(flow: FlowStatus) -> Iterator[str]:
    if not flow.waiting:
        return
    counts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(flow.waiting.items()))
    oldest = flow.oldest_waiting
    since = f", the oldest for {ago(oldest)}" if oldest is not None else ""
    yield f"  waiting   {counts}{since} (moatbridge review {flow.flow})"


def _partition(part: PartitionStatus, now: float) -> Iterator[str]:
    owner = clean(part.owner) if part.owner else "nobody"
    facts = [f"{part.state}, {owner}, fence {part.fence}"]
    if part.served is not None:
        facts.append(f"served {ago(part.served)} ago")
    if part.tries > 1:
        facts.append(f"{part.tries} tries")
    if part.error:
        facts.append(f"error {clean(part.error)}")
    if part.lag is not None:
        facts.append(f"oldest change waits for {ago(part.lag)}")
    if part.next >= 1:
        facts.append(f"again {due(now + part.next, part.next)}")
    elif part.late >= 1:
        facts.append(f"due for {ago(part.late)}")
    yield f"  part      {clean(part.name)}: {', '.join(facts)}"
