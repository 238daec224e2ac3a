"""Publish, edit, retract: the right audience, once, and undone where it went wrong."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from mastodon import Mastodon as MastodonPy

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError
from moatbridge.testing.stage import intent
from moatbridge_mastodon.config import KINDS
from servers.mastodon import note, opening, publish, status
from servers.scripted_http import Answer


def test_visibility_is_always_sent_and_never_wider(platform, connect):
    adapter = connect(platform, allow_public=True)
    seen = {}
    for kind, refs in (("org", []), ("people", ["ada"]), ("public", [])):
        receipt = publish(adapter, note(f"to {kind}", {"kind": kind, "refs": refs}))
        assert receipt.outcome == "applied", receipt
        status = platform.call("GET", f"/api/v1/statuses/{receipt.ref.id}")
        seen[kind] = status["visibility"]
    assert seen == {"org": "private", "people": "direct", "public": "public"}


@pytest.mark.parametrize(
    ("audience", "settings"),
    [
        (None, {}),
        ({"kind": "groups", "refs": ["team"]}, {"allow_public": True}),
        ({"kind": "public", "refs": []}, {}),
        ({"kind": "org", "refs": []}, {"followers_are_org": False}),
        ({"kind": "people", "refs": []}, {}),
    ],
)
def test_an_audience_that_cannot_be_said_is_rejected_not_widened(
    platform, connect, audience, settings
):
    receipt = publish(connect(platform, **settings), note("secret", audience))
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.audience")
    assert platform.statuses() == []


def test_a_stray_name_in_a_direct_post_adds_no_reader(platform, connect):
    people = {"kind": "people", "refs": ["ada"]}
    receipt = publish(connect(platform), note("ask @grace or mail x@grace", people))
    status = platform.call("GET", f"/api/v1/statuses/{receipt.ref.id}")
    assert [each["acct"] for each in status["mentions"]] == ["ada"]
    assert platform.inbox("grace") == []
    assert len(platform.inbox("ada")) == 1


def test_the_same_key_posts_once(platform, connect):
    adapter = connect(platform)
    asked = intent("create", None, note("once"))
    refs = {adapter.write("posts", [asked])[0].ref for _ in range(3)}
    assert len(refs) == 1
    assert len(platform.statuses()) == 1


def test_an_answer_with_another_text_is_an_incident(platform, connect):
    adapter = connect(platform)
    first = intent("create", None, note("first"))
    adapter.write("posts", [first])
    again = intent("create", None, note("second"))
    receipt = adapter.write(
        "posts", [type(again)(first.key, "create", None, again.record)]
    )[0]
    assert (receipt.outcome, receipt.incident) == ("rejected", "other-text")


def test_an_answer_with_another_audience_is_deleted_and_reported(peer, connect):
    deleted = []

    def script(asked):
        if asked.method == "DELETE":
            deleted.append(asked.path)
            return Answer(200, {})
        if asked.method == "POST":
            return Answer(200, status(asked.body["status"], visibility="public"))
        return opening(asked)

    receipt = publish(connect(peer(script)), note("for the company"))
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.audience")
    assert receipt.incident == "audience"
    assert deleted == ["/v2/api/v1/statuses/77"]


def test_an_unexpected_reader_of_a_direct_post_is_an_incident(peer, connect):
    def script(asked):
        if asked.method == "POST":
            mentions = [
                {"acct": "ada", "username": "ada"},
                {"acct": "eve", "username": "eve"},
            ]
            return Answer(
                200,
                status(asked.body["status"], visibility="direct", mentions=mentions),
            )
        return Answer(200, {}) if asked.method == "DELETE" else opening(asked)

    receipt = publish(
        connect(peer(script)), note("hello", {"kind": "people", "refs": ["ada"]})
    )
    assert receipt.incident == "audience"


@pytest.mark.parametrize("kind", ["Invoice", "", "Note;Article", ["Note"]])
def test_a_type_that_is_no_post_is_rejected_not_shown_as_a_note(
    platform, connect, kind
):
    post = {**note("text", {"kind": "people", "refs": ["ada"]}), "type": kind}
    receipt = publish(connect(platform), post)
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.data")
    assert platform.statuses() == []


def test_a_longer_text_is_rejected_never_cut(platform, connect):
    receipt = publish(connect(platform), note("x" * 501))
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.too-long")


def test_a_link_counts_as_the_platform_says(peer, connect):
    sent = []

    def script(asked):
        if asked.method == "POST":
            sent.append(asked.body)
            return Answer(200, status(asked.body["status"], visibility="private"))
        return opening(asked)

    adapter = connect(peer(script))
    link = "https://erp.example/" + "a" * 400
    assert publish(adapter, note("y" * 470 + " " + link)).outcome == "applied"
    assert publish(adapter, note("y" * 480 + " " + link)).code == "mastodon.too-long"
    assert len(sent) == 1


def test_an_edit_keeps_the_history_and_a_repeat_changes_nothing(platform, connect):
    adapter = connect(platform)
    record = note("open", summary="order")
    ref = publish(adapter, record).ref
    before = adapter.fetch("posts", [ref])[0]
    change = intent("update", ref, {"content": "approved"}, before=before.data)
    assert adapter.write("posts", [change])[0].outcome == "applied"
    now = adapter.fetch("posts", [ref])[0].data
    assert (now["content"], now["summary"]) == ("approved", "order")
    assert len(platform.history(ref.id)) >= 2


def test_an_edit_never_changes_the_audience(platform, connect):
    adapter = connect(platform, allow_public=True)
    ref = publish(adapter, note("inside")).ref
    wider = intent("update", ref, {"audience": {"kind": "public", "refs": []}})
    receipt = adapter.write("posts", [wider])[0]
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.audience")


def test_a_retracted_post_is_gone_and_twice_is_fine(platform, connect):
    adapter = connect(platform)
    ref = publish(adapter, note("mistake")).ref
    gone = [adapter.write("posts", [intent("delete", ref, None)])[0] for _ in range(2)]
    assert [receipt.outcome for receipt in gone] == ["applied", "applied"]
    assert platform.statuses() == []


def test_an_edit_after_a_retract_is_gone(platform, connect):
    adapter = connect(platform)
    ref = publish(adapter, note("mistake")).ref
    adapter.write("posts", [intent("delete", ref, None)])
    receipt = adapter.write("posts", [intent("update", ref, {"content": "x"})])[0]
    assert (receipt.outcome, receipt.reason) == ("rejected", "gone")


def test_a_thread_hangs_together(platform, connect):
    adapter = connect(platform)
    root = publish(adapter, note("order 1")).ref
    reply = publish(adapter, note("order 1 was delivered", inReplyTo=root.id)).ref
    assert adapter.fetch("posts", [reply])[0].data["inReplyTo"] == root.id


def test_a_resolved_mention_pings_its_person_only(platform, connect):
    tag = [{"type": "Mention", "name": "@ada", "href": "ada"}]
    publish(connect(platform), note("@ada please look, not @grace", tag=tag))
    assert len(platform.inbox("ada")) == 1
    assert platform.inbox("grace") == []


def test_a_rate_limit_waits_as_long_as_the_platform_says(platform, connect):
    platform.fault("POST", "/api/v1/statuses", type="ratelimit", status=429)
    receipt = publish(connect(platform), note("later"))
    assert receipt.outcome == "not_applied"
    assert receipt.retry_after is not None


@pytest.mark.parametrize(
    ("status_code", "outcome"), [(500, "unknown"), (422, "rejected"), (403, "rejected")]
)
def test_statuses_become_receipts(platform, connect, status_code, outcome):
    platform.fault("POST", "/api/v1/statuses", type="status", status=status_code)
    assert publish(connect(platform), note("x")).outcome == outcome


REFUSED = {"error": "This action is not allowed"}


def refusing(asks):
    """A peer that answers 403 to every write; ``asks`` notes them."""

    def script(asked):
        if asked.path.endswith(("/verify_credentials", "/instance")):
            return opening(asked)
        asks.append((asked.method, asked.path.partition("/api/v1")[2]))
        return Answer(403, REFUSED)

    return script


@pytest.mark.parametrize(
    ("stream", "record", "probe"),
    [
        ("posts", note("x"), ("DELETE", "/statuses/0")),
        ("reactions", {"type": "Like", "object": "7"}, ("POST", "/statuses/0/unfavourite")),
    ],
)  # fmt: skip
def test_an_account_that_lost_its_rights_stops_the_system_not_the_record(
    peer, connect, stream, record, probe
):
    asks = []
    adapter = connect(peer(refusing(asks)))
    with pytest.raises(ConfigurationError) as caught:
        adapter.write(stream, [intent("create", None, record)])
    assert caught.value.code == "mastodon.no-rights"
    assert asks[1:] == [probe]


def test_a_token_without_the_scope_is_told_by_the_platforms_own_words(peer, connect):
    asks = []

    def script(asked):
        if asked.method == "GET":
            return opening(asked)
        asks.append(asked.path)
        return Answer(403, {"error": "This action is outside the authorized scopes"})

    with pytest.raises(ConfigurationError) as caught:
        publish(connect(peer(script)), note("x"))
    assert caught.value.code == "mastodon.no-rights"
    assert len(asks) == 1


def test_one_record_without_rights_is_rejected_and_nothing_stops(platform, connect):
    adapter = connect(platform)
    kept = publish(adapter, note("stays")).ref
    platform.fault("POST", "/api/v1/statuses", type="status", status=403)
    receipt = publish(adapter, note("x"))
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.rights")
    assert publish(adapter, note("y")).outcome == "applied"
    assert {each["id"] for each in platform.statuses()} > {kept.id}


def test_a_revoked_token_stops_the_system_not_the_record(platform, connect):
    adapter = connect(platform)
    platform.fault("POST", "/api/v1/statuses", type="status", status=401)
    with pytest.raises(ConfigurationError, match="401"):
        publish(adapter, note("x"))


def test_a_lost_answer_repeated_posts_once(platform, connect):
    adapter = connect(platform)
    asked = intent("create", None, note(f"order {secrets.token_hex(4)}"))
    first = adapter.write("posts", [asked])[0]
    platform.fault("POST", "/api/v1/statuses", type="malformed")
    lost = adapter.write("posts", [asked])[0]
    assert lost.outcome in {"unknown", "applied"}
    again = adapter.write("posts", [asked])[0]
    assert again.ref == first.ref
    assert len(platform.statuses()) == 1


def test_another_client_sees_what_we_wrote(platform, connect):
    record = note("Bestellung 4711 über 12,50 €", summary="Bestellung", language="de")
    ref = publish(connect(platform), record).ref
    other = MastodonPy(access_token=platform.token, api_base_url=platform.url)
    seen = other.status(ref.id)
    assert "12,50 €" in seen.content
    assert (seen.spoiler_text, seen.language) == ("Bestellung", "de")


def test_writes_of_many_threads_do_not_mix(platform, connect):
    texts = [f"order {number}" for number in range(12)]

    def work(part):
        adapter = connect(platform)
        for text in part:
            publish(adapter, note(text))

    threads = [threading.Thread(target=work, args=(texts[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = sorted(each["content"] for each in platform.statuses())
    assert shown == sorted(f"<p>{text}</p>" for text in texts)


def test_a_reaction_is_given_and_taken_back(platform, connect):
    adapter = connect(platform)
    status_id = platform.post("ada", "coffee?")["id"]
    like = {"type": "Like", "object": status_id}
    receipt = adapter.write("reactions", [intent("create", None, like)])[0]
    assert receipt.outcome == "applied"
    seen = platform.call("GET", f"/api/v1/statuses/{status_id}")
    assert seen["favourites_count"] == 1
    gone = adapter.write("reactions", [intent("delete", Ref(receipt.ref.id), None)])[0]
    assert gone.outcome == "applied"
    seen = platform.call("GET", f"/api/v1/statuses/{status_id}")
    assert seen["favourites_count"] == 0


def test_a_reaction_is_never_turned_into_another(platform, connect):
    adapter = connect(platform)
    status_id = platform.post("ada", "coffee?")["id"]
    like = {"type": "Like", "object": status_id}
    ref = adapter.write("reactions", [intent("create", None, like)])[0].ref
    boost = intent("update", ref, {**like, "type": "Announce"})
    receipt = adapter.write("reactions", [boost])[0]
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.reaction")
    assert platform.call("GET", f"/api/v1/statuses/{status_id}")["reblogs_count"] == 0


def test_discover_suggests_each_stream_of_the_account(platform, connect):
    found = connect(platform).discover()
    kinds = {each.value: each.stream for each in found.items if each.setting == "kind"}
    assert kinds == {kind: kind for kind in KINDS}


def test_discover_warns_of_an_account_that_anybody_may_follow(peer, connect):
    def script(asked):
        if asked.path.endswith("/verify_credentials"):
            return Answer(200, {"id": "1", "acct": "erp", "locked": False})
        return opening(asked)

    found = connect(peer(script), followers_are_org=True).discover()
    assert any("not locked" in warning for warning in found.warnings)


def test_discover_asks_whether_a_locked_accounts_followers_are_the_company(
    peer, connect
):
    found = connect(peer(opening)).discover()
    [asked] = [each for each in found.items if each.setting == "followers_are_org"]
    assert (asked.value, asked.confidence < 0.8) == (True, True)


@pytest.mark.parametrize(
    ("minutes", "words"), [(5, "behind"), (-5, "ahead of"), (0.5, ""), (-0.5, "")]
)
def test_a_clock_that_goes_wrong_is_told(peer, connect, minutes, words):
    def script(asked):
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        said = opening(asked)
        return Answer(
            said.status, said.body, {"Date": format_datetime(moment, usegmt=True)}
        )

    warnings = connect(peer(script)).probe().warnings
    told = [each for each in warnings if each.startswith("our clock is")]
    assert len(told) == bool(words)
    assert all(words in each for each in told)
