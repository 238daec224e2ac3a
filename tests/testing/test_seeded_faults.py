"""Each seeded fault fails exactly the checks that are meant for it, of the whole suite.

All of them run in one pytest process of their own, once; the outcomes are read from the
report that the suite's plugin writes.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from moatbridge.testing import MemoryAdapter
from testing.inbox_adapter import InboxAdapter
from testing.seeded import MODULES, SEEDED
from testing.wire_adapter import WireAdapter

BASES = {
    MemoryAdapter: "OverMemory",
    WireAdapter: "OverWire",
    InboxAdapter: "OverInbox",
}
HEAD = """
import pytest
from moatbridge.testing import AdapterConformance, MemorySystem
from servers.memory_wire import MemoryServer
from testing import seeded_reading, seeded_wire, seeded_writing
from testing.inbox_adapter import InboxHarness
from testing.memory_harness import PEOPLE, MemoryHarness
from testing.wire_adapter import WireHarness

class OverMemory(AdapterConformance):
    features = frozenset(
        {"partitions", "deletes", "keyed", "conditional", "slots", "rejects"}
    )

    @pytest.fixture
    def harness(self):
        made = MemoryHarness(kind=self.adapter)
        made.translators = getattr(self.adapter, "translators", ())
        return made

class OverInbox(AdapterConformance):
    @pytest.fixture
    def harness(self):
        return InboxHarness(self.adapter)

class OverWire(AdapterConformance):
    features = frozenset(
        {"network", "credentials", "keyed", "slots", "busy", "short_pages"}
    )

    @pytest.fixture
    def harness(self):
        system = MemorySystem([PEOPLE])
        with MemoryServer(system, "a-long-password") as server:
            yield WireHarness(system, server, "a-long-password", self.adapter)
"""

CONFTEST = """
import pytest
from moatbridge.testing import hangs
from moatbridge.testing.conformance import hanging, network
from testing.seeded_wire import KeepsDeadConnections

CALM = ("ShortPage", "PageOf", "AsksAgain", "Busy")
TABLES = ("_OPENING", "_READING", "_FETCHING", "_WRITING")

@pytest.fixture(autouse=True)
def impatient(request, monkeypatch):
    name = request.node.nodeid  # only where it hangs for sure: the others may be slow
    if "Deadline" in name and ("_a_scan" in name or "stalled" in name):
        monkeypatch.setattr(network, "PATIENCE", 1.0)
        monkeypatch.setattr(hangs, "MARGIN", 0.5)
    if any(word in name for word in CALM):  # no faults of the wire: one cell will do
        for table in TABLES:
            monkeypatch.setattr(hanging, table, getattr(hanging, table)[:1])
    yield
    KeepsDeadConnections.idle.clear()  # the next test's port may be an old one
"""


def suite_of(kind):
    base = next(BASES[each] for each in kind.__mro__ if each in BASES)
    more = ""
    if hasattr(kind, "translators"):
        more = "    features = OverMemory.features | {'translator'}\n"
    home = kind.__module__.rpartition(".")[2]
    return (
        f"class Test{kind.__name__}({base}):\n    adapter = {home}.{kind.__name__}\n"
        + more
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of one run: class -> state -> names of checks."""
    folder = tmp_path_factory.mktemp("seeded")
    (folder / "test_all.py").write_text(HEAD + "\n".join(map(suite_of, SEEDED)))
    (folder / "conftest.py").write_text(CONFTEST)
    root = pathlib.Path(__file__).parents[1]
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {root}\n")
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--tb=no", "-n", "3"),
        *("--dist", "loadscope", "-p", "moatbridge.testing.pytest_plugin"),
        "--conformance-report=report.json",
    ]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    found = {}
    for suite in json.loads((folder / "report.json").read_text())["suites"]:
        states = found.setdefault(suite["suite"].removeprefix("Test"), {})
        for check in suite["checks"]:
            name = check["name"].removeprefix("test_")
            states.setdefault(check["state"], set()).add(name)
    return found


def test_each_module_of_faults_is_in_the_table():
    assert {kind.__module__ for kind in SEEDED} == {each.__name__ for each in MODULES}


@pytest.mark.parametrize("kind", SEEDED, ids=lambda kind: kind.__name__)
def test_a_seeded_fault_fails_exactly_its_checks(kind, outcomes):
    states = outcomes[kind.__name__]
    assert states.get("failed", set()) == SEEDED[kind]
    assert "not run" not in states
    assert len(states["passed"]) > 10
