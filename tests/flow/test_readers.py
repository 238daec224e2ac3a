"""Who reads a post: replies, edits, members of groups (guard 20-22, 32)."""

from __future__ import annotations

import pytest

from flow.readers_world import PERSON, Blind, ReadersWorld
from moatbridge.testing import MemoryAdapter


@pytest.fixture
def make(tmp_path):
    made = []

    def one(**settings):
        made.append(ReadersWorld(tmp_path, **settings))
        return made[-1]

    yield one
    for world in made:
        world.close()


# --- replies ---------------------------------------------------------------------------


def test_a_reply_goes_to_nobody_who_did_not_read_its_parent(make):
    world = make()
    world.note("1", "parent", "people", "ada", "bob")
    world.run()
    world.note("2", "reply", "org", parent="1")
    world.run()
    assert world.readers()["reply"] == ("people", ["ada", "bob"])


def test_the_plan_shows_the_readers_that_a_reply_gets(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    world.note("2", "reply", "org", parent="1")
    world.run()
    [example] = world.plan.examples["create"]
    assert example.fields["audience"]["kind"] == "people"


def test_a_reply_staged_before_its_parent_was_sent_is_narrowed_too(make):
    world = make()
    world.note("1-reply", "reply", "org", parent="2-parent")
    world.note("2-parent", "parent", "people", "ada")
    world.run()
    world.later()
    assert world.readers()["reply"] == ("people", ["ada"])


def test_a_reply_to_a_narrowed_reply_is_as_narrow(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    world.note("2", "reply", "org", parent="1")
    world.run()
    world.note("3", "again", "org", parent="2")
    world.run()
    assert world.readers()["again"] == ("people", ["ada"])


def test_a_reply_narrower_than_its_parent_stays_as_it_is(make):
    world = make()
    world.note("1", "parent", "org")
    world.run()
    world.note("2", "reply", "people", "ada", parent="1")
    world.run()
    assert world.readers()["reply"] == ("people", ["ada"])


def test_a_reply_with_no_reader_in_common_waits_for_a_person(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    world.note("2", "reply", "people", "bob", parent="1")
    world.run()
    assert [item.reason for item in world.held()] == ["audience"]
    assert "reply" not in world.readers()


def test_whoever_wrote_a_direct_post_reads_the_reply(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    [row] = world.social.all("posts")
    with world.social.store.transaction():
        world.social.save(
            world.social.stream("posts"), row.ref, {**row.data, "attributedTo": "bob"}
        )
    world.note("2", "reply", "people", "bob", parent="1")
    world.run()
    assert world.readers()["reply"] == ("people", ["bob"])


def test_a_narrowed_reply_that_did_not_change_is_left_alone(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    world.note("2", "reply", "org", parent="1")
    world.run()
    effects = len(world.social.effects())
    assert world.run().state in {"done", "nothing"}
    assert (len(world.social.effects()), world.held()) == (effects, [])


def test_a_narrowed_reply_can_be_edited(make):
    world = make()
    world.note("1", "parent", "people", "ada")
    world.run()
    world.note("2", "reply", "org", parent="1")
    world.run()
    world.note("2", "better", "org", parent="1")
    world.run()
    assert world.held() == []
    assert world.readers()["better"] == ("people", ["ada"])


# --- edits -----------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [None, Blind])
@pytest.mark.parametrize(("before", "after"), [(("ada",), ("ada", "bob")), (("ada", "bob"), ("ada",))])  # fmt: skip
def test_an_edit_for_others_is_held_as_a_new_item(make, adapter, before, after):
    world = make(**({"adapter": adapter} if adapter else {}))
    world.note("1", "note", "people", *before)
    world.run()
    world.note("1", "edited", "people", *after)
    world.run()
    [item] = world.held()
    assert (item.op, item.reason) == ("update", "audience")
    assert list(world.readers()) == ["note"]


@pytest.mark.parametrize("adapter", [None, Blind])
def test_an_edit_for_the_same_readers_is_sent(make, adapter):
    world = make(**({"adapter": adapter} if adapter else {}))
    world.note("1", "note", "people", "ada", "bob")
    world.run()
    world.note("1", "edited", "people", "ada", "bob")
    world.run()
    assert world.readers() == {"edited": ("people", ["ada", "bob"])}


# --- groups ----------------------------------------------------------------------------


def test_a_team_of_colleagues_is_internal(make):
    world = make(kind="teams", home_domains=["x.example"])
    world.account("ada", "ada@mail.x.example")
    world.team("buyers", "ada")
    world.note("1", "note", "groups", "buyers")
    world.run()
    assert world.readers() == {"note": ("groups", ["buyers"])}


@pytest.mark.parametrize(
    ("mail", "kind"), [("eve@other.example", None), (None, "Guest")]
)
def test_a_team_with_an_outside_member_makes_the_post_external(make, mail, kind):
    world = make(kind="teams", home_domains=["x.example"])
    world.account("ada", "ada@x.example")
    world.account("eve", mail, kind)
    world.team("buyers", "ada", "eve")
    world.note("1", "note", "groups", "buyers")
    world.run()
    assert [(i.reason, i.detail) for i in world.held()] == [("approval", "external")]
    assert world.readers() == {}


def test_an_outside_person_makes_a_direct_post_external(make):
    world = make(home_domains=["x.example"])
    world.account("eve", "eve@other.example")
    world.note("1", "note", "people", "eve")
    world.run()
    assert [item.reason for item in world.held()] == ["approval"]


@pytest.mark.parametrize("what", ["blind", "unmapped", "missing", "many", "absent"])
def test_members_that_nobody_knows_make_it_external_and_say_so(make, what, monkeypatch):
    more = {
        "blind": {"adapter": Blind},
        "unmapped": {"person": {"userName": "id"}},
    }.get(what, {})
    world = make(kind="teams", home_domains=["x.example"], **more)
    if what == "many":
        monkeypatch.setattr("moatbridge.flow.readership.MEMBERS", 0)
    if what != "missing":
        world.account("ada", "ada@x.example")
    if what != "absent":
        world.team("buyers", "ada")
    world.note("1", "note", "groups", "buyers")
    world.run()
    [item] = world.held()
    assert item.reason == "approval"
    assert "could not be looked up" in item.detail


def test_without_domains_of_the_company_unknown_members_are_not_asked_about(make):
    world = make(kind="teams", adapter=Blind)
    world.note("1", "note", "groups", "buyers")
    world.run()
    assert world.readers() == {"note": ("groups", ["buyers"])}


def test_a_member_who_joined_meanwhile_is_seen_before_it_is_sent(make):
    world = make(kind="teams", home_domains=["x.example"])
    world.account("ada", "ada@x.example")
    world.account("eve", "eve@other.example")
    world.team("buyers", "ada")
    world.note("1", "note", "groups", "buyers")
    plan = world.bridge.plan("notes")
    world.team("buyers", "ada", "eve")
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert [item.reason for item in world.held()] == ["approval"]
    assert world.readers() == {}


def test_an_approval_is_void_when_the_team_has_another_member(make):
    world = make(kind="teams", home_domains=["x.example"])
    for who in ("eve", "mallory"):
        world.account(who, f"{who}@other.example")
    world.team("buyers", "eve")
    world.note("1", "note", "groups", "buyers")
    world.run()
    [item] = world.held()
    world.bridge.decide("notes", item.item, "approve", actor="boss")
    world.team("buyers", "eve", "mallory")
    world.bridge.run("notes")
    [again] = world.held()
    assert (again.item != item.item, world.readers()) == (True, {})
    world.bridge.decide("notes", again.item, "approve", actor="boss")
    world.bridge.run("notes")
    assert world.readers() == {"note": ("groups", ["buyers"])}


def test_members_of_all_posts_are_looked_up_at_once(make, monkeypatch):
    world = make(kind="teams", home_domains=["x.example"])
    asked = []
    fetch = MemoryAdapter.fetch

    def counting(self, stream, refs):
        asked.append(stream)
        return fetch(self, stream, refs)

    monkeypatch.setattr(MemoryAdapter, "fetch", counting)
    world.account("ada", "ada@x.example")
    for number in range(20):
        world.team(f"t{number}", "ada")
        world.note(f"{number}", f"note {number}", "groups", f"t{number}")
    world.bridge.plan("notes")
    assert sorted(asked) == ["accounts", "teams"]


def test_who_reads_is_asked_in_the_words_of_the_translator(make):
    world = make(kind="teams")
    assert set(world.bridge.route("notes").circles) == {
        "social/posts",
        "social/teams",
        "social/accounts",
    }
    assert PERSON.keys() <= set(
        world.bridge.route("notes").circles["social/accounts"].paths
    )
