"""500 generated bad plans are all stopped, 500 good ones all pass (guard 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.counting import RULES, CountingMemory, adding, context, plan
from guard.disasters import (
    DISASTERS,
    differences,
    directory,
    everyday,
    multiplied,
    partly,
    sent,
    sizes,
    summarise,
)
from moatbridge.config.guard import FlowGuardConfig, effective
from moatbridge.guard import judge_plan
from moatbridge.guard.verdict import PLAN_STRICTNESS

AT_ONCE, SPREAD = 32, 10  # a kind; with 12 kinds 504 bad plans


def strictness(verdict):
    return PLAN_STRICTNESS.index(verdict.decision)


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda d: d.__name__)
def test_a_disaster_is_stopped_before_a_person_agrees(disaster):
    for size, rng in sizes(disaster.__name__, AT_ONCE, 40, 700):
        before = directory(rng, size)
        summary = summarise(before, disaster(rng, before))
        verdict = judge_plan(summary, RULES, context())
        assert verdict.decision in {"approve", "stop"}, size


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda d: d.__name__)
def test_a_disaster_spread_over_ten_runs_is_stopped(disaster):
    # Up to 500 new records a day pass out of the box, so a slow multiplication of a
    # small directory is not seen by its numbers: see the test below.
    least = 170 if disaster is multiplied else 60
    for size, rng in sizes(f"{disaster.__name__}-spread", SPREAD, least, 700):
        before = directory(rng, size)
        after = disaster(rng, before)
        keys = differences(before, after)
        memory, current, decisions = CountingMemory(), before, []
        for run in range(10):
            memory.now += 1_800
            goal = partly(current, after, keys[run::10])
            summary = summarise(current, goal)
            verdict = judge_plan(summary, RULES, context(memory))
            decisions.append(verdict.decision)
            if verdict.decision == "pass":
                memory.add(sent(summary))
                current = goal
        assert set(decisions) & {"approve", "stop"}, size
        assert len(differences(before, current)) < len(keys)


def test_how_many_new_records_a_day_pass_out_of_the_box():
    memory = CountingMemory()
    for _ in range(10):
        summary = adding(plan(100), "create", 50)
        assert judge_plan(summary, RULES, context(memory)).decision == "pass"
        memory.add(sent(summary))
    one_more = adding(plan(100), "create", 1)
    assert judge_plan(one_more, RULES, context(memory)).decision == "approve"


def test_everyday_life_passes():
    for size, rng in sizes("everyday", 500, 20, 700):
        before = directory(rng, size)
        verdict = judge_plan(summarise(before, everyday(rng, before)), RULES, context())
        assert verdict.decision == "pass", [f.sentence for f in verdict.findings]


def random_plan(numbers, **more):
    deletes, disables, left, creates, updates, seen = numbers
    summary = plan(800, seen=seen, **more)
    adding(summary, "delete", deletes)
    adding(summary, "disable", disables)
    adding(summary, "left_scope", left)
    adding(summary, "create", creates)
    return adding(summary, "update", updates, changed=("title",), blanked=("title",))


small = st.integers(0, 60)
numbers = st.tuples(
    small, small, small, st.integers(0, 520), st.integers(0, 300), st.integers(0, 2_500)
)


@given(numbers, st.integers(0, 2), st.integers(1, 200), st.booleans())
def test_more_removals_never_get_a_milder_decision(mix, kind, more, complete):
    worse = tuple(n + more if i == kind else n for i, n in enumerate(mix))
    verdicts = [
        judge_plan(random_plan(each, complete=complete), RULES, context())
        for each in (mix, worse)
    ]
    assert strictness(verdicts[0]) <= strictness(verdicts[1])
    assert verdicts[0].deletes_allowed >= verdicts[1].deletes_allowed


@given(numbers, st.integers(0, 900), st.integers(1, 200))
def test_a_fuller_window_never_gets_a_milder_decision(mix, earlier, more):
    verdicts = []
    for n in (earlier, earlier + more):
        memory = CountingMemory()
        memory.add([("removals", "", n), ("creates", "", n), ("updates", "", n)])
        verdicts.append(judge_plan(random_plan(mix), RULES, context(memory)))
    assert strictness(verdicts[0]) <= strictness(verdicts[1])


tighter = st.fixed_dictionaries(
    {},
    optional={
        "removals": st.fixed_dictionaries(
            {}, optional={"count": st.integers(0, 100), "least": st.integers(0, 5)}
        ),
        "creates": st.integers(0, 500),
        "updates": st.fixed_dictionaries({"count": st.integers(0, 900)}),
        "field_blank": st.fixed_dictionaries(
            {"share": st.sampled_from([0, 0.01, 0.02])}
        ),
        "shrink": st.fixed_dictionaries({"share": st.sampled_from([0.5, 0.7, 0.95])}),
        "growth": st.fixed_dictionaries({"share": st.sampled_from([1.1, 2.0, 3.0])}),
        "identity_churn": st.fixed_dictionaries({"least": st.integers(1, 10)}),
        "same_value": st.just({"mode": "enforce"}),
    },
)


@given(numbers, tighter)
def test_tightening_never_loosens(mix, table):
    rules = effective(None, FlowGuardConfig.model_validate(table))
    summary = random_plan(mix)
    default, own = (judge_plan(summary, r, context()) for r in (RULES, rules))
    assert strictness(default) <= strictness(own)
    assert default.deletes_allowed >= own.deletes_allowed
