"""What authors and products test with: a memory system, faults, and the suite.

Everything is loaded where it is first used, so that the memory system works without
pytest installed.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moatbridge.testing.conformance import AdapterConformance, requires
    from moatbridge.testing.flaky import FlakyAdapter, Schedule
    from moatbridge.testing.folders import FolderHarness
    from moatbridge.testing.harness import Feature, Harness, SlotCase
    from moatbridge.testing.memory import HUB, MemoryAdapter, MemoryConfig, MemoryHub
    from moatbridge.testing.memory_system import Effect, MemoryStream, MemorySystem
    from moatbridge.testing.network import RecordingNet, net
    from moatbridge.testing.programs import program
    from moatbridge.testing.proxy import Fault, FaultProxy

_HOMES: Final = {
    "AdapterConformance": "conformance",
    "requires": "conformance",
    "Feature": "harness",
    "FolderHarness": "folders",
    "Harness": "harness",
    "SlotCase": "harness",
    "RecordingNet": "network",
    "net": "network",
    "program": "programs",
    "Fault": "proxy",
    "FaultProxy": "proxy",
    "FlakyAdapter": "flaky",
    "Schedule": "flaky",
    "MemoryAdapter": "memory",
    "MemoryConfig": "memory",
    "MemoryHub": "memory",
    "HUB": "memory",
    "MemorySystem": "memory_system",
    "MemoryStream": "memory_system",
    "Effect": "memory_system",
}

__all__ = [
    "HUB",
    "AdapterConformance",
    "Effect",
    "Fault",
    "FaultProxy",
    "Feature",
    "FlakyAdapter",
    "FolderHarness",
    "Harness",
    "MemoryAdapter",
    "MemoryConfig",
    "MemoryHub",
    "MemoryStream",
    "MemorySystem",
    "RecordingNet",
    "Schedule",
    "SlotCase",
    "net",
    "program",
    "requires",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home == "conformance" and f"{__name__}.stage" not in sys.modules:
        import pytest  # noqa: PLC0415 - only the suite needs it

        suite = (f"{__name__}.{part}" for part in ("conformance", "stage"))
        pytest.register_assert_rewrite(*suite)
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
