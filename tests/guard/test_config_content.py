import pytest

from guard.counting import RULES
from moatbridge.config.guard import FlowGuardConfig, GuardConfig, effective
from moatbridge.errors import ConfigurationError


@pytest.mark.parametrize(
    ("below", "table", "problem"),
    [
        ({}, {"max_audience": "public"}, "max_audience: at most public"),
        ({"max_audience": "people"}, {"max_audience": "org"}, "max_audience"),
        ({}, {"posts": {"run": 21}}, "posts: 21 a run, 100 a day"),
        ({}, {"posts": {"day": 101}}, "posts"),
        ({}, {"posts": 50}, "posts"),
        ({}, {"card": {"count": 2}}, "card: hold from 2 on"),
        ({}, {"card": {"action": "mask"}}, "card: mask from 1 on"),
        ({}, {"card": {"mode": "warn"}}, "card"),
        ({}, {"credential": {"mode": "warn"}}, "credential"),
        ({}, {"mass_mention": 11}, "mass_mention"),
        ({}, {"external": 1}, "external"),
        ({}, {"external": {"mode": "warn"}}, "fixed"),
    ],
)
def test_looser_rules_for_content_need_a_reason(below, table, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        effective(
            GuardConfig.model_validate(below), FlowGuardConfig.model_validate(table)
        )
    assert caught.value.code == "guard.loosened"


@pytest.mark.parametrize(
    "table",
    [{"max_audience": "groups"}, {"posts": {"run": 5}}, {"posts": 5},
     {"card": {"mode": "enforce"}}, {"email": {"count": 1}}, {"card": {"action": "drop"}},
     {"mass_mention": 0}],
)  # fmt: skip
def test_tighter_rules_for_content_need_none(table):
    flow = FlowGuardConfig.model_validate(table)
    [name] = table
    rules = effective(GuardConfig(), flow, flow="orders")
    rule = {"max_audience": "audience"}.get(name, name)
    assert rules.origin[rule] == "[flows.orders.guard]"


def test_lists_of_a_flow_are_added():
    flow = FlowGuardConfig(words=("b",), markers=("x",), internal_hosts=("h",))
    rules = effective(GuardConfig(words=("a",), markers=("m",)), flow)
    assert (rules.words, rules.markers) == (("a", "b"), ("m", "x"))
    assert rules.internal_hosts[-1] == "h"
    assert "*.internal" in rules.internal_hosts
    assert rules.origin["words"] == "[flows.NAME.guard]"


def test_words_of_the_new_rules():
    words = {name: size for name, size, _ in RULES.explain()}
    assert words["audience"] == "at most org, enforce"
    assert words["posts"] == "20 a run, 100 a day, enforce"
    assert words["card"] == "hold from 1 on, warn (enforce outside)"
    assert words["credential"] == "hold from 1 on, enforce"


def test_every_rule_with_a_size_is_in_the_configuration_schema():
    for model in (GuardConfig, FlowGuardConfig):
        properties = model.model_json_schema()["properties"]
        sized = {n for n, r in RULES.rules.items() if r.kind != "flag"} - {"audience"}
        assert sized | {"max_audience", "attachments"} <= set(properties)
        assert {"markers", "internal_hosts", "words"} <= set(properties)
    assert {"home_domains", "attachment_types", "attachment_size"} <= set(
        GuardConfig.model_json_schema()["properties"]
    )
