"""Exit codes: what a script, a scheduler or a CI job learns from a command.

The table `EXIT_CODES` is the only list there is; ``--help`` and the documentation are
made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, GuardStopped, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.errors import MoatbridgeError
    from moatbridge.run import RunResult

DONE: Final = 0
FOUND: Final = 1
CONFIGURATION: Final = 2
CONFIRM: Final = 10
APPROVE: Final = 11
STOP: Final = 12
WAITING: Final = 20
BUG: Final = 70
TRY_AGAIN: Final = 75
INTERRUPTED: Final = 130
TERMINATED: Final = 143

EXIT_CODES: Final[dict[int, str]] = {
    DONE: "done; nothing waits",
    FOUND: "check or adapters found problems (check --strict: or warnings), or "
    "reconcile found records that diverge",
    CONFIGURATION: "the command line or the configuration is wrong; nothing was sent",
    CONFIRM: "the guard asks you to confirm the plan; nothing was sent",
    APPROVE: "the guard asks for another person's approval; nothing was sent",
    STOP: "the guard stopped the plan; nothing was sent",
    WAITING: "done, but items are held, parked or rejected: see `moatbridge review`",
    BUG: "an error nobody foresaw; MOATBRIDGE_TRACE=1 shows where",
    TRY_AGAIN: "work is left or a system is unreachable: run the same command again",
    INTERRUPTED: "ended at once by Ctrl-C; run again to go on where it stopped",
    TERMINATED: "ended at once by a second SIGTERM",
}
"""Exit code -> what it means, in one line."""

_WORST_FIRST: Final = (
    BUG,
    CONFIGURATION,
    STOP,
    APPROVE,
    CONFIRM,
    TRY_AGAIN,
    WAITING,
    FOUND,
    DONE,
)


def of_error(error: MoatbridgeError) -> int:
    """The exit code for an error that ended a command."""
    if isinstance(error, GuardStopped):
        return int(error.details.get("exit_code", STOP))
    if isinstance(error, ConfigurationError):
        return CONFIGURATION
    return WAITING if isinstance(error, Rejected) else TRY_AGAIN


def of_result(result: RunResult) -> int:
    """The exit code for what became of a run."""
    if result.plan is not None and result.state == "planned":
        return result.plan.verdict.exit_code or TRY_AGAIN
    if result.state not in {"done", "nothing"} or result.next_try is not None:
        return TRY_AGAIN  # an older run may have left what this one did not send
    return WAITING if result.waiting else DONE


def worst(codes: Iterable[int]) -> int:
    """One code for several flows: the one that most needs somebody."""
    return min(codes, key=_WORST_FIRST.index, default=DONE)
