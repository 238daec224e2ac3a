from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guard.counting import RULES, context, plan, rule_names
from moatbridge.guard import judge_plan
from moatbridge.guard.concentration import COUNTERS, Concentration
from moatbridge.guard.plan_summary import MAX_PATHS, OTHER_PATHS


def counted(values):
    sketch = Concentration()
    for value in values:
        sketch.add(value)
    return sketch


@given(st.lists(st.integers(0, 300), max_size=1_500))
def test_the_top_count_is_never_too_low_and_hardly_too_high(values):
    true = max(Counter(values).values(), default=0)
    assert true <= counted(values).top <= true + len(values) / COUNTERS


def test_a_value_pushed_out_again_and_again_is_never_counted_too_low():
    values = []
    for turn in range(40):
        values += ["x", *(f"{turn}-{i // 2}" for i in range(2 * COUNTERS + 2))]
    sketch = counted(values)
    assert 40 <= sketch.top <= 40 + len(values) / COUNTERS
    assert len(sketch.to_dict()["counts"]) == COUNTERS


@given(st.lists(st.text(max_size=2) | st.none() | st.booleans(), max_size=COUNTERS))
def test_few_values_are_counted_exactly(values):
    # True and 1 would be one key for a Counter, not for JSON.
    true = max(Counter(repr(v) for v in values).values(), default=0)
    assert counted(values).top == true


@given(st.lists(st.lists(st.integers(0, 90), max_size=300), max_size=4))
def test_parts_join_without_losing_a_count(parts):
    joined = Concentration()
    for part in parts:
        joined.merge(Concentration.from_dict(counted(part).to_dict()))
    everything = [value for part in parts for value in part]
    assert joined.total == len(everything)
    assert joined.top >= max(Counter(everything).values(), default=0)


def test_a_late_flood_of_one_value_among_many_is_seen():
    summary = plan(100_000)
    for i in range(10_000):
        value = {"title": f"t{i}" if i < 900 else "x"}
        summary.add("update", changed=("title",), after=value)
    assert "same_value" in rule_names(judge_plan(summary, RULES, context()))


def test_memory_is_bounded_however_large_the_plan():
    summary = plan(1_000_000)
    for i in range(3_000):
        path = f"extensions.x{i}"
        summary.add("update", link_id=i, changed=(path,), after={path: i})
        summary.add("delete", link_id=i)
    assert len(summary.by_path) == MAX_PATHS + 1
    assert summary.by_path[OTHER_PATHS].changes == 3_000 - MAX_PATHS
    assert all(len(ids) <= 100 for ids in summary.samples.values())


def test_values_are_kept_as_keyed_digests():
    one, other = Concentration(b"a"), Concentration(b"b")
    one.add("canary")
    other.add("canary")
    assert "canary" not in str(one.to_dict())
    assert one.to_dict() != other.to_dict()
