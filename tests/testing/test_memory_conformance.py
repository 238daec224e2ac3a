"""The memory adapter passes the suite in each of its shapes."""

from __future__ import annotations

import dataclasses

import pytest

from moatbridge.adapter import WriteTraits
from moatbridge.testing import AdapterConformance, MemoryAdapter, MemorySystem
from testing.memory_harness import PEOPLE, MemoryHarness

FEATURES = frozenset(
    {"partitions", "deletes", "keyed", "conditional", "slots", "rejects"}
)


class TestMemory(AdapterConformance):
    adapter = MemoryAdapter
    features = FEATURES

    @pytest.fixture
    def harness(self):
        return MemoryHarness()


class TestMemoryInAFile(AdapterConformance):
    adapter = MemoryAdapter
    features = FEATURES

    @pytest.fixture
    def harness(self, tmp_path):
        return MemoryHarness(MemorySystem([PEOPLE], path=tmp_path / "target.db"))


class TestMemoryThatIsKeyedByItsObjects(AdapterConformance):
    adapter = MemoryAdapter
    features = FEATURES

    @pytest.fixture
    def harness(self):
        traits = WriteTraits(
            dedup="keyed", key_scope="object", max_batch=2, conditional=True
        )
        stream = dataclasses.replace(PEOPLE, traits=traits)
        return MemoryHarness(MemorySystem([stream]))


class TestMemoryWithPlainWritesAndThinChanges(AdapterConformance):
    adapter = MemoryAdapter
    features = frozenset({"partitions", "slots"})

    @pytest.fixture
    def harness(self):
        stream = dataclasses.replace(
            PEOPLE, traits=WriteTraits(), thin=True, sees_deletes=False
        )
        return MemoryHarness(MemorySystem([stream]))
