"""What `check` found, for people: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moatbridge.cli.discover import LOOK
from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.run.checking import Checked, FlowCheck, SystemCheck
    from moatbridge.run.host_keys import HostKeys


def check_lines(found: Checked, more: str = "", *, whole: bool = True) -> Iterator[str]:
    """Systems, flows, warnings, a line that sums up, and what to type next.

    Args:
        found: What `check` found.
        more: Options that the next command must repeat.
        whole: The file has no problem; else what it lacks is told afterwards.
    """
    for system in found.systems:
        yield from _system(system)
    for flow in found.flows:
        yield from _flow(flow)
    for trouble in found.ledger:
        yield f"  PROBLEM   {trouble.code}: {clean(trouble.message, 1000)}"
    yield from _warnings(found.warnings)
    if not whole:
        return
    yield ""
    yield f"{_count(found.problems, 'problem')}, {_count(found.warned, 'warning')}"
    yield from _next(found, more)


def host_key_lines(found: Iterable[HostKeys]) -> Iterator[str]:
    """What servers show, and what to do with it."""
    shown = list(found)
    for each in shown:
        yield f"System {each.system}"
        yield from (f"  host key  {clean(key)}" for key in each.keys)
        yield from _problem(each)
    if not shown:
        yield "No system here has a host key: none is reached over SSH."
    elif any(each.keys for each in shown):
        yield ""
        yield "Compare with what the server's owner says, then set one of them:"
        yield 'host_keys = ["SHA256:..."]'


def _next(found: Checked, more: str) -> Iterator[str]:
    look = [s for s in found.systems if s.problem and s.problem.code in LOOK]
    for each in look:
        yield f"Next: moatbridge discover {each.system}{more}  # shows what there is"
    if found.problems and not look:
        yield f"Next: mend what says PROBLEM, then: moatbridge check{more}"
    elif found.flows and not found.problems:
        yield f"Next: moatbridge plan {found.flows[0].flow}{more}"


def _system(found: SystemCheck) -> Iterator[str]:
    yield f"System {found.system} ({found.adapter}): {_state(found)}"
    yield from _problem(found)
    if found.product:
        yield f"  server    {clean(found.product)}"
    if found.problem is None:
        yield f"  we are    {clean(found.account or '(not told)')}"
    if found.endpoints:
        yield f"  dials     {', '.join(found.endpoints)}"
        yield f"  TLS       {_tls(found)}"
    times = found.deadline
    yield f"  deadline  {times['connect']:g} s to connect, {times['call']:g} s a call"
    for name, fact in found.facts.items():
        if fact not in (None, "", [], {}):
            yield f"  fact      {clean(name)}: {clean(_plain(fact), 300)}"
    for stream, abilities in found.streams.items():
        yield f"  stream    {clean(stream)}: {_can(abilities)}"
        if stream in found.read:
            yield f"  reads     {clean(stream)}: {_first(found.read[stream])}"
    yield from _warnings(found.warnings)
    yield ""


def _flow(found: FlowCheck) -> Iterator[str]:
    yield f"Flow {found.flow}: {found.source} -> {found.target}: {_state(found)}"
    yield from _problem(found)
    if found.guarantee:
        yield f"  delivery  {found.guarantee}: {found.reason}"
        yield "  leaves    (source -> entity -> target)"
        yield from (f"            {clean(line)}" for line in found.carried)
    for title, names in (
        ("stays", found.stays),
        ("lost", found.lost),
        ("unfilled", found.unfed),
    ):
        if names:
            yield f"  {title:9} {', '.join(map(clean, names))}"
    yield from _warnings(found.warnings)
    yield ""


def _plain(fact: object) -> str:
    """A fact as people read it: yes and no, lists and tables in one line."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in fact.items())
    if isinstance(fact, list | tuple):
        return ", ".join(map(_plain, fact))
    return f"{fact:,}" if isinstance(fact, int) else str(fact)


def _problem(found: SystemCheck | FlowCheck | HostKeys) -> Iterator[str]:
    if found.problem is not None:
        first, *more = found.problem.message.splitlines()
        yield f"  PROBLEM   {found.problem.code}: {clean(first, 1000)}"
        yield from (f"            {clean(line, 1000)}" for line in more)


def _warnings(sentences: Iterable[str]) -> Iterator[str]:
    yield from (f"  warning   {clean(sentence, 1000)}" for sentence in sentences)


def _state(found: SystemCheck | FlowCheck) -> str:
    return "ok" if found.problem is None else "PROBLEM"


def _tls(found: SystemCheck) -> str:
    tls = found.tls
    pins = f", {tls['pins']} pinned" if tls["pins"] else ""
    client = ", with a client certificate" if tls["client_certificate"] else ""
    authorities = clean(tls["authorities"])
    return f"{tls['min']} or newer where used, authorities {authorities}{pins}{client}"


def _first(records: int) -> str:
    if not records:
        return "nothing: a pass finds no record"
    return f"{_count(records, 'record')} in the first batch"


def _can(abilities: Iterable[str]) -> str:
    return ", ".join(a.removeprefix("Can").lower() for a in abilities) or "nothing"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
