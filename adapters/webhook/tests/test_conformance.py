"""The adapter passes the suite on a real receiver of events."""

from __future__ import annotations

import json
import secrets
import time

import pytest
from pydantic import SecretStr

from moatbridge.testing import AdapterConformance, Harness
from moatbridge_webhook import WebhookAdapter, WebhookConfig, WebhookStreamConfig

from .conftest import new_key
from .requests import STANDARD, receiver, request, standard


class PostsHarness(Harness):
    stream = "posts"
    unique = "content"
    clearable = "summary"

    def __init__(self, receiver):
        self.receiver = receiver
        self.endpoint = receiver.endpoint
        self.canaries = [receiver.key]

    def make(self, *, endpoint=None, credentials="good"):
        host, port = endpoint or self.endpoint
        key = self.receiver.key if credentials == "good" else new_key()
        config = WebhookConfig(
            base_url=f"http://{host}:{port}/hooks",
            signing_keys=(SecretStr(key),),
            insecure_cleartext=True,
            key_ttl=86400,
        )
        return WebhookAdapter(config, {"posts": WebhookStreamConfig()})

    def sample(self, count):
        return [
            {
                "type": "Note",
                "content": f"note {secrets.token_hex(8)}",
                "summary": f"about {secrets.token_hex(8)}",
                "language": "en",
            }
            for _ in range(count)
        ]

    def seed(self, records):
        self.receiver.put([{**r, "id": secrets.token_hex(8)} for r in records])

    def read_all(self):
        return self.receiver.records()

    def remove(self, values):
        if values:
            self.receiver.clear()

    def busy(self):
        self.receiver.behave(status=503, headers={"Retry-After": "0"})

    def change(self, record):
        return {"summary": f"new {secrets.token_hex(8)}", "language": "de"}

    def broken(self):
        return {"summary": "an event without content"}


class TestPosts(AdapterConformance):
    adapter = WebhookAdapter
    features = frozenset({"network", "keyed", "busy"})
    lacks = frozenset({"CanReceive"})

    @pytest.fixture
    def harness(self, receiver):
        return PostsHarness(receiver)


class InboxHarness(Harness):
    """What a sender of events tells us; there is nothing to be read by us."""

    unique = "id"

    def __init__(self):
        self.canaries = [STANDARD]

    def make(self, *, endpoint=None, credentials="good"):
        return receiver("standard-webhooks", STANDARD, time_window=300)

    def sample(self, count):
        return [
            {"id": f"u-{secrets.token_hex(8)}", "name": f"Ada {secrets.token_hex(8)}"}
            for _ in range(count)
        ]

    def seed(self, records):
        """Nobody is asked."""

    def read_all(self):
        return []

    def remove(self, values):
        """Nothing is kept."""

    def delivery(self, records):
        data = [{"id": r["id"], "profile": {"name": r["name"]}} for r in records]
        body = json.dumps({"type": "user.saved", "data": data}).encode()
        ident, now = f"msg_{secrets.token_hex(8)}", time.time()
        return request(body, standard(body, ident=ident, at=now), at=now)


class TestInbox(AdapterConformance):
    adapter = WebhookAdapter
    features = frozenset({"deletes"})
    lacks = frozenset({"CanWrite"})

    @pytest.fixture
    def harness(self):
        return InboxHarness()
