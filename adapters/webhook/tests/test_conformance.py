"""The adapter passes the suite on a real receiver of events."""

from __future__ import annotations

import secrets

import pytest
from pydantic import SecretStr

from moatbridge.testing import AdapterConformance, Harness
from moatbridge_webhook import WebhookAdapter, WebhookConfig, WebhookStreamConfig

from .conftest import new_key


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

    def change(self, record):
        return {"summary": f"new {secrets.token_hex(8)}", "language": "de"}

    def broken(self):
        return {"summary": "an event without content"}


class TestPosts(AdapterConformance):
    adapter = WebhookAdapter
    features = frozenset({"network", "keyed"})
    lacks = frozenset({"CanReceive"})

    @pytest.fixture
    def harness(self, receiver):
        return PostsHarness(receiver)
