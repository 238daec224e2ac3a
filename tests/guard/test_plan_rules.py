"""Every plan rule one below its limit, at it, and one above."""

import pytest

from guard.counting import (
    RULES,
    CountingMemory,
    adding,
    context,
    plan,
    rule_names,
)
from moatbridge.config.guard import GuardConfig, effective
from moatbridge.guard import judge_plan, window_counts


def removing(op):
    return lambda n: adding(plan(2_000, missing=n), op, n)


def deactivating(n):
    return adding(
        plan(2_000), "update", n, changed=("active",), after={"active": False}
    )


def mixed_removals(n):
    summary = adding(plan(2_000), "delete", n - 10)
    adding(summary, "left_scope", 5)
    return adding(summary, "update", 5, changed=("active",), after={"active": False})


def churning(n):
    return plan(1_000, new=n, missing=n)


def few_churning(n):
    return plan(20, new=n, missing=n)


def changing(n):
    summary = plan(1_000)
    for link_id in range(n):
        value = {"title": f"t{link_id}"}
        summary.add("update", link_id=link_id, changed=("title",), after=value)
    return summary


def blanking(n):
    return adding(plan(1_000), "update", n, changed=("title",), blanked=("title",))


def unifying(n):
    """100 changed titles, diverse before, n of them now the same."""
    summary = plan(1_000)
    for i in range(100):
        after = {"title": "x" if i < n else f"t{i}"}
        before = {"title": f"old {i}"}
        summary.add("update", changed=("title",), after=after, before=before)
    return summary


def few_unifying(n):
    return adding(plan(1_000), "update", n, changed=("title",), after={"title": "x"})


def newly_privileged(n):
    return plan(1_000, privileged=n)


def shrunk(limit):
    """Turns "at most" into "at least": one above the limit is one record less."""
    return lambda n: plan(1_000, seen=limit - (n - limit))


CASES = [
    ("removals", "approve", 40, removing("delete")),
    ("removals", "approve", 40, removing("disable")),
    ("removals", "approve", 40, removing("left_scope")),
    ("removals", "approve", 40, deactivating),
    ("removals", "approve", 40, mixed_removals),
    ("creates", "approve", 500, lambda n: adding(plan(), "create", n)),
    ("updates", "approve", 300, lambda n: adding(plan(), "update", n)),
    ("updates", "approve", 50, lambda n: adding(plan(10), "renew", n)),
    ("field_change", "approve", 100, changing),
    ("field_blank", "approve", 20, blanking),
    ("identity_churn", "stop", 100, churning),
    ("identity_churn", "stop", 9, few_churning),
    ("growth", "approve", 3_000, lambda n: plan(seen=n)),
    ("growth", "approve", 60, lambda n: plan(20, seen=n)),
    ("shrink", "stop", 500, shrunk(500)),
    ("privileged", "approve", 0, newly_privileged),
    ("fields", "approve", 0, lambda n: plan(new_fields=("mail -> emails",) * n)),
]
IDS = [f"{case[0]}-{i}" for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("rule", "decision", "limit", "make"), CASES, ids=IDS)
def test_rule_at_its_limit(rule, decision, limit, make):
    for n in (limit - 1, limit):
        if n >= 0:
            verdict = judge_plan(make(n), RULES, context())
            assert (verdict.decision, verdict.findings) == ("pass", ()), n
    verdict = judge_plan(make(limit + 1), RULES, context())
    assert verdict.decision == decision
    (finding,) = [f for f in verdict.findings if f.rule == rule]
    assert finding.limit == finding.nearest_pass == limit
    assert finding.seen == (limit - 1 if rule == "shrink" else limit + 1)


@pytest.mark.parametrize("make", [unifying, few_unifying])
def test_same_value_only_warns_out_of_the_box(make):
    limit = {unifying: 89, few_unifying: 19}[make]
    for n in (limit - 1, limit):
        assert judge_plan(make(n), RULES, context()).findings == ()
    verdict = judge_plan(make(limit + 1), RULES, context())
    assert verdict.decision == "pass"
    assert rule_names(verdict) == {"same_value"}


def test_same_value_decides_when_enforced():
    rules = effective(GuardConfig.model_validate({"same_value": {"mode": "enforce"}}))
    assert judge_plan(unifying(89), rules, context()).decision == "pass"
    assert judge_plan(unifying(90), rules, context()).decision == "approve"


def test_a_unit_that_always_had_one_value_may_be_renamed():
    summary = plan(1_000)
    for _ in range(50):
        summary.add(
            "update",
            changed=("title",),
            after={"title": "new"},
            before={"title": "old"},
        )
    assert judge_plan(summary, RULES, context()).findings == ()


@pytest.mark.parametrize("seen", [0, 9, 19])
def test_shrink_leaves_small_sources_alone_but_never_an_empty_one(seen):
    verdict = judge_plan(plan(19, seen=seen), RULES, context())
    assert verdict.decision == ("stop" if seen == 0 else "pass")
    assert judge_plan(plan(20, seen=9), RULES, context()).decision == "stop"


@pytest.mark.parametrize("prev_seen", [None, 0])
def test_shrink_without_a_last_pass_compares_with_the_links(prev_seen):
    verdict = judge_plan(plan(1_000, prev_seen=prev_seen, seen=3), RULES, context())
    assert verdict.decision == "stop"


def test_nothing_to_lose_is_not_shrunk():
    empty = plan(0, seen=0, prev_seen=None, first_run=True)
    assert judge_plan(empty, RULES, context()).decision == "pass"


def test_a_shrunken_pass_deletes_nothing():
    assert not judge_plan(plan(seen=400), RULES, context()).deletes_allowed
    assert judge_plan(plan(seen=600), RULES, context()).deletes_allowed


@pytest.mark.parametrize("how", [{"complete": False}, {"server_changed": True}])
def test_an_incomplete_pass_deletes_nothing_and_lets_updates_stand(how):
    verdict = judge_plan(adding(plan(**how, missing=9), "update", 3), RULES, context())
    assert not verdict.deletes_allowed
    assert "complete_scan" in rule_names(verdict)
    assert verdict.decision == ("confirm" if "server_changed" in how else "pass")


@pytest.mark.parametrize("how", [{"complete": False}, {"server_changed": True}])
def test_an_incomplete_pass_that_removes_is_stopped_for_good(how):
    verdict = judge_plan(adding(plan(**how), "disable", 1), RULES, context())
    assert verdict.decision == "stop"
    assert not verdict.deciding[0].acceptable


def test_no_pass_at_all_is_not_an_empty_one():
    verdict = judge_plan(plan(seen=None, complete=False), RULES, context())
    assert verdict.decision == "pass"
    assert not verdict.deletes_allowed


def test_one_person_disabled_on_an_incomplete_pass_by_the_source_is_an_update():
    summary = plan(complete=False)
    summary.add("update", changed=("active",), after={"active": False})
    assert judge_plan(summary, RULES, context()).decision == "pass"


@pytest.mark.parametrize(
    ("exposure", "decision"), [("internal", "confirm"), ("external", "approve")]
)
def test_first_run_within_creates(exposure, decision):
    first = plan(0, seen=500, prev_seen=None, first_run=True, exposure=exposure)
    assert judge_plan(adding(first, "create", 500), RULES, context()).decision == (
        decision
    )


def test_first_run_above_creates_takes_another_person():
    first = plan(0, seen=501, prev_seen=None, first_run=True)
    verdict = judge_plan(adding(first, "create", 501), RULES, context())
    assert verdict.decision == "approve"
    assert rule_names(verdict) == {"first_run", "creates"}


def test_a_first_run_that_does_nothing_passes():
    first = plan(0, seen=5, prev_seen=None, first_run=True)
    assert judge_plan(first, RULES, context()).decision == "pass"


def test_changes_of_new_records_count_as_creates_only():
    summary = adding(plan(), "create", 200, changed=("title",), after={"title": "x"})
    assert judge_plan(summary, RULES, context()).findings == ()
    assert summary.by_path == {}


@pytest.mark.parametrize(
    ("op", "rule", "limit"),
    [
        ("delete", "removals", 20),
        ("create", "creates", 500),
        ("update", "updates", 300),
    ],
)
def test_many_small_runs_count_as_one_big_one(op, rule, limit):
    memory = CountingMemory()
    memory.add(window_counts([(rule, "")] * (limit - 3)))
    assert judge_plan(adding(plan(), op, 3), RULES, context(memory)).decision == "pass"
    verdict = judge_plan(adding(plan(), op, 4), RULES, context(memory))
    assert verdict.decision == "approve"
    (finding,) = verdict.findings
    assert (finding.seen, finding.limit, finding.nearest_pass) == (limit + 1, limit, 3)
    memory.now += 86_401
    assert judge_plan(adding(plan(), op, 4), RULES, context(memory)).decision == "pass"


@pytest.mark.parametrize("rule", ["field_change", "field_blank"])
def test_windows_count_by_path(rule):
    memory = CountingMemory()
    memory.add(window_counts([(rule, "title")] * 100))
    verdict = judge_plan(blanking(1), RULES, context(memory))
    assert rule_names(verdict) == {rule}
    memory.events = [(at, name, "nickName", n) for at, name, _, n in memory.events]
    assert judge_plan(blanking(1), RULES, context(memory)).decision == "pass"


def test_a_full_window_does_not_stop_a_plan_without_such_changes():
    memory = CountingMemory()
    memory.add(window_counts([("removals", "")] * 900))
    assert judge_plan(adding(plan(), "create", 5), RULES, context(memory)).decision == (
        "pass"
    )


def test_a_negative_count_in_the_window_widens_nothing():
    memory = CountingMemory()
    memory.add([("removals", "", -500)])
    verdict = judge_plan(adding(plan(), "delete", 21), RULES, context(memory))
    assert verdict.decision == "approve"


def test_observing_and_warning_rules_are_listed_but_do_not_decide():
    table = {
        "creates": {"mode": "observe"},
        "updates": {"mode": "warn"},
        "loosen": dict.fromkeys(("creates", "updates"), "try, A. Example, 2099-01-01"),
    }
    rules = effective(GuardConfig.model_validate(table))
    summary = adding(adding(plan(), "create", 501), "update", 301)
    verdict = judge_plan(summary, rules, context())
    assert verdict.decision == "pass"
    assert [(f.rule, f.mode, f.decision) for f in verdict.findings] == [
        ("creates", "observe", "approve"),
        ("updates", "warn", "approve"),
    ]


def test_the_strictest_finding_decides_and_all_are_kept():
    summary = adding(adding(plan(seen=100, missing=900), "delete", 900), "create", 501)
    verdict = judge_plan(summary, RULES, context())
    assert verdict.decision == "stop"
    assert rule_names(verdict) == {"shrink", "identity_churn", "removals", "creates"}
    assert verdict.findings[0].decision == "stop"
    assert verdict.findings[-1].decision == "approve"


def test_without_four_eyes_approval_becomes_confirmation():
    rules = effective(GuardConfig(four_eyes=False))
    verdict = judge_plan(adding(plan(), "delete", 21), rules, context())
    assert (verdict.decision, verdict.four_eyes) == ("confirm", False)
    assert judge_plan(plan(seen=1), rules, context()).decision == "stop"


@pytest.mark.parametrize(
    ("summary", "exit_code"),
    [
        (plan(), 0),
        (adding(plan(first_run=True), "create", 1), 10),
        (adding(plan(), "delete", 21), 11),
        (plan(seen=0), 12),
    ],
)
def test_exit_codes(summary, exit_code):
    assert judge_plan(summary, RULES, context()).exit_code == exit_code


def test_a_manager_reads_the_sentence():
    summary = adding(plan(2_000), "disable", 812)
    (finding,) = judge_plan(summary, RULES, context()).findings
    assert finding.sentence == (
        "would remove 812 of 2,000 people (40.6 %); the limit is 40"
    )
    assert finding.sample == tuple(range(100))


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        (
            plan(seen=3),
            "saw only 3 people where there were 1,000; at least 500 are needed",
        ),
        (
            plan(seen=9_000),
            "saw 9,000 people where there were 1,000; at most 3,000 pass",
        ),
        (adding(plan(), "create", 501), "would create 501 people; the limit is 500"),
        (
            changing(101),
            "would change title of 101 of 1,000 people (10.1 %); the limit is 100",
        ),
        (
            blanking(21),
            "would empty title of 21 of 1,000 people (2.1 %); the limit is 20",
        ),
        (
            adding(plan(complete=False), "delete", 3),
            "rests on an incomplete pass, but would remove 3 people; that cannot be accepted",
        ),
        (
            plan(new_fields=("hr mail -> social emails",)),
            "would let 1 more fields leave: hr mail -> social emails",
        ),
    ],
)
def test_sentences(summary, sentence):
    assert sentence in [
        f.sentence for f in judge_plan(summary, RULES, context()).findings
    ]


def test_a_stopped_plan_is_an_error_with_all_numbers():
    verdict = judge_plan(adding(plan(), "delete", 21), RULES, context())
    error = verdict.stopped()
    assert error.code == "guard.removals"
    assert error.details["seen"] == 21
    assert error.details["nearest_pass"] == 20
    assert error.details["digest"] == "d1"
    assert "moatbridge plan people" in error.message


def test_sentences_never_hold_values():
    secret = "Grace-Hopper-canary"
    summary = plan(entity_type="Group")
    for i in range(150):
        summary.add(
            "update",
            link_id=i,
            changed=("title", "active"),
            blanked=("nickName",),
            after={"title": secret, "active": False},
            before={"title": f"{secret}{i}", "nickName": secret},
        )
    verdict = judge_plan(summary, RULES, context())
    assert rule_names(verdict) >= {
        "removals",
        "field_change",
        "field_blank",
        "same_value",
    }
    said = repr(verdict) + str(verdict.stopped()) + str(verdict.stopped().details)
    assert secret not in said
    assert secret not in str(summary.to_dict()) + repr(summary)


def test_the_plan_is_judged_the_same_in_parts():
    whole, parts = plan(2_000), [plan(2_000) for _ in range(7)]
    for i in range(900):
        op = ("update", "delete", "create", "renew", "left_scope")[i % 5]
        values = {"title": f"v{i % 90}"}
        for summary in (whole, parts[i % 7]):
            summary.add(op, changed=("title",), after=values, before=values)
    joined = plan(2_000)
    for part in parts:
        joined.merge(type(part).from_dict(part.to_dict()))
    verdicts = [judge_plan(s, RULES, context()) for s in (whole, joined)]
    assert verdicts[0] == verdicts[1]
    assert joined.counts == whole.counts
