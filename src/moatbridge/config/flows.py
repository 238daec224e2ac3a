"""``[flows.NAME]`` (delivery 2, scale 2)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from moatbridge.config.decide import DecideConfig  # noqa: TC001 - pydantic reads it
from moatbridge.config.durations import Duration, Time, between
from moatbridge.config.guard import FlowGuardConfig  # noqa: TC001 - pydantic reads it
from moatbridge.config.systems import Table

FINAL: Final = "deletes are final"
"""What ``i_know`` must say before a flow may remove records."""

_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%", re.ASCII)
_PERCENT: Final = 100.0


class RejectLimit(Table):
    """How many records of a pass may be rejected: the larger of count and share."""

    count: int = Field(default=0, ge=0, strict=True)
    share: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)

    def of(self, total: int) -> int:
        """How many of ``total`` records may be rejected."""
        return max(self.count, int(total * self.share))


def _reject_limit(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"count": value}
    if isinstance(value, str):
        found = _SHARE.fullmatch(value.strip())
        if found is None:
            msg = "must be a count, a share such as '5%', or a table of both"
            raise ValueError(msg)
        return {"share": float(found[1]) / _PERCENT}
    return value


class FlowConfig(Table):
    """One flow: what it carries where, and what it does in doubt.

    ``from`` and ``to`` are `source` and `target` in Python. Durations are seconds.

    Args:
        source: Address of the stream it reads (``from``).
        target: Address of the stream it writes (``to``).
        match: Entity paths by which a first run finds existing target records.
        require: Refuse to start below this class of delivery.
        on_unknown: What to do with unknown outcomes at targets that are not keyed.
        retry_for: How long one change is tried again before it is parked.
        deletes: What a delete at the source does; ``remove`` needs `i_know`.
        i_know: Must say ``deletes are final`` where ``deletes = "remove"``.
        undo_window: Between disabling and removing.
        rescan: Interval of full passes; None: 7 d if the source follows, else `every`.
        every: Poll interval, 100 ms at least.
        settle_when: When the source is told that what was read is safe.
        lanes: Parallel groups of delivery order, a call at a time in each; None: one.
        on_unresolved: What to do with a reference to a record not carried yet.
        on_drift: What to do when a side changes a field it does not own.
        owner: Entity path -> address of the stream that owns it, ``latest``, ``hold``
            or, for a whole list, ``merge``; ``"*"`` is the rest, ``"."`` existence.
        reject_limit: How many records of a pass may be rejected.
        partitions: How many parts a scan is cut into; None: 4 where processes share
            it (a ledger on PostgreSQL, or `run.processes` above 1), else 1.
        priority: 1 first, 5 last.
        decide: Replies that it reads become decisions.
        guard: Rules that are tighter for this flow.
    """

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    match: tuple[str, ...] = ()
    require: Literal["effectively-once", "at-least-once", "at-most-once"] | None = None
    on_unknown: Literal["park", "resend"] = "park"
    retry_for: Duration = 86400.0
    deletes: Literal["ignore", "disable", "disable_then_remove", "remove"] = "disable"
    i_know: str | None = None
    undo_window: Duration = 7 * 86400.0
    rescan: Annotated[Time, between(0.1)] | None = None
    every: Annotated[Time, between(0.1)] = 300.0
    settle_when: Literal["staged", "delivered"] = "staged"
    lanes: int | None = Field(default=None, ge=1, le=64, strict=True)
    on_unresolved: Literal["wait", "skip"] = "wait"
    on_drift: Literal["report", "restore"] = "report"
    owner: dict[str, str] = Field(default_factory=dict)
    reject_limit: Annotated[RejectLimit, BeforeValidator(_reject_limit)] = RejectLimit(
        count=100, share=0.05
    )
    partitions: int | None = Field(default=None, ge=1, le=1000, strict=True)
    priority: int = Field(default=3, ge=1, le=5, strict=True)
    decide: DecideConfig | None = None
    guard: FlowGuardConfig | None = None

    @field_validator("i_know")
    @classmethod
    def _known(cls, said: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("deletes") == "remove" and said != FINAL:
            msg = f"removing records needs i_know = '{FINAL}' beside it"
            raise ValueError(msg)
        return said
