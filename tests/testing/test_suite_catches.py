"""The suite on itself: each defect is caught by the test that is meant to catch it.

All broken adapters run in one pytest process of their own, once.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from typing import get_args

import pytest

from moatbridge.adapter import CanReceive
from moatbridge.testing import AdapterConformance, Feature, Harness, MemoryAdapter
from testing.broken import DEFECTS
from testing.memory_harness import MemoryHarness
from testing.wire_adapter import WireAdapter

HEAD = """
import pytest
from moatbridge.testing import AdapterConformance, MemoryAdapter, MemorySystem
from servers.memory_wire import MemoryServer
from testing import broken
from testing.memory_harness import PEOPLE, MemoryHarness
from testing.wire_adapter import WireAdapter, WireHarness

class OverMemory(AdapterConformance):
    features = frozenset({"partitions", "deletes", "keyed", "conditional", "slots"})

    @pytest.fixture
    def harness(self):
        return MemoryHarness(kind=self.adapter)

class OverWire(AdapterConformance):
    features = frozenset({"network", "credentials", "keyed", "slots"})

    @pytest.fixture
    def harness(self):
        system = MemorySystem([PEOPLE])
        with MemoryServer(system, "a-long-password") as server:
            yield WireHarness(system, server, "a-long-password", self.adapter)

class TestGoodWire(OverWire):
    adapter = WireAdapter

class TestPlainOverride(OverMemory):
    adapter = MemoryAdapter
    def test_never_sleeps(self):
        pass

class TestNoneOverride(OverMemory):
    adapter = MemoryAdapter
    test_never_sleeps = None

class TestLenientOverride(OverMemory):
    adapter = MemoryAdapter
    @pytest.mark.xfail(reason="some day")
    def test_never_sleeps(self):
        assert False

class TestSkippedOverride(OverMemory):
    adapter = MemoryAdapter
    @pytest.mark.skip(reason="slow")
    def test_never_sleeps(self):
        assert False

class TestExcusedOverride(OverMemory):
    adapter = MemoryAdapter
    @pytest.mark.xfail(strict=True, reason="the driver naps, see its issue 7")
    def test_never_sleeps(self):
        assert False

class TestUndeclaredFeature(OverMemory):
    adapter = MemoryAdapter
    features = OverMemory.features - {"conditional"}

class TestUndeclaredLack(OverMemory):
    adapter = MemoryAdapter
    lacks = frozenset({"CanFind"})
"""

CONFTEST = """
import pytest
from moatbridge.testing.conformance import network

@pytest.fixture(autouse=True)
def impatient(request, monkeypatch):
    # A broken adapter hangs; a good one may take its time on a busy machine.
    if "Good" not in request.node.nodeid:
        monkeypatch.setattr(network, "PATIENCE", 0.3)
"""

WHOLE = re.findall(r"class (Test\w+)", HEAD)


def _broken_class(kind):
    base = "OverWire" if issubclass(kind, WireAdapter) else "OverMemory"
    return f"class Test{kind.__name__}({base}):\n    adapter = broken.{kind.__name__}\n"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of one run: (class, test) -> the worst outcome."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_all.py").write_text(HEAD + "\n".join(map(_broken_class, DEFECTS)))
    (folder / "conftest.py").write_text(CONFTEST)
    root = pathlib.Path(__file__).parents[1]
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {root}\n")
    wanted = [f"test_all.py::{name}" for name in WHOLE]
    wanted += [
        f"test_all.py::Test{kind.__name__}::{test}" for kind, test in DEFECTS.items()
    ]
    command = [sys.executable, "-m", "pytest", "-rA", "--tb=line", *wanted]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    found = {}
    lines = re.findall(
        r"^(\w+) test_all\.py::Test(\w+)::(\w+)", ran.stdout, re.MULTILINE
    )
    for outcome, kind, test in sorted(lines, reverse=True):
        found[kind, test] = outcome
    assert found, ran.stdout + ran.stderr
    return found


def failed(outcomes, kind):
    return {
        test for (k, test), word in outcomes.items() if k == kind and word == "FAILED"
    }


@pytest.mark.parametrize("kind", DEFECTS, ids=lambda kind: kind.__name__)
def test_a_broken_adapter_is_caught(kind, outcomes):
    assert DEFECTS[kind] in failed(outcomes, kind.__name__)


@pytest.mark.parametrize("way", ["Plain", "None", "Lenient", "Skipped"])
def test_switching_a_test_off_is_caught(way, outcomes):
    assert failed(outcomes, f"{way}Override") == {"test_no_silent_overrides"}


def test_an_override_with_a_strict_excuse_is_allowed(outcomes):
    assert failed(outcomes, "ExcusedOverride") == set()
    assert outcomes["ExcusedOverride", "test_never_sleeps"] == "XFAIL"


def test_the_guard_itself_cannot_be_overridden():
    with pytest.raises(TypeError, match="cannot be overridden"):

        class TestIt(AdapterConformance):
            adapter = MemoryAdapter

            def test_no_silent_overrides(self):
                pass


@pytest.mark.parametrize("what", ["Feature", "Lack"])
def test_a_wrong_declaration_is_caught(what, outcomes):
    wrong = failed(outcomes, f"Undeclared{what}")
    assert wrong == {"test_abilities_and_features_are_true"}


def test_missing_abilities_leave_tests_out_instead_of_skipping(outcomes):
    mine = {test: word for (kind, test), word in outcomes.items() if kind == "GoodWire"}
    assert set(mine.values()) == {"PASSED"}
    assert "test_scan_sees_everything_once" in mine
    assert "test_find_hits_exactly" not in mine
    assert "test_sees_deletes" not in mine


def test_a_subclass_with_more_features_runs_more_tests():
    class Less(AdapterConformance):
        adapter = MemoryAdapter

    class More(Less):
        features = frozenset({"keyed"})

    name = "test_repeating_a_create_has_no_second_effect"
    assert getattr(Less, name) is None
    assert callable(getattr(More, name))


def test_every_test_of_the_suite_is_run_where_everything_is_offered():
    able = type("Able", (MemoryAdapter, CanReceive), {"receive": None})
    everything = type(
        "All",
        (AdapterConformance,),
        {"adapter": able, "features": frozenset(get_args(Feature))},
    )
    names = [name for name in dir(AdapterConformance) if name.startswith("test_")]
    assert len(names) > 90
    assert all(callable(getattr(everything, name)) for name in names)


def test_the_harness_says_what_it_misses():
    class Bare(MemoryHarness):
        change = Harness.change

    with pytest.raises(NotImplementedError, match=r"Bare\.change"):
        Bare().change({})
