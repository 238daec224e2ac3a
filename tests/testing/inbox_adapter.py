"""A small adapter that only receives: signed lines of JSON, pushed by the system."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time

from pydantic import SecretStr

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanReceive,
    Field,
    Probe,
    Received,
    Request,
    Secret,
    Stream,
)
from moatbridge.changes import Change, Ref
from moatbridge.errors import Rejected
from moatbridge.testing import Harness

KEY = "a-shared-key-of-the-inbox"


def sign(body):
    return hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()


class InboxConfig(AdapterConfig):
    key: Secret


class InboxAdapter(Adapter[InboxConfig], CanReceive):
    name = "inbox"
    Config = InboxConfig

    @classmethod
    def endpoints(cls, config):
        return ()

    def open(self):
        """Nobody is dialled."""

    def close(self):
        """Nothing is open."""

    def probe(self):
        return Probe("inbox")

    def streams(self):
        fields = (Field("id", required=True), Field("name"))
        return [Stream("people", fields, key=("id",), abilities=self.abilities)]

    def receive(self, request):
        if not hmac.compare_digest(self.signed(request), self.proof(request)):
            raise self.untrusted(request)
        told = json.loads(request.body)
        changes = [Change(Ref(each["id"]), "upsert", each) for each in told["people"]]
        return Received(self.name_of(told), changes={"people": changes})

    def signed(self, request):
        return sign(request.body)

    def proof(self, request):
        return request.headers.get("x-signature", "")

    def untrusted(self, request):
        return Rejected("Not proved.", kind="rights", code="inbox.untrusted")

    def name_of(self, told):
        return told["delivery"]


class InboxHarness(Harness):
    unique = "id"

    def __init__(self, kind=InboxAdapter):
        self.kind = kind
        self.canaries = [KEY]

    def make(self, *, endpoint=None, credentials="good"):
        return self.kind(InboxConfig(key=Secret("(test)", SecretStr(KEY))), {})

    def sample(self, count):
        return [
            {"id": f"id-{secrets.token_hex(8)}", "name": f"Ada {secrets.token_hex(8)}"}
            for _ in range(count)
        ]

    def seed(self, records):
        """Nobody is asked."""

    def read_all(self):
        return []

    def remove(self, values):
        """Nothing is kept."""

    def delivery(self, records):
        told = {"delivery": secrets.token_hex(8), "people": records}
        body = json.dumps(told).encode()
        headers = {"x-signature": sign(body)}
        return Request("POST", "", "", headers, body, time.time())
