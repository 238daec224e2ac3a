"""Runners carry slices of work; the local one is threads of this process."""

from __future__ import annotations

from moatbridge.run.bridge import Bridge
from moatbridge.run.checking import check
from moatbridge.run.local import LocalRunner
from moatbridge.run.looking import discover, preview
from moatbridge.run.principals import principal
from moatbridge.run.results import RunResult

__all__ = [
    "Bridge",
    "LocalRunner",
    "RunResult",
    "check",
    "discover",
    "preview",
    "principal",
]
