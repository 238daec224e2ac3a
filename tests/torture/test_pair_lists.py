"""Lists that both sides of a pair change: many more orders of edits, passes and kills.

``MOATBRIDGE_EXAMPLES`` of each; 250 take about six minutes.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow import test_pair_lists_model as lists
from moatbridge.resilience.retry import Retry

EXAMPLES = int(os.environ.get("MOATBRIDGE_EXAMPLES", "250"))
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)


@given(st.lists(lists.STEP, min_size=4, max_size=24))
@MANY
def test_the_model_holds(steps):
    plain = lists.test_both_lists_are_what_the_plain_three_way_model_says
    plain.hypothesis.inner_test(steps)


@given(st.lists(lists.SLICES, min_size=6, max_size=30))
@MANY
def test_nothing_is_lost_in_between(steps):
    plain = lists.test_whatever_is_planned_meanwhile_both_hold_all_that_was_added_and_not_removed
    plain.hypothesis.inner_test(steps)
