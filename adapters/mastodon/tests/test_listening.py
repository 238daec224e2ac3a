"""Replies and reactions: nothing is missed, nothing repeats for ever."""

from __future__ import annotations

import pytest

from moatbridge.adapter import Query
from moatbridge.changes import Absent, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from servers.mastodon import note, opening, publish, status
from servers.scripted_http import Answer


def now(adapter, stream):
    return next(iter(adapter.changes(stream, None))).cursor


def read(adapter, stream, after):
    return [c for batch in adapter.changes(stream, after) for c in batch.changes]


def test_a_reply_tells_who_and_to_what(platform, connect):
    adapter = connect(platform)
    ref = publish(adapter, note("order 4711")).ref
    after = now(adapter, "mentions")
    platform.reply("ada", ref.id, "approve looks good")
    [change] = read(adapter, "mentions", after)
    assert change.data["content"] == "@erp approve looks good"
    assert change.data["attributedTo"] == "ada"
    assert change.data["inReplyTo"] == ref.id
    assert change.data["audience"] == {"kind": "people", "refs": ["erp"]}


def test_after_an_outage_everything_comes_in_order(platform, connect):
    adapter = connect(platform, page_size=7)
    after = now(adapter, "mentions")
    for number in range(30):
        platform.post("ada", f"@erp note {number}")
    seen = [change.data["content"] for change in read(adapter, "mentions", after)]
    assert seen == [f"@erp note {number}" for number in range(30)]


def test_a_reaction_names_its_post_and_person(platform, connect):
    adapter = connect(platform)
    ref = publish(adapter, note("order 4711")).ref
    after = now(adapter, "reactions")
    platform.call("POST", f"/api/v1/statuses/{ref.id}/favourite", who="grace")
    [change] = read(adapter, "reactions", after)
    assert change.data["type"] == "Like"
    assert (change.data["actor"], change.data["object"]) == ("grace", ref.id)


def test_links_of_mentions_are_not_read_as_text(peer, connect):
    html = (
        '<p><span class="h-card"><a href="https://social.test/@erp" class="u-url mention">'
        "@<span>erp</span></a></span> approve &amp; thanks</p>"
    )
    mention = {"acct": "erp", "username": "erp", "url": "https://social.test/@erp"}

    def script(asked):
        if "/notifications" in asked.path and asked.query.get("min_id") == "1":
            said = {**status("x"), "content": html, "mentions": [mention]}
            return Answer(200, [{"id": "2", "type": "mention", "status": said}])
        return Answer(200, []) if "/notifications" in asked.path else opening(asked)

    [change] = read(connect(peer(script)), "mentions", {"min_id": "1"})
    assert change.data["content"] == "@erp approve & thanks"


def test_a_platform_that_repeats_its_page_is_an_error(peer, connect):
    def script(asked):
        if "/notifications" in asked.path:
            return Answer(200, [{"id": "5", "type": "mention", "status": status("x")}])
        return opening(asked)

    with pytest.raises(NotApplied, match="repeats"):
        read(connect(peer(script)), "mentions", {"min_id": "1"})


def test_a_scan_that_repeats_its_page_is_an_error(peer, connect):
    def script(asked):
        if asked.path.endswith("/statuses"):
            return Answer(200, [status("x")])
        return opening(asked)

    adapter = connect(peer(script))
    with pytest.raises(NotApplied, match="repeats"):
        list(adapter.scan("posts", adapter.split("posts", 1)[0], None))


def test_an_unreadable_notice_is_a_reject_and_the_rest_goes_on(peer, connect):
    def script(asked):
        if "/notifications" in asked.path and asked.query.get("min_id") == "1":
            bad = {"id": "2", "type": "mention", "status": {"id": "x"}}
            good = {"id": "3", "type": "mention", "status": status("fine")}
            return Answer(200, [good, bad])
        return Answer(200, []) if "/notifications" in asked.path else opening(asked)

    [batch] = list(connect(peer(script)).changes("mentions", {"min_id": "1"}))
    assert [c.data["content"] for c in batch.changes] == ["fine"]
    assert [r.reason for r in batch.rejects] == ["mastodon.unreadable"]


def test_ids_are_ordered_by_length_then_text(peer, connect):
    def script(asked):
        if "/notifications" in asked.path and asked.query.get("min_id") == "9":
            both = [
                {"id": i, "type": "mention", "status": status(i)} for i in ("100", "99")
            ]
            return Answer(200, both)
        return Answer(200, []) if "/notifications" in asked.path else opening(asked)

    batches = list(connect(peer(script)).changes("mentions", {"min_id": "9"}))
    assert batches[-1].cursor == {"min_id": "100"}
    assert [c.data["content"] for c in batches[0].changes] == ["99", "100"]


def test_a_foreign_position_means_reading_anew(platform, connect):
    with pytest.raises(CursorTooOld):
        list(connect(platform).changes("mentions", {"min_id": "../1"}))


def test_older_instances_are_read_one_by_one(peer, connect):
    def script(asked):
        if asked.path.endswith("/api/v1/statuses/77"):
            return Answer(200, status("old"))
        return opening(asked)

    found = connect(peer(script)).fetch("posts", [Ref("77"), Ref("78")])
    assert found[0].data["content"] == "old"
    assert found[1] == Absent(Ref("78"))


def test_accounts_are_found_by_name(platform, connect):
    adapter = connect(platform)
    found = adapter.find(
        "accounts", [Query("userName", "ada"), Query("userName", "eve")]
    )
    assert [[r.data["userName"] for r in hits] for hits in found] == [["ada"], []]
    assert adapter.fetch("accounts", [found[0][0].ref])[0].data["userName"] == "ada"


def test_check_warns_of_an_open_account(peer, connect):
    def script(asked):
        if asked.path.endswith("/verify_credentials"):
            return Answer(200, {"id": "1", "acct": "erp", "locked": False})
        return opening(asked)

    assert any("not locked" in w for w in connect(peer(script)).probe().warnings)


def test_something_else_at_the_address_is_a_configuration_error(peer, connect):
    with pytest.raises(ConfigurationError, match="base_url"):
        connect(peer(lambda asked: Answer(200, {"hello": "world"})))


def test_a_stream_with_an_unknown_name_says_what_to_set(platform, connect):
    from moatbridge_mastodon import MastodonStreamConfig

    with pytest.raises(ConfigurationError, match="kind"):
        connect(platform, {"timeline": MastodonStreamConfig()})
    named = connect(platform, {"replies": MastodonStreamConfig(kind="mentions")})
    assert [stream.name for stream in named.streams()] == ["replies"]


def test_a_push_is_a_hint_that_comes_at_once(platform, connect):
    adapter = connect(platform)
    after = now(adapter, "mentions")
    hints = connect(platform).hints("mentions")  # it keeps a connection of its own
    assert next(hints) is False  # a sign of life: the platform listens to us
    platform.post("ada", "@erp hello")
    assert any(next(hints) for _ in range(20))
    hints.close()
    assert len(read(adapter, "mentions", after)) == 1


def test_hints_can_be_switched_off(platform, connect):
    with pytest.raises(ConfigurationError, match="stream_hints"):
        connect(platform, stream_hints=False).hints("mentions")


def test_a_page_instead_of_events_is_no_stream(peer, connect):
    def script(asked):
        if "/streaming/" in asked.path:
            return Answer(200, {"hello": 1})
        return opening(asked)

    with pytest.raises(ConfigurationError, match="stream of events"):
        next(connect(peer(script)).hints("mentions"))
