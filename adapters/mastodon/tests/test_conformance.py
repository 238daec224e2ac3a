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
