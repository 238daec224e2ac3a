"""Runners carry slices of work; the local one is threads of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.run.bridge import Bridge
from moatbridge.run.local import LocalRunner
from moatbridge.run.principals import principal
from moatbridge.run.results import RunResult

if TYPE_CHECKING:
    from moatbridge.run.checking import check
    from moatbridge.run.looking import discover, preview

_LATER: Final = {"check": "checking", "discover": "looking", "preview": "looking"}
"""What no run needs -> its module, loaded where it is first asked for."""

__all__ = [
    "Bridge",
    "LocalRunner",
    "RunResult",
    "check",
    "discover",
    "preview",
    "principal",
]


def __getattr__(name: str) -> Any:
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
