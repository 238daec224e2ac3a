"""How the flows are doing, for people: pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.guard import Kill
    from moatbridge.run.status import FlowStatus, PartitionStatus, PassStatus, Status

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def status_lines(found: Status) -> Iterator[str]:
    """Kill switches first, then one block a flow."""
    for kill in found.kills:
        yield f"SWITCHED OFF: {clean(kill.scope)}, by {_who(kill)}"
    for flow in found.flows:
        yield from _flow(flow)
    if not found.flows:
        yield "No flow is configured."


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


def _flow(flow: FlowStatus) -> Iterator[str]:
    yield f"Flow {flow.flow}: {flow.source} -> {flow.target}"
    if flow.bug:
        yield f"  STOPPED   an impossible state was met: {clean(flow.bug)}"
    yield f"  last pass {_pass(flow.last_pass)}"
    yield f"  linked    {flow.links:,} records on both sides"
    if flow.open:
        counts = ", ".join(f"{n:,} {state}" for state, n in flow.open.items())
        yield f"  open      {counts}"
    if flow.oldest_unsent is not None:
        yield f"  unsent    the oldest change waits for {ago(flow.oldest_unsent)}"
    yield from _waiting(flow)
    for partition in flow.partitions:
        yield from _partition(partition)
    yield ""


def _pass(found: PassStatus | None) -> str:
    if found is None:
        return "never"
    verdict = f", verdict {found.decision}" if found.decision else ""
    state = {"nothing": "nothing new to read"}.get(found.state, found.state)
    return f"run {found.run}, {moment(found.created)}: {state}{verdict}"


def _waiting(flow: FlowStatus) -> Iterator[str]:
    if not flow.waiting:
        return
    counts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(flow.waiting.items()))
    oldest = flow.oldest_waiting
    since = f", the oldest for {ago(oldest)}" if oldest is not None else ""
    yield f"  waiting   {counts}{since} (moatbridge review {flow.flow})"


def _partition(part: PartitionStatus) -> Iterator[str]:
    owner = clean(part.owner) if part.owner else "nobody"
    facts = [f"{part.state}, {owner}, fence {part.fence}"]
    if part.served is not None:
        facts.append(f"served {ago(part.served)} ago")
    if part.tries > 1:
        facts.append(f"{part.tries} tries")
    if part.error:
        facts.append(f"error {clean(part.error)}")
    if part.next >= 1:
        facts.append(f"again in {ago(part.next)}")
    yield f"  part      {clean(part.name)}: {', '.join(facts)}"
    if part.unserved:
        yield "  ALARM     it is due, and nobody takes it: does a worker run?"
