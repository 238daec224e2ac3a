"""Who is behind a held item, by every name that links know (guard 33)."""

from __future__ import annotations

import json

import pytest

from moatbridge.ledger import flows, marks
from moatbridge.ledger.authors import authors_of
from moatbridge.ledger.keys import key_hash, name_hash


def link(tx, row, link_id, a, b):
    """A person under (key, name) on both sides of a pair."""
    tx.run(
        "INSERT INTO link(link_id, pair_id, a_key, a_name, b_key, b_name, state) "
        "VALUES(?,?,?,?,?,?,1)",
        link_id, row.pair_id, *a, *b,
    )  # fmt: skip
    for side, (key, name) in enumerate((a, b)):
        side_id = row.pair_id * 2 + side
        marks.put(tx, side_id, [(key_hash(key), None, None, link_id)])
        if name:
            marks.alias_put(tx, side_id, [(name_hash(name), link_id, None)])


@pytest.fixture
def people(ground):
    """Ada: 7 in HR, 123 and alovelace at the platform, uid=ada in the directory."""
    with ground.ledger.write() as tx:
        link(tx, ground.row, 1, ("7", None), ("123", "alovelace"))
        other = flows.ensure(tx, "default", "ldap", "hr/people", "ldap/people")
        link(tx, other, 2, ("7", None), ("guid-1", "uid=ada,ou=people"))
        elsewhere = flows.ensure(tx, "tenant", "people", "hr/people", "x/people")
        link(tx, elsewhere, 3, ("7", None), ("9", "not-ours"))
    return ground


def authors(ground, entity, **more):
    ground.stage(
        ground.item(
            "post", hold=("approval", "external", ""),
            payload=json.dumps({"entity": entity, **more}),
        )
    )  # fmt: skip
    with ground.ledger.read() as tx:
        hold = tx.value("SELECT max(hold_id) FROM hold")
        return authors_of(tx, ground.row.flow_id, f"h{hold}")


NAMES = {"7", "123", "alovelace", "guid-1", "uid=ada,ou=people"}


@pytest.mark.parametrize(
    "author",
    [
        {"stream": "hr/people", "id": "7"},
        {"stream": "social/people", "id": "123"},
        {"stream": "social/people", "name": "alovelace"},
        {"stream": "ldap/people", "name": "UID=Ada, ou=people"},
    ],
)
def test_an_author_is_followed_to_every_name_in_this_tenant(people, author):
    found = authors(people, {"content": "x", "attributedTo": author})
    assert found >= NAMES
    assert "not-ours" not in found


def test_the_author_of_what_is_there_now_is_one_too(people):
    before = {"attributedTo": {"stream": "hr/people", "id": "7"}}
    assert authors(people, {"content": "x"}, before=before) == NAMES


def test_whoever_decided_is_an_author_by_login_and_person(people):
    actor = {"stream": "hr/people", "id": "7"}
    found = authors(people, {"type": "Accept", "actor": actor, "identity": "a.l"})
    assert found == NAMES | {"a.l"}


def test_whoever_decided_is_an_author_when_masks_took_the_name_out(people):
    found = authors(people, {"type": "Accept"}, who=["7", "a.l"])
    assert found == {"7", "a.l"}


def test_an_author_nobody_knows_is_called_as_the_post_calls_them(people):
    stranger = {"stream": "none/such", "name": "bob"}
    assert authors(people, {"attributedTo": stranger}) == {"bob"}


@pytest.mark.parametrize("item", ["h99", "p1.0", "r1", "h", "hx", ""])
def test_what_is_not_held_has_no_author(people, item):
    with people.ledger.read() as tx:
        assert authors_of(tx, people.row.flow_id, item) == frozenset()
