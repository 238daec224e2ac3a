"""Deliveries as each sender makes them, signed by other means than our code."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from moatbridge.adapter import Request
from moatbridge_webhook import WebhookAdapter, WebhookConfig, WebhookStreamConfig

from .conftest import new_key

NOW = 1_800_000_000.0
STREAM = {
    "entity": "Person",
    "items": "data",
    "event": "type",
    "upsert": ("user.saved",),
    "delete": ("user.gone",),
    "key": ("id",),
    "fields": {"id": "id", "name": "profile.name"},
}
BODY = json.dumps(
    {
        "id": "e1",
        "event_id": "Ev1",
        "type": "user.saved",
        "data": [{"id": "u1", "profile": {"name": "Ada"}}],
    }
).encode()
PRIVATE = Ed25519PrivateKey.generate()
SHARED = "a shared secret of a sender"
STANDARD = new_key()


def receiver(verify, *secrets, streams=None, **settings):
    config = WebhookConfig(
        verify=verify, secrets=tuple(map(SecretStr, secrets)), **settings
    )
    given = {"people": STREAM} if streams is None else streams
    return WebhookAdapter(
        config, {n: WebhookStreamConfig(**s) for n, s in given.items()}
    )


def request(body=BODY, headers=None, *, path="", method="POST", query="", at=NOW):
    return Request(method, path, query, headers or {}, body, at)


def standard(body=BODY, *, key=STANDARD, ident="msg_1", at=NOW):
    moment = datetime.fromtimestamp(at, UTC)
    signature = Webhook(key).sign(ident, moment, body.decode())
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature,
    }


def slack(body=BODY, *, key=SHARED, at=NOW):
    moment = str(int(at))
    digest = hmac.new(
        key.encode(), f"v0:{moment}:".encode() + body, hashlib.sha256
    ).hexdigest()
    return {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={digest}"}


def github(body=BODY, *, key=SHARED):
    digest = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": "guid-1"}


def discord(body=BODY, *, at=NOW):
    moment = str(int(at))
    signature = PRIVATE.sign(moment.encode() + body).hex()
    return {"x-signature-timestamp": moment, "x-signature-ed25519": signature}


PUBLIC = PRIVATE.public_key().public_bytes_raw().hex()
SENDERS = {
    "standard-webhooks": (STANDARD, standard),
    "slack-v0": (SHARED, slack),
    "github-sha256": (SHARED, github),
    "hub-sha256": (SHARED, github),
    "ed25519-discord": (PUBLIC, discord),
    "bearer": (SHARED, lambda _body=BODY: {"authorization": f"Bearer {SHARED}"}),
}
