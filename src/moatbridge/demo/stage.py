"""What every chapter uses: the world, the narrator, and the bridge's own commands."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from moatbridge.demo.world import OPERATOR, REVIEWER
from moatbridge.errors import GuardStopped

if TYPE_CHECKING:
    from moatbridge.demo.narration import Narrator
    from moatbridge.demo.world import World
    from moatbridge.flow.plans import Plan
    from moatbridge.run import Bridge, RunResult


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a chapter plays.

    Args:
        world: The servers.
        tell: The narrator.
    """

    world: World
    tell: Narrator

    def plan(self, bridge: Bridge, flow: str, *, show: bool = True) -> Plan:
        """Plan as the operator, and print it as ``moatbridge plan`` does."""
        with self.tell.step(f"moatbridge plan {flow}"):
            plan = bridge.plan(flow, actor=OPERATOR)
        if show:
            self._print(bridge, plan)
        return plan

    def apply(self, bridge: Bridge, plan: Plan) -> RunResult:
        """Apply as the reviewer, who typed the number that the plan showed."""
        with self.tell.step(f"moatbridge apply {plan.flow}"):
            return bridge.apply(plan, actor=REVIEWER, confirm=plan.verdict.count)

    def run(self, bridge: Bridge, flow: str) -> RunResult:
        """Plan, and apply what the guard lets pass by itself."""
        with self.tell.step(f"moatbridge run {flow}"):
            return bridge.run(flow, actor=OPERATOR)

    def refused(self, bridge: Bridge, plan: Plan, *, confirm: int | None = None) -> str:
        """Try to apply as the operator; returns the code of the refusal, or ``""``."""
        try:
            bridge.apply(plan, actor=OPERATOR, confirm=confirm)
        except GuardStopped as stopped:
            self.tell.say(stopped.message)
            return stopped.code
        return ""

    def _print(self, bridge: Bridge, plan: Plan) -> None:
        renderer = import_module("moatbridge.cli.show_plan")  # faces do not know us
        flow = bridge.config.flows[plan.flow]
        setting = renderer.Setting(flow.source, flow.target)
        self.tell.show(renderer.plan_lines(plan, bridge.review(plan.flow), setting))


def done(result: RunResult) -> str:
    """What a run did, in words: ``create 3, update 4``; ``nothing``."""
    parts = [
        f"{op} {states['DONE']}"
        for op, states in sorted(result.outcome.items())
        if states.get("DONE")
    ]
    return ", ".join(parts) or "nothing"


def planned(plan: Plan) -> str:
    """What a plan would do, in the same words."""
    parts = [f"{op} {n}" for op, n in sorted(plan.counts.items()) if n]
    return ", ".join(parts) or "nothing"
