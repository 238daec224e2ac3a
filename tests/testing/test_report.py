"""The report of a conformance run, and the plugin that writes and verifies it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from moatbridge.testing import AdapterConformance
from moatbridge.testing.conformance.base import suite_tests
from moatbridge.testing.conformance.topics import TOPICS
from moatbridge.testing.report import (
    END,
    START,
    ReportError,
    Suite,
    checks,
    markdown,
    spliced,
)

ROOT = pathlib.Path(__file__).parents[2]
SUITE = """
import pytest
from moatbridge.testing import AdapterConformance, MemoryAdapter
from testing.memory_harness import MemoryHarness

class TestMemory(AdapterConformance):
    adapter = MemoryAdapter
    features = frozenset({"partitions", "deletes", "keyed", "conditional", "slots"})

    @pytest.fixture
    def harness(self):
        return MemoryHarness()

    @pytest.mark.xfail(strict=True, reason="naps, see its issue 7")
    def test_never_sleeps(self):
        assert False

    def test_of_the_author(self):
        pass
"""


def test_every_check_has_one_topic_and_a_promise():
    listed = [name for names in TOPICS.values() for name in names]
    assert sorted(listed) == sorted(suite_tests(AdapterConformance))
    assert all(check.promise.endswith(".") for check in checks())
    assert len({check.sentence for check in checks()}) == len(listed) > 90


def suite(*features, adapter="erp", name="TestOrders"):
    made = Suite(adapter, name, frozenset(features))
    for check in checks():
        if check.needs <= made.has:
            made.note(check.name, "passed")
    return made


def state(made, name):
    (found,) = [check for check in checks() if check.name == name]
    return made.state(found)


def test_of_several_parameters_the_worst_counts():
    made = suite("CanScan", "network")
    name = "test_an_interrupted_scan_never_completes"
    for each in ("passed", "failed", "passed"):
        made.note(name, each)
    assert state(made, name) == "failed"
    assert "| An interrupted scan never completes | **FAILED** |" in markdown([made])


def test_what_is_not_offered_is_neither_passed_nor_hidden():
    text = markdown([suite("CanScan")])
    assert "| Receiving | - |" in text
    assert "| Paging | all 6 |" in text
    assert "| A delivery is read | - |" in text


def test_what_did_not_run_is_not_called_passed():
    made = Suite("erp", "TestOrders", frozenset({"CanScan"}))
    assert state(made, "test_never_sleeps") == "not run"
    assert "| Paging | 0 of 6 |" in markdown([made])


def test_a_known_weakness_is_told_with_its_reason():
    made = suite("CanScan")
    made.note("test_never_sleeps", "known weakness", "the driver\nnaps")
    text = markdown([made, suite("CanScan", name="TestOther")])
    assert "- Never sleeps (Orders): the driver naps" in text
    assert "| Never sleeps | known weakness | passed |" in text


def test_only_the_part_between_the_markers_is_replaced():
    old = f"# Erp\n\n{START}\nold\n{END}\nThe rest.\n"
    assert spliced(old, "new\n") == f"# Erp\n\n{START}\nnew\n{END}\nThe rest.\n"
    assert spliced(None, "new\n") == f"{START}\nnew\n{END}\n"


@pytest.mark.parametrize("text", ["", START, f"{END} {START}", f"{START} {END} {END}"])
def test_a_file_without_the_two_markers_is_left_alone(text):
    with pytest.raises(ReportError):
        spliced(text, "new\n")


def run(folder, *more):
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", "moatbridge.testing.pytest_plugin", *more),
    ]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A distribution after one reported run."""
    made = tmp_path_factory.mktemp("distribution")
    (made / "test_memory.py").write_text(SUITE)
    (made / "README.md").write_text(f"# Mine\n\n{START}\n{END}\n\nTail.\n")
    ran = run(
        made,
        "--conformance-report=README.md",
        "--conformance-report={adapter}.json",
        "--conformance-verify=memory.json",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return made


def test_a_run_writes_its_report_into_the_readme_and_as_json(folder):
    text = (folder / "README.md").read_text()
    assert text.startswith(f"# Mine\n\n{START}\n")
    assert text.endswith(f"{END}\n\nTail.\n")
    assert "- Never sleeps (Memory): naps, see its issue 7" in text
    assert "of the author" not in text.lower()
    (told,) = json.loads((folder / "memory.json").read_text())["suites"]
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert states["test_never_sleeps"] == "known weakness"
    assert states["test_no_wire_holds_a_scan"] == "not offered"
    assert states["test_scan_sees_everything_once"] == "passed"
    assert set(states.values()) == {"passed", "known weakness", "not offered"}


def test_the_same_run_on_several_workers_gives_the_same_report(folder):
    ran = run(folder, "-n", "2", "--conformance-verify=README.md")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_collection_alone_tells_whether_the_report_is_up_to_date(folder):
    good = run(folder, "--collect-only", "--conformance-verify=README.md")
    assert good.returncode == 0, good.stdout + good.stderr
    old = (folder / "README.md").read_text().replace("| Never sleeps |", "| Sleeps |")
    (folder / "OLD.md").write_text(old)
    stale = run(folder, "--collect-only", "--conformance-verify=OLD.md")
    assert stale.returncode == 1
    assert "conformance report out of date: OLD.md" in stale.stdout


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("No markers.\n", [], "needs one line <!-- conformance -->"),
        (f"{START}\n{END}\n", ["--collect-only"], "--conformance-report needs a run"),
    ],
)
def test_what_could_not_be_written_is_said_before_the_run(
    folder, tmp_path, text, more, words
):
    (tmp_path / "README.md").write_text(text)
    ran = run(folder, f"--conformance-report={tmp_path / 'README.md'}", *more)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in ran.stderr
    assert (tmp_path / "README.md").read_text() == text


def test_the_tables_of_the_shipped_adapters_are_up_to_date():
    """After a change: pytest adapters --conformance-report 'adapters/{adapter}/README.md'."""
    paths = sorted(ROOT.glob("adapters/*/tests/test_conformance.py"))
    assert len(paths) == 7
    ran = run(
        ROOT,
        "--collect-only",
        "--conformance-verify=adapters/{adapter}/README.md",
        *map(str, paths),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
