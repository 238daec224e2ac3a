"""Settings whose default depends on what flows where; what cannot be is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.flows import FINAL
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.config import FlowConfig
    from moatbridge.flow.route import End

CONTENT: Final = frozenset({"Post", "Reaction", "Decision"})
"""Entity types that cannot be disabled: they are there, or they are taken back."""


def settled(name: str, settings: FlowConfig, *, source: End, entity: str) -> FlowConfig:
    """The flow's settings with the defaults that fit its streams.

    Args:
        name: The flow.
        settings: As configured.
        source: Where it reads.
        entity: What it writes.

    Raises:
        ConfigurationError: ``flow.deletes`` or ``flow.settle``, with the line to write.
    """
    changes: dict[str, Any] = {}
    if entity in CONTENT:
        changes |= _deletes(name, settings, entity)
    changes |= _settling(name, settings, source)
    return settings.model_copy(update=changes) if changes else settings


def check_only_reader(flows: Mapping[str, FlowConfig], name: str, source: End) -> None:
    """A source that is told what is safe puts it away: one flow may read it.

    Raises:
        ConfigurationError: ``flow.shared-source``: two flows would each get a part.
    """
    others = [
        other
        for other, flow in flows.items()
        if other != name and flow.source == source.address
    ]
    if others and source.can("CanSettle"):
        raise ConfigurationError(
            f"Flows {name!r} and {others[0]!r} both read {source.address}, which puts "
            "away what one of them has read: each would get a part only. Give each "
            "flow a stream of its own, of which none takes the data away (for a drop "
            'folder: claim = "none" and after = "leave").',
            code="flow.shared-source",
            stream=source.address,
        )


def _deletes(name: str, settings: FlowConfig, entity: str) -> dict[str, Any]:
    """Content is kept unless the flow says that it shall be taken back."""
    if "deletes" not in settings.model_fields_set:
        return {"deletes": "ignore"}
    if settings.deletes in {"ignore", "remove"}:
        return {}
    raise ConfigurationError(
        f"Flow {name!r}: a {entity} cannot be disabled. Under [flows.{name}] write "
        'deletes = "ignore" (what was posted stays), or deletes = "remove" and '
        f'i_know = "{FINAL}" (it is taken back when its record goes).',
        code="flow.deletes",
    )


def _settling(name: str, settings: FlowConfig, source: End) -> dict[str, Any]:
    if not source.stream.settle_destroys or settings.settle_when == "delivered":
        return {}
    if "settle_when" not in settings.model_fields_set:
        return {"settle_when": "delivered"}
    raise ConfigurationError(
        f"Flow {name!r}: settling {source.address} destroys what was read, so it must "
        f'wait for delivery. Under [flows.{name}] write settle_when = "delivered" (or '
        "leave it out).",
        code="flow.settle",
        stream=source.address,
    )
