"""What judging takes: the change, where it goes, the time, and the memory of counts.

The guard does no I/O and has no clock. The flow hands over a `Memory` (the ledger
implements it, knowing no rules) and the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from moatbridge.config.guard_rules import WINDOW
from moatbridge.entities import rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.entities import Label
    from moatbridge.guard.paths import PathSet

Operation: TypeAlias = Literal[
    "create", "update", "renew", "delete", "disable", "left_scope"
]
"""``renew`` re-enables; the last three are removals: the source record is gone (and
the target's is removed or disabled), or it left the stream's scope."""


class Memory(Protocol):
    """Counts of what one flow has sent lately, kept by the ledger (guard 2).

    The flow adds `window_counts` in the same transaction that lets an intent go, so
    that a crash never forgets a count and a replay never counts twice.
    """

    def seen(self, rule: str, key: str, window: float) -> int:
        """The count of ``(rule, key)`` within the last ``window`` seconds.

        Counts are the flow's own, except those of the rule ``posts`` whose key names
        a target system: they are the sum over all flows to that system, since a
        platform's readers do not care which flow floods them (guard 2).

        Args:
            rule: Rule name, or ``RULE.held`` for what was held.
            key: Empty, an entity path for the rules that count by path, or what
                `moatbridge.guard.windows.post_keys` makes for ``posts``.
            window: Seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a judgement.

    Args:
        now: Ledger time in POSIX seconds.
        memory: The flow's counts.
        salt: Key for the digests of what detectors find (the ledger's id, a secret).
    """

    now: float
    memory: Memory
    salt: bytes = field(default=b"", repr=False)

    def seen(self, rule: str, key: str = "") -> int:
        """What the last 24 h hold of ``(rule, key)``; never negative."""
        return max(0, self.memory.seen(rule, key, WINDOW))


@dataclass(frozen=True, slots=True)
class Route:
    """What is the same for all changes of a flow.

    Args:
        flow: The flow's name.
        entity_type: ``Person``, ``Group``.
        target: Name of the system that receives.
        owned: Entity paths that the translators name: nothing else may leave.
        label: Highest label of the stream and all fields that are read.
        stream_label: Label of the stream alone.
        path_labels: Entity path -> label, for paths above the stream's.
        max_label: Highest label the target may receive.
        deny_fields: Entity paths that are never sent to this system.
        exposure: Whether people outside the company see what the target holds.

    Raises:
        ConfigurationError: ``label.unknown``.
    """

    flow: str
    entity_type: str
    target: str
    owned: PathSet
    label: Label
    stream_label: Label
    path_labels: Mapping[str, Label] = field(default_factory=dict)
    max_label: Label = "internal"
    deny_fields: PathSet | None = None
    exposure: Literal["internal", "external"] = "internal"
    fits: bool = field(init=False)
    """Whether the route's label is not above ``max_label``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fits", rank(self.label) <= rank(self.max_label))


@dataclass(slots=True)
class Outgoing:
    """One change that would leave.

    Args:
        route: Where it goes.
        entity: The entity, complete or partial; None when nothing but the ref leaves.
            It is never changed here.
        op: What would happen at the target.
        link_id: The link, if there is one.
        changed: Entity paths that differ from the last agreement; None when that is
            not known, which counts as all.
        before: The entity as it was, if known; lets additions be told from the rest.
        label: The record's own label, if it is higher than the route's.
        parent: Of a reply: the audience of the post it answers, in the same
            references as the entity's own; None if it is no reply or not known. The
            reply takes the narrower of both.
        outside: Whether people outside the company are among the readers: a member of
            a group is a guest, or has a mail domain that is not the company's. The
            flow resolves the audience at judgement and again in transaction B.
        readdressed: Of an update: its audience is known to be another one than the
            last that was agreed to, even where ``before`` is not known.
        readers: Ids at the target to which the audience resolves; None before it was
            resolved. For `moatbridge.guard.held.bound_to`, which feeds `item_digest`.
    """

    route: Route
    entity: dict[str, Any] | None
    op: Operation
    link_id: int | None = None
    changed: tuple[str, ...] | None = None
    before: Mapping[str, Any] | None = None
    label: Label | None = None
    parent: Mapping[str, Any] | None = None
    outside: bool = False
    readdressed: bool = False
    readers: tuple[str, ...] | None = None

    @property
    def audience(self) -> Any:
        """Who may read it, as far as it is known: its own, else what it was before."""
        for source in (self.entity, self.before):
            if source is not None and source.get("audience") is not None:
                return source["audience"]
        return None

    @property
    def external(self) -> bool:
        """Whether people outside the company will see it (guard 2, 21)."""
        if self.outside or self.route.exposure == "external":
            return True
        audience = self.audience
        return isinstance(audience, dict) and audience.get("kind") == "public"

    def __repr__(self) -> str:
        return f"Outgoing({self.op} {self.route.entity_type} link={self.link_id})"
