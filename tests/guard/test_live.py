import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.counting import RULES, BrokenMemory, CountingMemory, context
from moatbridge.config.guard import GuardConfig, effective
from moatbridge.guard import (
    LiveWindow,
    WindowCount,
    counted,
    deactivates,
    window_counts,
)


def window(memory, rules=RULES, links=1_000):
    return LiveWindow(rules, context(memory), links=lambda most: min(links, most))


@pytest.mark.parametrize(
    ("change", "limit", "rule", "reason"),
    [
        ({"op": "delete"}, 20, "removals", "removal"),
        ({"op": "disable"}, 20, "removals", "removal"),
        ({"op": "left_scope"}, 20, "removals", "removal"),
        ({"op": "update", "deactivates": True}, 20, "removals", "removal"),
        ({"op": "create"}, 500, "creates", "limit"),
        ({"op": "update"}, 300, "updates", "limit"),
        ({"op": "renew"}, 300, "updates", "limit"),
        ({"op": "update", "changed": ["title"]}, 100, "field_change", "limit"),
        ({"op": "update", "blanked": ["title"]}, 20, "field_blank", "limit"),
        ({"op": "update", "privileged": True}, 0, "privileged", "limit"),
    ],
)
def test_live_changes_are_held_at_the_limit(change, limit, rule, reason):
    live = window(CountingMemory())
    for _ in range(limit):
        assert live.judge(**change).decision == "allow"
    verdict = live.judge(**change)
    assert (verdict.decision, verdict.rules) == ("hold", (rule,))
    assert verdict.reasons == (reason,)


def test_only_the_class_at_its_limit_is_held():
    live = window(CountingMemory())
    for _ in range(21):
        live.judge("delete")
    assert live.judge("delete").decision == "hold"
    assert live.judge("create").decision == "allow"
    assert live.judge("update", changed=["title"]).decision == "allow"


def test_links_are_counted_once_and_only_where_a_share_of_them_decides():
    """Counting reads every link there is: a first load must not do it each commit."""
    asked = []
    live = LiveWindow(
        RULES, context(CountingMemory()), links=lambda _most: asked.append(1) or 1_000
    )
    while live.judge("create").decision == "allow":
        pass
    removals = 0
    while not asked:
        assert live.judge("delete").decision == "allow"
        removals += 1
    assert removals > RULES["removals"].at_most(0) > 0
    while live.judge("delete").decision == "allow":
        removals += 1
    assert removals == RULES["removals"].at_most(1_000)
    while live.judge("update", changed=["title"]).decision == "allow":
        pass
    assert asked == [1]


@given(st.integers(0, 300_000))
def test_no_more_links_are_counted_than_decide(links):
    """The same limit as with all of them, for the price of what it takes."""
    asked = []

    def count(most):
        asked.append(most)
        return min(links, most)

    live = LiveWindow(RULES, context(CountingMemory()), links=count)
    limit = RULES["removals"].at_most(links)
    for _ in range(min(limit, 200)):
        assert live.judge("delete").decision == "allow"
    if limit < 200:
        assert live.judge("delete").decision == "hold"
    elif asked:
        assert RULES["removals"].at_most(max(asked) // 4) < 200


def test_live_changes_share_the_window_with_plans_and_earlier_batches():
    memory = CountingMemory()
    memory.add(window_counts([("removals", "")] * 18))
    batches = []
    for _ in range(4):
        live = window(memory)
        batches.append(live.judge("delete").decision)
        memory.add(live.counts())
    assert batches == ["allow", "allow", "hold", "hold"]
    memory.now += 86_401
    assert window(memory).judge("delete").decision == "allow"


def test_one_alert_not_ten_thousand():
    memory, alerts = CountingMemory(), []
    for _ in range(10):
        live = window(memory)
        for _ in range(50):
            live.judge("delete")
        alerts += live.alerts
        memory.add(live.counts())
    assert alerts == [("removals", "")]
    assert memory.seen("removals", "", 86_400) == 20
    assert memory.seen("removals.held", "", 86_400) == 480


def test_the_memory_is_asked_once_a_count():
    memory = CountingMemory()
    live = window(memory)
    for _ in range(1_000):
        live.judge("update", changed=["title", "nickName"], blanked=["title"])
    # updates, field_change and field_blank of two paths, and the held ones among them
    assert memory.looked_up <= 8


def test_held_changes_are_not_counted_as_sent():
    live = window(CountingMemory())
    for _ in range(30):
        live.judge("delete")
    assert live.counts() == (
        WindowCount("removals", "", 20),
        WindowCount("removals.held", "", 10),
    )


def test_observing_rules_count_but_do_not_hold():
    table = {"creates": {"mode": "observe"}, "loosen": {"creates": "x, y, 2099-01-01"}}
    live = window(CountingMemory(), effective(GuardConfig.model_validate(table)))
    verdicts = [live.judge("create") for _ in range(501)]
    assert {v.decision for v in verdicts} == {"allow"}
    assert verdicts[-1].rules == ("creates",)
    assert live.alerts == ()
    assert live.counts() == (WindowCount("creates", "", 501),)


def test_a_memory_that_fails_holds():
    live = window(BrokenMemory())
    verdict = live.judge("update")
    assert (verdict.decision, verdict.reasons) == ("hold", ("guard-bug",))
    assert live.counts() == ()


@pytest.mark.parametrize(
    ("op", "changed", "after", "disables"),
    [
        ("update", ["active"], {"active": False}, True),
        ("update", ["title", "active"], {"active": None}, True),
        ("update", ["active"], None, True),
        ("update", ["active"], {"active": True}, False),
        ("update", ["title"], {"active": False}, False),
        ("renew", ["active"], None, False),
        ("create", ["active"], {"active": False}, False),
    ],
)
def test_an_update_that_disables_is_a_removal_unless_it_is_known_not_to(
    op, changed, after, disables
):
    assert deactivates(op, changed, after) is disables


def test_what_a_change_counts_as():
    assert list(counted("create", ["title"], ["title"])) == [("creates", "")]
    assert list(counted("update", ["a"], ["b"], deactivates=True)) == [
        ("updates", ""),
        ("removals", ""),
        ("field_change", "a"),
        ("field_change", "b"),
        ("field_blank", "b"),
    ]


ops = st.sampled_from(["create", "update", "renew", "delete", "disable", "left_scope"])


@given(st.lists(st.tuples(ops, st.booleans()), max_size=80), st.integers(0, 40))
def test_no_class_ever_passes_its_limit(changes, links):
    memory = CountingMemory()
    for start in range(0, len(changes), 7):
        live = window(memory, links=links)
        for op, disables in changes[start : start + 7]:
            live.judge(op, changed=["title"], deactivates=disables)
        memory.add(live.counts())
    for rule in ("creates", "updates", "removals"):
        assert memory.seen(rule, "", 86_400) <= RULES[rule].at_most(links)
