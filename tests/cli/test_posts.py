"""Posts, and runs that read nothing, as people read them."""

from __future__ import annotations

import pytest

from moatbridge.cli import exit_codes
from moatbridge.cli.show_post import audience_words, is_post, post_lines
from moatbridge.cli.show_result import result_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.cli.show_waiting import waiting_json, waiting_lines
from moatbridge.ledger.review import Waiting
from moatbridge.run import RunResult

ADA = {"stream": "social/accounts", "name": "ada"}
POST = {
    "content": "Order 4711\nis late\x1b[31m",
    "audience": {"kind": "people", "refs": [ADA]},
    "inReplyTo": {"stream": "social/replies", "id": "r1"},
    "attachment": [{"type": "Document", "name": "invoice.pdf"}],
}


@pytest.mark.parametrize(
    ("audience", "words"),
    [
        ({"kind": "org"}, "everybody in the company"),
        ({"kind": "public"}, "the public"),
        ({"kind": "people", "refs": [ADA]}, "people ada (social/accounts)"),
        (None, "nobody is named (held)"),
    ],
)
def test_an_audience_is_said_in_words(audience, words):
    assert audience_words(audience) == words


def test_many_readers_are_counted():
    assert audience_words({"kind": "groups", "refs": [ADA] * 9}).endswith("and 4 more")


def test_a_post_is_shown_as_text_to_somebody():
    lines = list(post_lines(POST))
    assert lines[:3] == [
        "to: people ada (social/accounts)",
        "reply to: r1 (social/replies)",
        "| Order 4711",
    ]
    assert "attached: invoice.pdf" in lines
    assert not any("\x1b" in line for line in lines)
    assert is_post(POST)
    assert not is_post({"userName": "ada"})


def test_a_long_post_is_cut():
    assert "| ... and 12 more lines" in list(post_lines({"content": "x\n" * 20}))


def test_a_held_post_is_shown_before_and_after():
    item = Waiting(
        "h1", "held", 1, "update", "approval", "external", ("4711", None), 1.0,
        entity=POST, before={"content": "Order 4711", "audience": {"kind": "org"}},
    )  # fmt: skip
    text = "\n".join(waiting_lines("orders", [item], now=2.0, values=True))
    assert text.index("now:") < text.index("everybody") < text.index("then:")
    assert (
        waiting_json("orders", item, values=True)["before"]["content"] == "Order 4711"
    )
    hidden = "\n".join(waiting_lines("orders", [item], now=2.0, values=False))
    assert "4711" not in hidden


def test_a_run_that_read_nothing_says_so_and_is_done():
    result = RunResult("orders", 1, "nothing")
    assert list(result_lines(result, Setting("a/b", "c/d"))) == [
        "orders: nothing new to read; what is known stays as it is"
    ]
    assert exit_codes.of_result(result) == exit_codes.DONE
