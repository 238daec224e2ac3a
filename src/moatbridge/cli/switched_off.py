"""Work in front of a terminal does not wait for a kill switch: it ends and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.run import Bridge


def watched(
    bridge: Bridge, flow: str, step: Callable[[int, int], None]
) -> Callable[[int, int], None]:
    """A progress function that ends the work when sending is switched off.

    Slices stop at their next batch boundary; what was not sent stays ready.

    Raises:
        NotApplied: ``guard.kill-switch``, by the function, with scope and reason.
    """
    target = bridge.config.flows[flow].target.partition("/")[0]

    def look(first: int, second: int) -> None:
        step(first, second)
        if bridge.killed(flow, target):
            kill = bridge.kill_state().stops(flow=flow, system=target)
            if kill is not None:
                raise NotApplied(
                    f"Sending is switched off ({kill.scope}, by {kill.actor}: "
                    f"{kill.reason}). What was not sent yet waits. `moatbridge resume "
                    f"{kill.scope} REASON` lifts a switch of the ledger.",
                    code="guard.kill-switch",
                )

    return look
