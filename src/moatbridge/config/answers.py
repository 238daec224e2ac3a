"""The implicit flow that carries a deciding flow's answers back to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.config.flows import FlowConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.config.bridge import BridgeConfig

SYSTEM: Final = "moatbridge.answers"
"""The system that answers come from; a dot stands in no configured name."""

_SUFFIX: Final = ".answers"


def answers_of(flow: str) -> str:
    """Name of the flow that carries this flow's answers."""
    return flow + _SUFFIX


def decider_of(flow: str) -> str | None:
    """The deciding flow whose answers this one carries; None for any other flow."""
    return flow.removesuffix(_SUFFIX) if flow.endswith(_SUFFIX) else None


def with_answers(config: BridgeConfig) -> BridgeConfig:
    """The configuration with one more flow for each that decides; repeatable."""
    more = _implied(config.flows)
    return config.model_copy(update={"flows": {**config.flows, **more}})


def _implied(flows: Mapping[str, FlowConfig]) -> dict[str, FlowConfig]:
    return {
        answers_of(name): FlowConfig(
            source=f"{SYSTEM}/{name}",
            target=flow.decide.answers,
            every=flow.every,
            priority=flow.priority,
            guard=flow.guard,
        )
        for name, flow in flows.items()
        if flow.decide is not None
    }
