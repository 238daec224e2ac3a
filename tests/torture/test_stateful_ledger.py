"""The stateful test of the ledger at length, and every seeded bug within a minute."""

from __future__ import annotations

import logging

import pytest

from ledger.seeded_bugs import BUGS
from ledger.still_machine import StillMachine
from ledger.test_stateful import PATIENCE, find, search


@pytest.mark.parametrize("seed", range(10))
def test_20_000_examples_find_nothing_on_sqlite(seed):
    search(StillMachine, examples=2000, derandomize=False)


def test_500_examples_find_nothing_on_postgresql(ledger_server):
    there = type("OnPostgreSQL", (StillMachine,), {"place": ledger_server.place()})
    search(there, examples=500, derandomize=False)


@pytest.mark.parametrize("bug", BUGS)
def test_each_seeded_bug_is_found_within_a_minute(bug):
    took = find(bug)
    logging.getLogger(__name__).warning("%s: found in %.1f s of CPU", bug, took)
    assert took < PATIENCE
