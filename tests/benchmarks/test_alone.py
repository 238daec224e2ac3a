"""Works on one adapter alone: every variant does what it says, and the check would see it.

They run here, not in processes of their own: nothing is timed.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import pytest

# Libraries as scripts use them, and nobody closes what a process's end closes.
pytestmark = pytest.mark.filterwarnings("ignore")
WORKS = (
    "alone-ldap-scan", "alone-ldap-members", "alone-ldap-add", "alone-ldap-modify", "alone-sftp-small",
    "alone-sftp-large", "alone-csv", "alone-csv-typed", "alone-soap-answer", "alone-soap-calls", "alone-soap-open",
    "alone-sql-scan", "alone-sql-scan-sqlite", "alone-sql-upsert", "alone-sql-upsert-sqlite", "alone-scim-scan",
    "alone-scim-create", "alone-scim-bulk",
)  # fmt: skip


@pytest.fixture
def place(sink):
    """A short path: a directory's local socket lies below it."""
    from harness.scenario import Place

    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Place(folder, stack, sink, 1e-3)


def here(variant, order, _folder):
    """What a process of its own does, without measuring."""
    try:
        run = getattr(import_module(variant.module), variant.function)(order)
        return {"said": run()}
    finally:
        del run
        gc.unfreeze()
        gc.collect()  # what is left open ends here, and not in somebody else's test


@pytest.mark.parametrize("name", WORKS)
def test_every_variant_of_a_work_gets_it_right(place, name):
    from harness.program import works
    from harness.rounds import once

    work = works()[name](place)
    for variant in work.variants:
        found = once(place, work, variant, here)
        assert found["records"] >= 1


def test_no_work_on_an_adapter_is_left_out():
    from harness.program import works

    others = {"alone-memory"}  # whole flows, as those of the other scenarios
    assert {n for n in works() if n.startswith("alone-")} == {*WORKS, *others}


def test_what_was_not_written_is_a_failure_and_no_figure(place):
    from harness.program import works
    from harness.rounds import VariantFailed, once

    work = works()["alone-sql-upsert-sqlite"](place)
    with pytest.raises(VariantFailed, match="upsert-sqlite, driver: \\(0, "):
        once(place, work, work.variants[0], lambda *_all: {"said": {"seen": 200}})


def test_calls_of_a_service_are_counted_where_they_arrive(place):
    from harness.rounds import VariantFailed, once
    from scenarios.alone.service import Calls

    work = Calls(place)
    for variant in work.variants:
        found = once(place, work, variant, here)
        assert found["requests"] == found["records"] == work.count, variant.name
    said = {"said": {"seen": work.count}}
    with pytest.raises(VariantFailed, match="alone-soap-calls, naive: \\(0, "):
        once(place, work, work.variants[0], lambda *_all: said)


def test_what_was_not_compiled_is_a_failure_and_no_figure(place):
    from harness.rounds import VariantFailed, once
    from scenarios.alone.service import OPERATIONS, Opening

    work = Opening(place)
    said = {"said": {"seen": OPERATIONS - 1}}
    with pytest.raises(VariantFailed, match="alone-soap-open, moatbridge: \\(299, "):
        once(place, work, work.variants[-1], lambda *_all: said)


def test_searches_of_a_directory_are_counted(place, monkeypatch):
    from harness.rounds import once
    from scenarios.alone.directory import Members

    work = Members(place)
    found = {v.name: once(place, work, v, here)["requests"] for v in work.variants}
    assert found["naive"] > 100
    assert found["moatbridge"] <= found["ldap3"] + 5 <= 10

    # Who is given fewer reads no more than these: two pages, and a search for each.
    monkeypatch.setattr("scenarios.alone.directory_ways.PAGE", 50)
    naive = once(place, work, work.variants[0], here)
    assert naive["records"] == work.count // 2 == 100
    assert naive["requests"] == 2 + 100
