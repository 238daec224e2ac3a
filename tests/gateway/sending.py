"""An independent sender: the `standardwebhooks` package signs, not our code."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from servers.gateway import KEY, post


def signed(ident, said, *, key=KEY, at=None):
    """(body, headers) of one delivery."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    moment = at or datetime.now(UTC)
    signature = Webhook(key).sign(ident, moment, body.decode())
    return body, {
        "content-type": "application/json",
        "webhook-id": ident,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def person(uid, *, given="Ada", kind="person.created"):
    return {
        "type": kind,
        "data": {"id": uid, "name": {"given": given, "family": "Lovelace"}},
    }


def deliver(port, ident, said, **more):
    body, headers = signed(ident, said, **more)
    return post(port, "/in/hooks", body, headers)
