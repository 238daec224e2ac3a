"""A person decides only about what they saw: posts that show something else decide nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.decisions_told import BRIEF, DECIDED, taken, told, world, worlds
from flow.decisions_world import Social
from moatbridge.errors import NotApplied
from moatbridge.run.checking import check
from moatbridge.testing import MemoryAdapter

__all__ = ["world", "worlds"]


class Unfetched(MemoryAdapter):
    """Its orders can be read only as a whole."""

    def streams(self):
        return [
            replace(stream, abilities=stream.abilities - {"CanFetch"})
            if stream.name == "orders"
            else stream
            for stream in super().streams()
        ]


class Unfetching(Social):
    """Its posts cannot be looked at again."""

    def streams(self):
        return [
            replace(stream, abilities=stream.abilities - {"CanFetch"})
            if stream.name == "posts"
            else stream
            for stream in super().streams()
        ]


# --- the record ---------------------------------------------------------------------


def test_a_record_that_is_no_longer_what_its_post_shows_decides_nothing(world):
    world.put_order("4711", total="99999.00")
    world.reply("r1", "approve")
    world.run()
    assert told(world)


def test_whoever_was_told_to_look_again_sees_the_record_and_can_decide(world):
    world.put_order("4711", total="99999.00")
    world.reply("r1", "approve")
    world.run()
    world.run("orders")
    assert "Order 4711 over 99999.00: open" in world.posts()
    world.reply("r2", "approve", parent=posted(world))
    world.run()
    assert world.decided() == DECIDED


def posted(world):
    [post] = {
        r.ref.key
        for r in world.systems["social"].all("posts")
        if "4711" in r.data["content"]
    }
    return post


def test_the_post_is_looked_at_again_without_waiting_for_the_next_pass(worlds):
    """Whoever is told to look again has something to look at."""
    world = worlds(orders={"every": "1h"})
    world.put_order("4711", total="99999.00")
    world.reply("r1", "approve")
    world.run()
    assert "Order 4711 over 99999.00: open" in world.posts()


@pytest.mark.parametrize("how", ["deleted", "hidden"])
def test_a_record_that_is_gone_decides_nothing_while_its_post_stands(world, how):
    post = world.post_of("4711")
    if how == "deleted":
        world.drop_order("4711")
    else:
        world.systems["erp"].hide("orders", world.order_ref("4711"))
    world.reply("r1", "approve", parent=post)
    world.run()
    assert told(world)


def test_a_record_that_cannot_be_translated_any_more_decides_nothing(world):
    world.put_order("4711", total=["a", "list"])
    world.reply("r1", "approve")
    world.run()
    assert told(world)


def test_a_change_that_the_post_does_not_show_is_no_change(worlds):
    world = worlds(streams=BRIEF)
    world.put_order("4711", total="13.00")
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == DECIDED


def test_a_reply_to_one_post_is_not_held_up_by_another(world):
    world.put_order("4712", total="99999.00")
    world.reply("r1", "approve")
    world.reply("r2", "approve", to="4712")
    world.run()
    assert world.decided() == DECIDED
    assert world.outcomes() == {"decided.Accept": 1, "refused.changed": 1}


def test_who_may_not_decide_is_told_so_first(world):
    world.put_order("4711", total="99999.00")
    world.reply("r1", "approve", by="bob")
    world.run()
    assert world.outcomes() == {"refused.not-allowed": 1}


# --- what the flow of posts has not settled -----------------------------------------


def test_an_edit_that_is_planned_decides_nothing(world):
    world.put_order("4711", total="99999.00")
    world.bridge.plan("orders")
    world.put_order("4711")  # as its post shows it; the plan may still be applied
    world.reply("r1", "approve")
    world.run()
    assert told(world)


def test_an_edit_that_waits_for_a_person_decides_nothing(worlds):
    world = worlds(memory=Unfetched)
    world.put_order("4711", "see AKIAIOSFODNN7EXAMPLE")
    world.run("orders")
    assert [w.kind for w in world.bridge.review("orders")] == ["held"]
    world.reply("r1", "approve")
    world.run()
    assert told(world)


def test_an_edit_that_waits_for_another_try_decides_nothing(worlds):
    class Limited(Social):
        limited = False

        def write(self, stream, intents):
            if Limited.limited:
                raise NotApplied("slow down", code="memory.limited", retry_after=60)
            return super().write(stream, intents)

    world = worlds(social=Limited)
    Limited.limited = True
    world.put_order("4711", total="99999.00")
    world.run("orders")
    Limited.limited = False
    world.reply("r1", "approve")
    world.run()
    assert world.outcomes() == {"refused.changed": 1}


def test_an_edit_that_the_platform_refused_decides_nothing(world):
    """The ledger knows what was sent; the post still shows what it showed."""
    world.systems["social"].refuse = lambda _record: "data"
    world.put_order("4711", total="99999.00")
    world.run("orders")
    world.systems["social"].refuse = lambda _record: None
    world.reply("r1", "approve")
    world.run()
    assert told(world)


# --- the post -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "outcome"),
    [
        ("2026-03-01T09:59:59.999Z", "refused.changed"),
        ("2026-03-01T10:00:00Z", "refused.changed"),  # the same moment: nobody can tell
        ("2026-03-01T11:00:00.001+01:00", "decided.Accept"),
        ("yesterday", "refused.changed"),
        (None, "refused.changed"),
    ],
)
def test_a_reply_written_before_an_edit_of_its_post_decides_nothing(
    world, published, outcome
):
    world.edited_at("4711", "2026-03-01T10:00:00Z")
    world.reply("r1", "approve", published=published)
    world.run()
    assert world.outcomes() == {outcome: 1}


def test_an_edit_while_the_reply_was_on_its_way_is_seen(world):
    """The record is what the post shows now, but not what the person read."""
    world.reply("r1", "approve")
    world.put_order("4711", total="99999.00")
    plan = world.bridge.plan("orders")
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert "Order 4711 over 99999.00: open" in world.posts()
    world.run()
    assert told(world)


def test_a_post_that_is_gone_from_the_platform_decides_nothing(world):
    post, social = world.post_of("4711"), world.systems["social"]
    [row] = [r for r in social.all("posts") if r.ref.key == post]
    social.delete("posts", [row.ref])
    world.reply("r1", "approve", parent=post)
    world.run()
    assert told(world)


# --- what it costs, and what cannot be seen -----------------------------------------


def test_one_fetch_of_posts_and_one_of_records_for_any_number_of_replies(worlds):
    fetched = []

    class Counted(MemoryAdapter):
        def fetch(self, stream, refs):
            fetched.append((stream, len(refs)))
            return super().fetch(stream, refs)

    class Platform(Social):
        def fetch(self, stream, refs):
            fetched.append((stream, len(refs)))
            return super().fetch(stream, refs)

    world = worlds(memory=Counted, social=Platform)
    taken(world)
    for number in range(20):
        world.reply(f"x{number}", "reject", to=("4711", "4712")[number % 2])
    fetched.clear()
    with pytest.raises(Exception, match="switched off"):
        world.run()
    assert fetched == [("posts", 2), ("orders", 2)]


def test_a_source_that_cannot_be_fetched_is_warned_about(worlds):
    world = worlds(memory=Unfetched)
    world.reply("r1", "approve")
    world.run()
    assert world.decided() == DECIDED
    [words] = warnings(world)
    assert words == (
        "Before a reply decides, nobody looks whether the record still is what its post "
        "shows: erp/orders cannot be fetched (CanFetch)."
    )


def test_posts_that_cannot_be_fetched_are_warned_about(worlds):
    world = worlds(social=Unfetching)
    world.edited_at("4711", "2026-03-01T10:00:00Z")
    world.reply("r1", "approve", published="2026-03-01T09:00:00Z")
    world.run()
    assert world.decided() == DECIDED
    [words] = warnings(world)
    assert words.endswith("social/posts cannot be fetched (CanFetch).")


def test_posts_that_do_not_say_when_they_were_edited_are_warned_about(worlds):
    class Terse(Social):
        def streams(self):
            return [
                replace(s, fields=tuple(f for f in s.fields if f.name != "updated"))
                for s in super().streams()
            ]

    [words] = warnings(worlds(social=Terse))
    assert words.endswith("social/posts does not say `updated`.")


def test_where_everything_can_be_seen_nothing_is_warned_about(world):
    assert warnings(world) == []


def warnings(world):
    found = {each.flow: each for each in check(world.bridge).flows}
    assert "Before" not in " ".join(found["orders"].warnings)
    assert found["decisions"].problem is None
    return [w for w in found["decisions"].warnings if w.startswith("Before a reply")]
