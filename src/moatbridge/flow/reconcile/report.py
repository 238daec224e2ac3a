"""What people see of a reconciliation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from moatbridge.flow.plans import Plan

Kind = Literal["missing", "changed", "duplicate", "extra"]

KINDS: tuple[Kind, ...] = ("missing", "changed", "duplicate", "extra")


@dataclass(frozen=True, slots=True)
class Divergence:
    """One record that the target does not show as the ledger believes.

    Args:
        kind: ``missing``: delivered, and not there; ``changed``: fields that the flow
            owns show something else; ``duplicate``: a second target record for one
            source record; ``extra``: a target record that says it is ours, and
            nothing is linked to it.
        who: Name or key of the record: personal data.
        key: Key of the target record; empty if it is not there.
        fields: Entity paths that differ; never their values.
        why: In words, what more is known.
        link_id: Its link in the ledger; 0 if there is none.
    """

    kind: Kind
    who: str
    key: str = ""
    fields: tuple[str, ...] = ()
    why: str = ""
    link_id: int = 0

    def __repr__(self) -> str:
        return f"Divergence({self.kind} {list(self.fields)} link={self.link_id})"


@dataclass(frozen=True, slots=True)
class Normalised:
    """A path that differs alike in nearly every record: the target writes it so.

    Args:
        path: Entity path.
        records: In how many records it differs.
        compared: Of how many.
        spelling: Only letter case and spaces differ.
    """

    path: str
    records: int
    compared: int
    spelling: bool


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a flow's target shows, compared with what was delivered there.

    Args:
        flow: The flow's name.
        source: Address of the stream it reads.
        target: Address of the stream it writes.
        read: Target records read.
        compared: Linked records whose fields were compared.
        counts: Kind of divergence -> records.
        fields: Entity path -> changed records in which it differs.
        normalised: Paths that the target normalises; reported once, no divergence.
        unmanaged: Target records that are none of this flow's; no divergence.
        behind: What the target does not show because it was not delivered (yet), by
            reason: ``new``, ``changed``, ``gone``, ``waiting``, ``held``,
            ``rejected``, ``unreadable``; or because a retract took it back:
            ``retracted``; no divergence.
        examples: The first divergences of each kind.
        searched: The whole target was read, so that extras could be found.
        looked: The source was read, so that what it says now was compared; else
            nothing is known beyond what was once delivered.
        unreadable: Target records that could not be decoded.
        seconds: How long it took.
        plan: What ``repair`` staged; None if nothing was asked for or to be done.
        left: Reason -> divergences that ``repair`` leaves to people.
        run_id: Run of the plan.
        doubtful: The target showed less than half of the linked records and cannot be
            asked for the others by id: they may only be hidden.
    """

    flow: str
    source: str
    target: str
    read: int
    compared: int
    counts: dict[str, int]
    fields: dict[str, int]
    normalised: tuple[Normalised, ...]
    unmanaged: int
    behind: dict[str, int]
    examples: tuple[Divergence, ...]
    searched: bool
    looked: bool
    unreadable: int
    seconds: float
    plan: Plan | None = None
    left: dict[str, int] = field(default_factory=dict)
    run_id: int | None = None
    doubtful: bool = False

    @property
    def diverging(self) -> int:
        """How many records diverge."""
        return sum(self.counts.values())
