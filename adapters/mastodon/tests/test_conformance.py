"""The adapter passes the suite on a real process, for posts, mentions and reactions."""

from __future__ import annotations

import secrets

import pytest
from pydantic import SecretStr

from moatbridge.changes import Ref
from moatbridge.testing import AdapterConformance, Harness
from moatbridge_mastodon import MastodonAdapter, MastodonConfig


class PlatformHarness(Harness):
    unique = "content"

    def __init__(self, platform):
        self.platform = platform
        self.endpoint = platform.endpoint
        self.canaries = [platform.token]

    def make(self, *, endpoint=None, credentials="good"):
        host, port = endpoint or self.platform.endpoint
        token = self.platform.token if credentials == "good" else "wrong-token"
        config = MastodonConfig(
            base_url=f"http://{host}:{port}",
            auth={"kind": "bearer", "token": SecretStr(token)},
            insecure_cleartext=True,
            followers_are_org=True,
            page_size=5,
        )
        return MastodonAdapter(config, {})

    def absent(self):
        return Ref("1" + "0" * 12)


class PostsHarness(PlatformHarness):
    stream = "posts"
    clearable = "summary"

    def sample(self, count):
        return [
            {
                "type": "Note",
                "content": f"Order {secrets.token_hex(6)} waits",
                "summary": f"purchase {secrets.token_hex(3)}",
                "language": "en",
                "audience": {"kind": "org", "refs": []},
            }
            for _ in range(count)
        ]

    def seed(self, records):
        for record in records:
            self.platform.post(
                self.platform.bot,
                record["content"],
                visibility="private",
                spoiler_text=record["summary"],
                language="en",
            )

    def read_all(self):
        return [{"content": _text(status)} for status in self.platform.statuses()]

    def remove(self, values):
        for status in self.platform.statuses():
            if _text(status) in values:
                self.platform.call("DELETE", f"/api/v1/statuses/{status['id']}")

    def change(self, record):
        return {"summary": f"changed {secrets.token_hex(3)}", "sensitive": True}

    def busy(self):
        effect = {"type": "ratelimit", "status": 429}
        fault = {"match": {"path": "*"}, "effect": effect, "count": 1}
        self.platform.call("POST", "/api/v1/_mock/faults", fault)

    def broken(self):
        return {"type": "Note", "content": "x" * 501, "audience": {"kind": "org"}}


class MentionsHarness(PlatformHarness):
    stream = "mentions"

    def sample(self, count):
        return [
            {"content": f"@erp approve {secrets.token_hex(6)}"} for _ in range(count)
        ]

    def seed(self, records):
        for record in records:
            self.platform.post("ada", record["content"], visibility="direct")

    def read_all(self):
        return [{"content": _text(each)} for each in self.platform.inbox("erp")]

    def remove(self, values):
        for status in self.platform.inbox("erp"):
            if _text(status) in values:
                self.platform.call(
                    "DELETE", f"/api/v1/statuses/{status['id']}", who="ada"
                )


class ReactionsHarness(PlatformHarness):
    stream = "reactions"
    unique = "object"

    def sample(self, count):
        return [
            {
                "type": "Like",
                "object": self.platform.post(self.platform.bot, text)["id"],
            }
            for text in (f"Order {secrets.token_hex(6)}" for _ in range(count))
        ]

    def seed(self, records):
        for record in records:
            self._react(record["object"], "favourite", "ada")

    def read_all(self):
        liked = [s for s in self.platform.statuses() if s["favourites_count"]]
        return [{"type": "Like", "object": status["id"]} for status in liked]

    def remove(self, values):
        for value in values:
            for who in (self.platform.bot, "ada"):
                self._react(value, "unfavourite", who)

    def broken(self):
        return {"type": "Dislike", "object": "1"}

    def _react(self, ident, verb, who):
        self.platform.call("POST", f"/api/v1/statuses/{ident}/{verb}", who=who)


def _text(status):
    return status["content"].removeprefix("<p>").removesuffix("</p>")


class TestPosts(AdapterConformance):
    adapter = MastodonAdapter
    features = frozenset({"network", "credentials", "keyed", "busy"})
    lacks = frozenset({"CanFollow", "CanFind", "CanHint"})

    @pytest.fixture
    def harness(self, platform):
        return PostsHarness(platform)


class TestMentions(AdapterConformance):
    adapter = MastodonAdapter
    features = frozenset({"network", "credentials"})
    lacks = frozenset({"CanScan", "CanFind", "CanWrite"})

    @pytest.fixture
    def harness(self, platform):
        return MentionsHarness(platform)


unchangeable = pytest.mark.xfail(
    strict=True, reason="a reaction is given or taken back, never changed"
)


class TestReactions(AdapterConformance):
    adapter = MastodonAdapter
    features = frozenset({"network", "credentials", "keyed"})
    lacks = frozenset({"CanScan", "CanFind", "CanFetch"})

    @pytest.fixture
    def harness(self, platform):
        return ReactionsHarness(platform)

    @unchangeable
    def test_updates_only_what_is_named(self, stage):
        super().test_updates_only_what_is_named(stage)

    @unchangeable
    def test_a_cleared_value_is_really_cleared(self, stage):
        super().test_a_cleared_value_is_really_cleared(stage)

    @unchangeable
    def test_updating_a_missing_record_is_rejected_as_gone(self, stage):
        super().test_updating_a_missing_record_is_rejected_as_gone(stage)

    @unchangeable
    def test_repeating_an_update_has_no_second_effect(self, stage):
        super().test_repeating_an_update_has_no_second_effect(stage)

    @unchangeable
    def test_a_mixed_batch_has_a_receipt_each(self, stage):
        super().test_a_mixed_batch_has_a_receipt_each(stage)

    @unchangeable
    def test_a_late_repeat_of_a_create_undoes_nothing(self, stage):
        super().test_a_late_repeat_of_a_create_undoes_nothing(stage)
