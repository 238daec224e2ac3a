"""``[flows.NAME.decide]``: what is refused, in which words, and the flow it implies."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from config.adapters import registry
from moatbridge.config import parse
from moatbridge.config.answers import answers_of, decider_of, with_answers
from moatbridge.config.decide import TEXTS
from moatbridge.errors import ConfigurationError

FILE = """
[systems.hr]
adapter = "directory"
urls = ["ldaps://dc1.corp.example"]
[systems.social]
adapter = "platform"
base_url = "https://api.social.example"
[streams."hr/people"]
base = "ou=people"
[streams."hr/orders"]
base = "ou=orders"
[streams."hr/decisions"]
base = "ou=decisions"
[streams."social/posts"]
[streams."social/replies"]
[flows.orders]
from = "hr/orders"
to = "social/posts"
[flows.decisions]
from = "social/replies"
to = "hr/decisions"
[flows.decisions.decide]
posts = "orders"
words = { approve = "Accept", reject = "Reject" }
people = "hr/people"
account = "mastodonAccount"
identity = "uid"
allowed = { field = "role", one_of = ["approver"] }
answers = "social/posts"
"""


def read(**decide: Any) -> Any:
    table = tomllib.loads(FILE)
    table["flows"]["decisions"]["decide"] |= decide
    for name in [name for name, value in decide.items() if value is None]:
        del table["flows"]["decisions"]["decide"][name]
    return parse(table, registry())


def refused(**decide: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(**decide)
    return str(error.value)


def test_the_table_is_read_and_implies_a_flow_for_its_answers() -> None:
    config = read()
    flow = config.flows["decisions.answers"]
    assert (flow.source, flow.target) == (
        "moatbridge.answers/decisions",
        "social/posts",
    )
    assert config.flows["decisions"].decide.folded == {
        "approve": "Accept",
        "reject": "Reject",
    }


def test_the_implied_flow_is_added_once() -> None:
    config = read()
    assert with_answers(config).flows.keys() == config.flows.keys()
    assert decider_of(answers_of("decisions")) == "decisions"
    assert decider_of("decisions") is None


def test_who_may_decide_must_be_said() -> None:
    assert "anyone-mapped" in refused(allowed=None)
    assert (
        read(allowed="anyone-mapped").flows["decisions"].decide.allowed
        == "anyone-mapped"
    )


@pytest.mark.parametrize(
    ("decide", "says"),
    [
        ({"posts": "order"}, "did you mean `orders`"),
        ({"posts": "decisions"}, "no other flow `decisions`"),
        ({"people": "hr/peple"}, "did you mean `hr/people`"),
        ({"answers": "social/post"}, "did you mean `social/posts`"),
        (
            {"answers": "hr/orders"},
            "must be a stream of the system that replies come from",
        ),
        ({"words": {}}, "needs at least one word"),
        ({"words": {"ok": "Accept", "OK": "Reject"}}, "holds one word twice"),
        ({"words": {"go ahead": "Accept"}}, "must be one word"),
        ({"words": {"ok": "Maybe"}}, "Accept"),
        ({"texts": {"unmaped": "no"}}, "unmapped"),
    ],
)
def test_what_cannot_be_is_refused_with_the_key(
    decide: dict[str, Any], says: str
) -> None:
    text = refused(**decide)
    assert "flows.decisions.decide" in text
    assert says in text


def test_answers_may_be_worded_by_the_company() -> None:
    decide = (
        read(texts={"unknown-word": "Bitte mit {words} antworten."})
        .flows["decisions"]
        .decide
    )
    assert decide.text("unknown-word") == "Bitte mit approve, reject antworten."
    assert decide.text("data") == TEXTS["data"]
