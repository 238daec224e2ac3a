"""moatbridge carries legacy enterprise data to and from a social platform's open API.

These are the names that products and integrators use; each is loaded where it is first
used, so that importing the package costs next to nothing. Authors of adapters import
`moatbridge.adapter`, `moatbridge.changes`, `moatbridge.entities`, `moatbridge.errors`,
`moatbridge.http` and, for their tests, `moatbridge.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moatbridge.config import load as load_config
    from moatbridge.entities import Group, Person, Post, Reaction, entity_type
    from moatbridge.errors import (
        ConfigurationError,
        CursorTooOld,
        GuardStopped,
        LeaseLost,
        MoatbridgeError,
        NotApplied,
        OutcomeUnknown,
        Rejected,
        TranslationError,
    )
    from moatbridge.flow.plans import Plan
    from moatbridge.registry import Registry
    from moatbridge.run import Bridge, RunResult
    from moatbridge.translate import (
        Translator,
        const,
        each,
        first,
        lookup,
        only_in,
        only_out,
        ref,
        template,
        via,
    )

    __version__: str

_HOMES: Final = {
    "Bridge": "run",
    "ConfigurationError": "errors",
    "CursorTooOld": "errors",
    "Group": "entities",
    "GuardStopped": "errors",
    "LeaseLost": "errors",
    "MoatbridgeError": "errors",
    "NotApplied": "errors",
    "OutcomeUnknown": "errors",
    "Person": "entities",
    "Plan": "flow.plans",
    "Post": "entities",
    "Reaction": "entities",
    "Registry": "registry",
    "Rejected": "errors",
    "RunResult": "run",
    "TranslationError": "errors",
    "Translator": "translate",
    "const": "translate",
    "each": "translate",
    "entity_type": "entities",
    "first": "translate",
    "load_config": "config",
    "lookup": "translate",
    "only_in": "translate",
    "only_out": "translate",
    "ref": "translate",
    "template": "translate",
    "via": "translate",
}
"""Public name -> the module that holds it."""

_RENAMED: Final = {"load_config": "load"}

__all__ = [
    "Bridge",
    "ConfigurationError",
    "CursorTooOld",
    "Group",
    "GuardStopped",
    "LeaseLost",
    "MoatbridgeError",
    "NotApplied",
    "OutcomeUnknown",
    "Person",
    "Plan",
    "Post",
    "Reaction",
    "Registry",
    "Rejected",
    "RunResult",
    "TranslationError",
    "Translator",
    "__version__",
    "const",
    "each",
    "entity_type",
    "first",
    "load_config",
    "lookup",
    "only_in",
    "only_out",
    "ref",
    "template",
    "via",
]


def __getattr__(name: str) -> Any:
    value = _version() if name == "__version__" else _load(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _load(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    return getattr(import_module(f"{__name__}.{home}"), _RENAMED.get(name, name))


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, rarely asked for

    return version("moatbridge")
