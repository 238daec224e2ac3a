"""A practice product: receives signed events, and sends some.

    python events.py serve               # a receiver, until Ctrl-C
    python events.py received            # what it believed: type and data
    python events.py key                 # makes playground/product-key, to send with
    python events.py send profile.updated '{"id": "u1", "phone": "0200794601"}'

Written against the text of Standard Webhooks, not against moatbridge. ``send`` goes to
``--to`` and prints the answer's status; ``--forged`` signs with a wrong key.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import secrets
import sys
import time
from contextlib import closing
from urllib.parse import urlsplit

from serving import FOLDER, keep, kept, serve

from moatbridge.demo.servers import Receiver

INBOX = "http://127.0.0.1:8080/in/product"


def main() -> int:
    """Run one of the commands."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=("serve", "received", "key", "send"))
    asked.add_argument("values", nargs="*", help="send: the event's type and data")
    asked.add_argument("--port", type=int, default=8500)
    asked.add_argument("--to", default=INBOX)
    asked.add_argument("--id", help="send: the delivery's id; the same one is a repeat")
    asked.add_argument("--forged", action="store_true")
    given = asked.parse_args()
    if given.command == "serve":
        receiver = Book()
        receiver.port = given.port
        return serve(lambda: start(receiver), receiver.stop)
    if given.command == "received":
        print(BOOK.read_text(encoding="utf-8"), end="")
    elif given.command == "key":
        keep("product-key", new_key())
    else:
        key = new_key() if given.forged else kept("product-key")
        kind, data = given.values
        body = json.dumps({"type": kind, "data": json.loads(data)}).encode()
        print(send(given.to, key, given.id or secrets.token_hex(8), body))
    return 0


BOOK = FOLDER / "received.txt"


class Book(Receiver):
    """A receiver that writes down what it believed."""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify one delivery, and keep it once."""
        known = set(self.events)
        status = super().take(headers, body)
        for ident in self.events.keys() - known:
            event = self.events[ident]
            with BOOK.open("a", encoding="utf-8") as book:
                book.write(f"{event['type']} {json.dumps(event['data'])}\n")
        return status


def start(receiver: Receiver) -> None:
    """Start it and say where it is."""
    keep("events-key", receiver.secret)
    keep(BOOK.name, "")
    receiver.start()
    print(f"receiver: {receiver.url}")
    print(f"signing key: {FOLDER / 'events-key'}")


def new_key() -> str:
    """A random key as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def send(url: str, key: str, ident: str, body: bytes) -> int:
    """One signed delivery; the HTTP status of the answer."""
    stamp = str(int(time.time()))
    secret = base64.b64decode(key.removeprefix("whsec_"))
    content = f"{ident}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": ident,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + signature.decode(),
    }
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    with closing(connection):
        connection.request("POST", parts.path, body, headers)
        return connection.getresponse().status


if __name__ == "__main__":
    sys.exit(main())
