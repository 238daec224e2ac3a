from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moatbridge.config.guard import FlowGuardConfig, GuardConfig, effective
from moatbridge.config.guard_rules import BUILT_IN, MODES, Rule, loosens
from moatbridge.errors import ConfigurationError

REASON = "yearly reorganisation, A. Example, until 2027-01-31"


def guard(**table):
    return GuardConfig.model_validate(table)


def flow_guard(**table):
    return FlowGuardConfig.model_validate(table)


@pytest.mark.parametrize(
    ("rule", "links", "limit"),
    [
        ("removals", 0, 5),
        ("removals", 250, 5),
        ("removals", 300, 6),
        ("removals", 2_000, 40),
        ("removals", 1_000_000, 100),
        ("creates", 10, 500),
        ("creates", 1_000_000, 500),
        ("updates", 100, 50),
        ("updates", 1_000, 300),
        ("field_change", 100, 20),
        ("field_change", 1_000, 100),
        ("field_blank", 100, 5),
        ("field_blank", 1_000, 20),
        ("privileged", 1_000, 0),
    ],
)
def test_limits_out_of_the_box(rule, links, limit):
    assert effective()[rule].at_most(links) == limit


def test_modes_and_fixed_rules_out_of_the_box():
    rules = effective()
    assert {n for n, r in rules.rules.items() if r.mode != "enforce"} == {
        "same_value", "card", "iban", "national_id", "email", "phone", "marker",
        "internal_url", "word",
    }  # fmt: skip
    assert {n for n, r in rules.rules.items() if r.fixed} == {
        "complete_scan",
        "shrink",
        "first_run",
        "fields",
        "label",
        "deny_fields",
        "audience",
        "external",
        "free_text",
    }


def test_a_plain_number_is_exactly_that_number():
    rules = effective(guard(creates=20))
    assert rules["creates"].at_most(1_000_000) == 20


def test_keys_left_out_of_a_table_keep_their_value():
    rules = effective(guard(removals={"count": 10}))
    assert [rules["removals"].at_most(n) for n in (10, 300, 10_000)] == [5, 6, 10]


def test_the_example_of_the_specification_loads():
    rules = effective(guard(removals={"count": 100, "share": 0.02, "least": 5}))
    assert rules["removals"].at_most(2_000) == 40
    assert rules.origin["removals"] == "[guard]"


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"creates": 501}, "guard.creates"),
        ({"removals": 50}, "guard.removals"),  # looser below 2,500 links
        ({"removals": {"share": 0.03}}, "guard.removals"),
        ({"removals": {"mode": "warn"}}, "guard.removals"),
        ({"growth": {"share": 4.0}}, "guard.growth"),
        ({"shrink": {"share": 0.4}}, "guard.shrink"),
        ({"shrink": {"least": 30}}, "guard.shrink"),
        ({"identity_churn": {"mode": "observe"}}, "guard.identity_churn"),
        ({"privileged": 1}, "guard.privileged"),
    ],
)
def test_loosening_without_a_reason_is_refused(table, key):
    with pytest.raises(ConfigurationError) as refused:
        effective(guard(**table))
    assert refused.value.code == "guard.loosened"
    assert key in refused.value.message
    assert "loosen = {" in refused.value.message


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigurationError) as refused:
        effective(
            guard(creates=900, growth={"share": 9.0}),
            flow_guard(updates=5_000),
            flow="people",
        )
    for key in ("guard.creates", "guard.growth", "flows.people.guard.updates"):
        assert key in refused.value.message


def test_tightening_needs_no_reason():
    rules = effective(
        guard(creates=100, same_value={"mode": "enforce"}),
        flow_guard(creates=10, shrink={"share": 0.9}),
        flow="people",
    )
    assert rules["creates"].at_most(5) == 10
    assert rules["same_value"].mode == "enforce"
    assert rules["shrink"].share == 0.9
    assert rules.origin["creates"] == "[flows.people.guard]"
    assert rules.warnings == ()


def test_loosening_with_a_reason_is_said_at_each_start():
    rules = effective(guard(creates=2_000, loosen={"creates": REASON}))
    assert rules["creates"].at_most(0) == 2_000
    (said,) = rules.warnings
    assert "2027-01-31" in said
    assert "yearly reorganisation" in said
    assert "loosened" in rules.origin["creates"]


def test_a_loosening_ends_by_itself():
    rules = effective(guard(creates=2_000, loosen={"creates": REASON}))
    last = datetime(2027, 1, 31, 23, 59, tzinfo=UTC).timestamp()
    assert rules.at(last)["creates"].at_most(0) == 2_000
    assert rules.at(last + 120)["creates"].at_most(0) == 500


def test_the_rules_of_two_days_are_told_apart_in_any_order():
    """What was made for one day is kept, and never given for another."""
    rules = effective(guard(creates=2_000, loosen={"creates": REASON}))
    last = datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()
    later = last + 86_400
    for at, most in ((last, 2_000), (later, 500), (last, 2_000), (later, 500)):
        held = rules.at(at)
        assert held["creates"].at_most(0) == most
        assert rules.at(at + 3_600) is held, "made once a day"
        assert held.at(at) is held


def test_what_a_flow_sets_under_a_loosened_default_ends_with_it():
    rules = effective(
        guard(creates=2_000, loosen={"creates": REASON}), flow_guard(creates=1_000)
    )
    after = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    assert rules["creates"].at_most(0) == 1_000
    assert rules.at(after)["creates"].at_most(0) == 500


@pytest.mark.parametrize(
    "reason", ["", "because", "because, me", "because, me, soon", "x" * 501]
)
def test_a_reason_names_who_and_until_when(reason):
    with pytest.raises(ConfigurationError, match=r"guard\.creates"):
        effective(guard(creates=900, loosen={"creates": reason}))


@pytest.mark.parametrize(
    "table",
    [
        {"removal": 3},
        {"removals": -1},
        {"removals": True},
        {"removals": 1.5},
        {"removals": {"share": 2}},
        {"removals": {"limit": 2}},
        {"removals": {"mode": "off"}},
        {"shrink": 20},
        {"complete_scan": {"mode": "warn"}},
        {"label": {"mode": "warn"}},
        {"approval_ttl": "soon"},
        {"loosen": {"complete_scan": REASON}},
    ],
)
def test_what_no_rule_knows_is_refused(table):
    with pytest.raises(ValidationError):
        guard(**table)


def test_an_unknown_rule_in_loosen_gets_a_suggestion():
    with pytest.raises(ValidationError, match="did you mean removals"):
        guard(loosen={"removal": REASON})


def test_a_fixed_rule_is_sized_not_lowered():
    with pytest.raises(ConfigurationError, match="fixed"):
        effective(guard(shrink={"mode": "warn"}, loosen={"shrink": REASON}))


def test_a_flow_cannot_switch_four_eyes_off():
    with pytest.raises(ConfigurationError, match="four_eyes"):
        effective(guard(), flow_guard(four_eyes=False))
    assert effective(guard(four_eyes=False), flow_guard(four_eyes=True)).four_eyes


def test_without_four_eyes_each_start_says_so():
    assert "four_eyes is off" in effective(guard(four_eyes=False)).warnings[0]


def test_durations_and_flow_settings():
    rules = effective(
        guard(approval_ttl="48h", sensitive_groups=["*root*"]),
        flow_guard(approval_ttl=3600, sensitive_groups=["vip"], over_label="strip"),
    )
    assert rules.approval_ttl == 3600
    assert rules.sensitive_groups == ("*root*", "vip")
    assert rules.over_label == "strip"
    with pytest.raises(ConfigurationError, match="approval_ttl"):
        effective(guard(), flow_guard(approval_ttl="73h"))


def test_a_loosen_line_without_effect_is_told():
    assert "no effect" in effective(guard(loosen={"creates": REASON})).warnings[0]


def test_explain_prints_every_rule_with_its_origin():
    rows = effective(guard(creates=20)).explain()
    assert {row[0] for row in rows} == set(BUILT_IN)
    assert ("creates", "20, enforce", "[guard]") in rows


caps = st.builds(
    lambda count, share, least: Rule(
        "removals", "approve", "cap", count=count, share=share, least=least
    ),
    st.none() | st.integers(0, 300),
    st.none() | st.sampled_from([0.0, 0.005, 0.02, 0.03, 0.1, 0.3, 0.3001, 1.0]),
    st.none() | st.integers(0, 60),
)


@given(caps, caps, st.lists(st.integers(0, 100_000), min_size=20, max_size=20))
def test_a_cap_that_does_not_loosen_is_nowhere_higher(rule, below, links):
    if not loosens(rule, below):
        assert all(rule.at_most(n) <= below.at_most(n) for n in links)


@given(st.sampled_from(MODES), st.sampled_from(MODES))
def test_a_weaker_mode_loosens(mode, below):
    rule = Rule("x", "approve", mode=mode)
    weaker = MODES.index(mode) < MODES.index(below)
    assert loosens(rule, Rule("x", "approve", mode=below)) is weaker
