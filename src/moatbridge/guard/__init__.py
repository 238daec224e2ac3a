"""What may leave, how much at once, and who agreed: pure judgement (guard 1).

`judge` looks at one change, `LiveWindow` at live changes in numbers, `judge_plan` at a
plan as a whole before its first effect, `check_approval` and `wrote` at who may agree,
`item_digest` at what an approval binds to, `KillFlag` at the kill switch. Nothing here
does I/O, knows the ledger or a translator, or has a clock; whatever fails while judging
stops or holds.
"""

from __future__ import annotations

from moatbridge.guard.approval import Approval, check_approval, person
from moatbridge.guard.audit import (
    AuditEvent,
    AuditRecord,
    pack_records,
    unpack_records,
)
from moatbridge.guard.context import Context, Memory, Operation, Outgoing, Route
from moatbridge.guard.held import (
    APPROVAL_LIFE,
    BY_ITSELF,
    bound_to,
    item_digest,
    lifetime,
    wrote,
)
from moatbridge.guard.judging import judge, masked_like
from moatbridge.guard.killswitch import (
    Kill,
    KillFlag,
    KillState,
    evaluate,
    file_there,
    trips,
)
from moatbridge.guard.live import LiveWindow
from moatbridge.guard.paths import PathSet
from moatbridge.guard.plan_judging import judge_plan
from moatbridge.guard.plan_rules import PLAN_CHECKS
from moatbridge.guard.plan_summary import PathCounts, PlanSummary
from moatbridge.guard.record_rules import RECORD_CHECKS, check_route
from moatbridge.guard.verdict import (
    EXIT_CODES,
    Decision,
    Finding,
    Found,
    Hit,
    Noticed,
    PlanDecision,
    PlanVerdict,
    Reason,
    Verdict,
    combine,
)
from moatbridge.guard.windows import (
    WindowCount,
    counted,
    deactivates,
    post_keys,
    window_counts,
)

__all__ = [
    "APPROVAL_LIFE",
    "BY_ITSELF",
    "EXIT_CODES",
    "PLAN_CHECKS",
    "RECORD_CHECKS",
    "Approval",
    "AuditEvent",
    "AuditRecord",
    "Context",
    "Decision",
    "Finding",
    "Found",
    "Hit",
    "Kill",
    "KillFlag",
    "KillState",
    "LiveWindow",
    "Memory",
    "Noticed",
    "Operation",
    "Outgoing",
    "PathCounts",
    "PathSet",
    "PlanDecision",
    "PlanSummary",
    "PlanVerdict",
    "Reason",
    "Route",
    "Verdict",
    "WindowCount",
    "bound_to",
    "check_approval",
    "check_route",
    "combine",
    "counted",
    "deactivates",
    "evaluate",
    "file_there",
    "item_digest",
    "judge",
    "judge_plan",
    "lifetime",
    "masked_like",
    "pack_records",
    "person",
    "post_keys",
    "trips",
    "unpack_records",
    "window_counts",
    "wrote",
]
