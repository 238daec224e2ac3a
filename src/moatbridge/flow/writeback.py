"""What a flow needs to know to turn replies into decisions; checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.config.answers import answers_of
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge.config.decide import DecideConfig
    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.route import End
    from moatbridge.ledger.flows import FlowRow
    from moatbridge.translate import BoundTranslator

PATHS: Final = (
    "type",
    "actor",
    "identity",
    "object",
    "version",
    "content",
    "inReplyTo",
    "published",
)
"""What a decision made of a reply holds."""

_NEEDED: Final = ("type", "identity", "object")
_READ: Final = ("content", "inReplyTo", "attributedTo")


@dataclass(frozen=True, slots=True)
class Writeback:
    """How replies become decisions.

    Args:
        config: ``[flows.NAME.decide]``.
        words: Case-folded word -> ``Accept`` or ``Reject``.
        posts: Ids of the flow whose posts are replied to.
        records: Address of the stream whose records were posted.
        answers: Name of the flow that carries the answers.
        people: Translator of the directory, where it has one: who is not active there
            does not decide.
    """

    config: DecideConfig
    words: dict[str, str]
    posts: FlowRow
    records: str
    answers: str
    people: BoundTranslator | None = None


def writeback_of(
    bridge: Bridge, name: str, *, source: End, target: End, posts: FlowRow
) -> Writeback:
    """Check that this flow can decide at all.

    Raises:
        ConfigurationError: ``flow.decide``: what is missing, and where to say it.
        NotApplied: The directory cannot be reached now.
    """
    config = bridge.config.flows[name].decide
    assert config is not None  # noqa: S101 - the caller looked
    if (source.bound.entity, target.bound.entity) != ("Post", "Decision"):
        raise _refused(
            name,
            f"it must read Post and write Decision, but {source.address} is translated "
            f"to {source.bound.entity} and {target.address} to {target.bound.entity}",
        )
    for end, heads in ((source, _READ), (target, _NEEDED)):
        lacking = [head for head in heads if head not in _heads(end.bound.paths)]
        if lacking:
            raise _refused(
                name,
                f"the translator of {end.address} must name {', '.join(lacking)}",
            )
    _check_people(bridge, name, config)
    return Writeback(
        config=config,
        words=config.folded,
        posts=posts,
        records=bridge.config.flows[config.posts].source,
        answers=answers_of(name),
        people=_translated(bridge, config.people),
    )


def carried(target: End) -> list[str]:
    """Paths of a decision that the target can hold."""
    return [path for path in target.bound.paths if path.partition(".")[0] in PATHS]


def _check_people(bridge: Bridge, name: str, config: DecideConfig) -> None:
    described = bridge.describe(config.people)
    stream = described.stream
    if "CanFind" not in described.probe.abilities.get(stream.name, stream.abilities):
        raise _refused(name, f"{config.people} cannot be searched (CanFind)")
    allowed = None if isinstance(config.allowed, str) else config.allowed
    fields = [config.account, config.identity, *([allowed.field] if allowed else [])]
    for field in fields:
        if stream.field(field) is None:
            raise _refused(name, f"{config.people} has no field {field!r}")


def _translated(bridge: Bridge, address: str) -> BoundTranslator | None:
    try:
        bound = bridge.translated(address)
    except ConfigurationError as error:
        if error.code != "flow.translator":
            raise  # one that is broken must not let in who has left
        return None  # the directory is read by its own fields alone
    return bound if "active" in bound.paths else None


def _heads(paths: tuple[str, ...]) -> set[str]:
    return {path.partition(".")[0].partition("[")[0] for path in paths}


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"Flow {name!r} cannot decide: {why}.", code="flow.decide"
    )
