"""Whether the parts of a configuration fit together: pure, no I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moatbridge.config.guard import GuardConfig, effective
from moatbridge.config.problems import Problem, dotted, nearest_or_all
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from moatbridge.config.flows import FlowConfig

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_STREAM: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DECIDERS: Final = ("latest", "hold", "merge")


def check_names(
    systems: Collection[str], streams: Collection[str], flows: Collection[str]
) -> list[Problem]:
    """Names that cannot stand, and streams of systems that are not there."""
    problems = [
        Problem(dotted(section, name), "must be one lower-case word, such as `hr`")
        for section, names in (("systems", systems), ("flows", flows))
        for name in names
        if not _NAME.fullmatch(name)
    ]
    for address in streams:
        system = address.partition("/")[0]
        if not _STREAM.fullmatch(address):
            problems.append(_not_an_address(address))
        elif system not in systems:
            words = f"there is no system `{system}`" + nearest_or_all(system, systems)
            problems.append(Problem(dotted("streams", address), words))
    return problems


def check_flows(
    flows: Mapping[str, FlowConfig], streams: Collection[str], *, whole: bool = True
) -> list[Problem]:
    """References of flows, and who owns what in pairs.

    Args:
        flows: Name -> flow.
        streams: Addresses that there are.
        whole: All flows are there. Who owns what is judged only then, and only if
            every address is right: else it would add problems that are none.
    """
    problems: list[Problem] = []
    for name, flow in flows.items():
        problems += _ends(name, flow, streams)
        problems += _decides(name, flow, flows, streams)
    problems += _twins(flows)
    if problems or not whole:
        return problems
    for name, flow in flows.items():
        problems += _owner_alone(name, flow, _partner(flow, flows))
    problems += _pairs(flows)
    return problems


def check_guard(flows: Mapping[str, FlowConfig], guard: GuardConfig) -> list[Problem]:
    """Rules that a flow loosens without saying why."""
    problems: dict[str, Problem] = {}
    for name, flow in flows.items():
        try:
            effective(guard, flow.guard, flow=name)
        except ConfigurationError as error:
            for line in error.message.splitlines():
                problems[line] = Problem("", line, error.code)
    return list(problems.values())


def _not_an_address(address: str) -> Problem:
    words = 'must be SYSTEM/STREAM in quotes: [streams."hr/people"]'
    return Problem(dotted("streams", address), words)


def _ends(name: str, flow: FlowConfig, streams: Collection[str]) -> Iterator[Problem]:
    for end, address in (("from", flow.source), ("to", flow.target)):
        if address not in streams:
            words = f"there is no stream `{address}`" + nearest_or_all(address, streams)
            key = dotted("flows", name, end)
            yield Problem(key, words, missing=address)
    if flow.source == flow.target:
        yield Problem(dotted("flows", name, "to"), "is the same stream as `from`")


def _decides(
    name: str,
    flow: FlowConfig,
    flows: Mapping[str, FlowConfig],
    streams: Collection[str],
) -> Iterator[Problem]:
    decide = flow.decide
    if decide is None:
        return
    for key in ("people", "answers"):
        address = getattr(decide, key)
        if address not in streams:
            words = f"there is no stream `{address}`" + nearest_or_all(address, streams)
            at = dotted("flows", name, "decide", key)
            yield Problem(at, words, missing=address)
    posts = flows.get(decide.posts)
    at = dotted("flows", name, "decide", "posts")
    if posts is None or decide.posts == name:
        words = f"there is no other flow `{decide.posts}`"
        yield Problem(at, words + nearest_or_all(decide.posts, flows))
    elif _system(posts.target) != _system(flow.source):
        words = f"posts to {posts.target}, but replies are read from {flow.source}"
        yield Problem(at, words)
    if _system(decide.answers) != _system(flow.source):
        words = f"must be a stream of the system that replies come from: {flow.source}"
        yield Problem(dotted("flows", name, "decide", "answers"), words)


def _system(address: str) -> str:
    return address.partition("/")[0]


def _twins(flows: Mapping[str, FlowConfig]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for name, flow in flows.items():
        first = seen.setdefault((flow.source, flow.target), name)
        if first != name:
            words = f"carries the same as `flows.{first}`; remove one of them"
            yield Problem(dotted("flows", name), words)


def _partner(flow: FlowConfig, flows: Mapping[str, FlowConfig]) -> FlowConfig | None:
    ends = (flow.target, flow.source)
    return next((o for o in flows.values() if (o.source, o.target) == ends), None)


def _owner_alone(
    name: str, flow: FlowConfig, partner: FlowConfig | None
) -> Iterator[Problem]:
    if flow.owner and partner is None:
        words = "only a pair of flows has owners; there is no flow the other way"
        yield Problem(dotted("flows", name, "owner"), words, "flow.owner")
    sides = {flow.source, flow.target}
    for path, owner in flow.owner.items():
        deciders = () if path == "." else _DECIDERS
        if owner not in sides and owner not in deciders:
            words = f"must be {_choices([*sorted(sides), *deciders])}"
            key = dotted("flows", name, "owner", path)
            yield Problem(key, words + nearest_or_all(owner, sides), "flow.owner")


def _pairs(flows: Mapping[str, FlowConfig]) -> Iterator[Problem]:
    names = list(flows)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            one, two = flows[name], flows[other]
            if (one.source, one.target) != (two.target, two.source):
                continue
            key = dotted("flows", other, "owner")
            if one.owner and two.owner:
                words = f"stands in `flows.{name}` too; say it on one flow of the pair"
                yield Problem(key, words, "flow.owner")
            elif not one.owner and not two.owner:
                words = (
                    f"`flows.{name}` and this one are a pair: say who owns what, "
                    f'such as owner = {{ "*" = "{one.source}" }}'
                )
                yield Problem(key, words, "flow.owner")


def _choices(words: list[str]) -> str:
    quoted = [f"`{word}`" for word in words]
    return ", ".join(quoted[:-1]) + " or " + quoted[-1]
