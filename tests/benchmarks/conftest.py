from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def importable():
    """``benchmarks`` is no package: its folder is put on the path, as its program does."""
    sys.path.append(str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def sink(importable):
    """The platform of the benchmarks, in a process of its own."""
    from harness.scenario import SinkProcess

    with SinkProcess() as process:
        yield process


@pytest.fixture
def place(tmp_path, sink):
    """Where works happen, at a five-hundredth of their size."""
    from harness.scenario import Place

    with ExitStack() as stack:
        yield Place(tmp_path, stack, sink, 1 / 500)
