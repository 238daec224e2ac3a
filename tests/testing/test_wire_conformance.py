"""A networked adapter passes the suite, faults on the wire included."""

from __future__ import annotations

import secrets

import pytest

from moatbridge.testing import AdapterConformance, MemorySystem
from servers.memory_wire import MemoryServer
from testing.inbox_adapter import InboxAdapter, InboxHarness
from testing.memory_harness import PEOPLE
from testing.wire_adapter import WireAdapter, WireHarness


class TestWire(AdapterConformance):
    adapter = WireAdapter
    features = frozenset(
        {"network", "credentials", "keyed", "slots", "busy", "short_pages"}
    )

    @pytest.fixture
    def harness(self):
        system, password = MemorySystem([PEOPLE]), secrets.token_hex(12)
        with MemoryServer(system, password) as server:
            yield WireHarness(system, server, password)


class TestInbox(AdapterConformance):
    adapter = InboxAdapter

    @pytest.fixture
    def harness(self):
        return InboxHarness()
