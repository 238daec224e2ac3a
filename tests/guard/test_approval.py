import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.counting import NOON, RULES, BrokenMemory, adding, context, plan
from moatbridge.config.guard import GuardConfig, effective
from moatbridge.errors import GuardStopped
from moatbridge.guard import PLAN_CHECKS, Approval, check_approval, judge_plan

ONE_EYE = effective(GuardConfig(four_eyes=False))


def judged(kind, rules=RULES):
    summary = {
        "pass": plan(),
        "confirm": adding(plan(first_run=True), "create", 7),
        "approve": adding(plan(), "delete", 30),
        "stop": plan(seen=3, missing=997),
        "forbidden": adding(plan(complete=False), "delete", 2),
    }[kind]
    return judge_plan(summary, rules, context())


def approval(principal="eve", **more):
    settings = {"digest": "d1", "principal": principal, "time": NOON + 60}
    return Approval(**(settings | more))


def check(verdict, *approvals, starter="sam", now=NOON + 3600):
    check_approval(verdict, approvals, starter=starter, now=now)


def refused(verdict, *approvals, **more):
    with pytest.raises(GuardStopped) as stopped:
        check(verdict, *approvals, **more)
    return stopped.value


def accepting(principal, verdict, *rules):
    return approval(principal, accepted=frozenset(rules), count=verdict.count)


def test_a_plan_that_passes_needs_nobody():
    assert check(judged("pass")) is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("confirm", "guard.first_run"),
        ("approve", "guard.removals"),
        ("stop", "guard.shrink"),
    ],
)
def test_without_any_agreement_the_rule_is_named(kind, code):
    assert refused(judged(kind)).code == code


def test_confirm_is_typing_the_number_shown():
    verdict = judged("confirm")
    assert verdict.count == 7
    for count in (None, 0, 6, 8):
        assert refused(verdict, approval("sam", count=count)).code == "guard.approval"
    check(verdict, approval("sam", count=7))


def test_approve_is_another_person():
    verdict = judged("approve")
    for name in ("sam", " Sam", "\uff33\uff21\uff2d", ""):
        assert refused(verdict, approval(name)).code == "guard.approval"
    check(verdict, approval("eve"))


def test_without_four_eyes_the_starter_confirms():
    verdict = judged("approve", ONE_EYE)
    assert refused(verdict, approval("sam")).code == "guard.approval"
    check(verdict, approval("sam", count=30))


def test_stop_takes_two_persons_who_name_the_rule_and_type_the_number():
    verdict = judged("stop")
    assert verdict.count == 997
    sam, eve = (accepting(name, verdict, "shrink") for name in ("sam", "eve"))
    check(verdict, sam, eve)
    for short in (
        [sam],
        [eve],
        [sam, accepting("SAM", verdict, "shrink")],
        [sam, accepting("eve", verdict, "growth")],
        [sam, approval("eve", accepted=frozenset({"shrink"}), count=996)],
        [sam, approval("eve", accepted=frozenset({"shrink"}))],
        [sam, approval("eve", count=997)],
    ):
        error = refused(verdict, *short)
        assert error.code == "guard.approval"
        assert "--accept shrink" in error.message
    check(judged("stop", ONE_EYE), sam)


def test_every_stopping_rule_is_named():
    summary = plan(seen=3, missing=500, new=500)
    verdict = judge_plan(summary, RULES, context())
    both = [accepting(n, verdict, "shrink", "identity_churn") for n in ("a", "b")]
    one = [accepting(n, verdict, "shrink") for n in ("a", "b")]
    assert refused(verdict, *one).code == "guard.approval"
    check(verdict, *both)


def test_removals_from_an_incomplete_pass_cannot_be_accepted():
    verdict = judged("forbidden")
    people = [accepting(n, verdict, "complete_scan") for n in ("sam", "eve", "bob")]
    error = refused(verdict, *people)
    assert error.code == "guard.not-acceptable"
    assert error.details["exit_code"] == 12


@pytest.mark.parametrize("kind", ["pass", "confirm", "approve", "stop"])
@pytest.mark.parametrize("age", [86_401, 7 * 86_400, -61])
def test_a_plan_lives_a_day(kind, age):
    verdict = judged(kind)
    people = [accepting(n, verdict, "shrink") for n in ("sam", "eve")]
    assert refused(verdict, *people, now=NOON + age).code == "guard.plan-expired"


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "d2"},
        {"digest": ""},
        {"time": NOON - 3_600},
        {"time": NOON + 7_200},
    ],
)
def test_agreement_to_another_plan_or_time_is_void(other):
    error = refused(judged("approve"), approval(**other))
    assert error.code == "guard.approval"
    assert "void" in error.message


def test_a_plan_without_digest_cannot_be_approved():
    verdict = judge_plan(adding(plan(digest=""), "delete", 30), RULES, context())
    assert refused(verdict, approval(digest="")).code == "guard.approval"


@pytest.mark.parametrize("rule", PLAN_CHECKS)
def test_a_plan_rule_that_raises_stops_the_plan(rule):
    def broken(*_):
        raise ZeroDivisionError

    checks = {**PLAN_CHECKS, rule: broken}
    verdict = judge_plan(plan(), RULES, context(), checks=checks)
    assert (verdict.decision, verdict.exit_code) == ("stop", 12)
    assert "ZeroDivisionError" in verdict.findings[0].sentence
    assert verdict.deletes_allowed is (rule not in {"complete_scan", "shrink"})
    expected = "not-acceptable" if rule in {"complete_scan", "shrink"} else rule
    assert refused(verdict).code == f"guard.{expected}"


@pytest.mark.parametrize("op", ["create", "update", "delete"])
def test_a_memory_that_fails_stops_the_plan(op):
    summary = adding(plan(), op, 1, changed=("title",))
    verdict = judge_plan(summary, RULES, context(BrokenMemory()))
    assert verdict.decision == "stop"
    assert "OSError" in verdict.findings[0].sentence
    assert "disk" not in verdict.findings[0].sentence


names = st.sampled_from(["sam", "SAM ", "eve", "bob", ""])
approvals = st.lists(
    st.builds(
        Approval,
        st.sampled_from(["d1", "d1", "d2", ""]),
        names,
        st.sampled_from([NOON, NOON + 60, NOON - 9_999]),
        st.frozensets(st.sampled_from(["shrink", "removals"]), max_size=2),
        st.sampled_from([None, 7, 30, 997, 5]),
    ),
    max_size=5,
)


@given(st.sampled_from(["confirm", "approve", "stop", "forbidden"]), approvals)
def test_nothing_is_applied_that_was_not_properly_agreed_to(kind, given_):
    verdict = judged(kind)
    valid = [
        a for a in given_ if a.digest == "d1" and a.time >= NOON and a.principal.strip()
    ]
    people = {a.principal.strip().lower() for a in valid}
    typed = [a for a in valid if a.count == verdict.count]
    accepted = {a.principal.strip().lower() for a in typed if "shrink" in a.accepted}
    enough = {
        "confirm": bool(typed),
        "approve": bool(people - {"sam"}),
        "stop": len(accepted) >= 2,
        "forbidden": False,
    }[kind]
    try:
        check(verdict, *given_)
    except GuardStopped:
        assert not enough
    else:
        assert enough
