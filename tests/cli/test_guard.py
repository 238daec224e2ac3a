"""``guard explain``, and what ``review`` says of false alarms and of what expired."""

from __future__ import annotations

from contextlib import closing

import pytest

from moatbridge.cli.show_let_go import let_go_lines
from moatbridge.ledger import Ledger, counts


@pytest.fixture
def ambiguous(make_world):
    world = make_world(count=5, flow='match = ["userName"]\nguard = { creates = 7 }')
    with world.system("social") as social:
        social.put("people", [{"uid": "u0001", "ext": f"old{n}"} for n in range(2)])
    world.cli("plan", "people")
    return world


def ledger(world):
    return Ledger(f"sqlite:///{world.folder}/ledger.db")


def test_every_rule_is_explained_with_its_size_and_where_it_comes_from(ambiguous):
    rules = {
        row["rule"]: row
        for row in ambiguous.cli("guard", "explain", "people", "--json").json["rules"]
    }
    assert (rules["creates"]["is"], rules["creates"]["from"]) == (
        "7, enforce",
        "[flows.people.guard]",
    )
    assert rules["removals"]["from"] == "built in"
    assert "warn (enforce outside)" in rules["card"]["is"]
    ran = ambiguous.cli("guard", "explain", "people")
    assert ran.code == 0
    assert "four eyes: on" in ran.out


def test_explaining_tells_what_was_noticed_and_false_alarms(ambiguous):
    with closing(ledger(ambiguous)) as there, there.write() as tx:
        counts.add_noticed(tx, 1, 1, {("warn", "card"): 3, ("mask", "card"): 1})
        counts.add_false_alarms(tx, 1, ["card"])
    out = ambiguous.cli("guard", "explain", "people").out
    assert "found in 4 changes sent in 7 days" in out
    assert "1 false alarms" in out


def test_an_unknown_flow_is_refused_and_one_that_never_ran_is_explained(make_world):
    world = make_world()
    assert world.cli("guard", "explain", "people").code == 0
    ran = world.cli("guard", "explain", "nobody")
    assert "flow.unknown" in ran.err
    assert "people" in ran.err


def test_what_expired_is_listed_by_review_and_status_and_asked_again(ambiguous):
    [item] = ambiguous.cli("review", "people", "--json").json
    assert item["expires"] > item["since"]
    with closing(ledger(ambiguous)) as there, there.write() as tx:
        tx.run("UPDATE hold SET expires=?", tx.now() - 1)
    ambiguous.cli("plan", "people")
    [over] = ambiguous.cli("review", "people", "--json").json
    assert (over["kind"], over["actions"]) == ("expired", ["replay"])
    assert "1 held for too long in 30 days, not sent" in ambiguous.cli("status").out
    ran = ambiguous.cli("review", "people", over["item"], "refuse")
    assert "review.decided" in ran.err
    assert ambiguous.cli("review", "people", over["item"], "replay").code == 0
    ambiguous.cli("plan", "people")
    [again] = ambiguous.cli("review", "people", "--json").json
    assert again["kind"] == "held"


def test_only_an_approval_can_be_a_false_alarm(ambiguous):
    [item] = ambiguous.cli("review", "people", "--json").json
    ran = ambiguous.cli("review", "people", item["item"], "refuse", "--false-alarm")
    assert "review.item" in ran.err


def test_what_was_noticed_is_said_in_words():
    found = {"warn.card": 1, "observe.email": 1200, "mask.iban": 2, "allow.word": 2}
    assert list(let_go_lines(found)) == [
        "word found something in 2 changes that were sent",
        "iban masked something in 2 changes that were sent",
        "email only observed 1,200 changes that were sent",
        "card warned of 1 change that was sent",
    ]
