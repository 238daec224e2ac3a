"""Events from the social product become files for a system that reads only files."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import http.client
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from moatbridge.demo.stage import done

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.demo.stage import Stage

_FLOW: Final = "requests"
_PEOPLE: Final = 12
_PATIENCE: Final = 30.0


def play(stage: Stage) -> None:
    """Send events to the gateway, twice and forged too; publish; read the file."""
    tell, world = stage.tell, stage.world
    tell.act("Events from the product (webhook inbox) as files for payroll")
    with tell.step("moatbridge serve"):
        gateway = world.command("serve", "--port", str(world.gateway))
        _await(world.gateway)
    try:
        with tell.step(f"the product sends {_PEOPLE} signed events, each twice"):
            codes = [_send(stage, n) for n in (*range(_PEOPLE), *range(_PEOPLE))]
        tell.expect("answers", [200], sorted(set(codes)))
        forged = _send(
            stage, _PEOPLE, key="whsec_" + base64.b64encode(b"x" * 32).decode()
        )
        tell.expect("answer to a forged event", 401, forged)
    finally:
        gateway.terminate()
        gateway.wait(_PATIENCE)
    with world.bridge() as bridge:
        stage.apply(bridge, stage.plan(bridge, _FLOW))
        tell.say(f"carried: {done(stage.run(bridge, _FLOW))}")
    files = world.files.names("payroll")
    rows = [
        row for name in files for row in _rows(world.files.folder / "payroll" / name)
    ]
    tell.say(f"files for payroll: {', '.join(files)}")
    wanted = {(_login(n), _phone(n)) for n in range(_PEOPLE)}
    found = [(row["LOGIN"], row["PHONE"]) for row in rows]
    tell.expect("lines for payroll", len(wanted), len(found))
    tell.expect("lines that are wrong, missing or doubled", 0, len(wanted ^ set(found)))


def _send(stage: Stage, number: int, *, key: str = "") -> int:
    """One event, as the Standard Webhooks text says; the HTTP status of the answer."""
    world = stage.world
    data = {"id": f"u{number}", "login": _login(number), "phone": _phone(number)}
    body = json.dumps({"type": "profile.updated", "data": data}).encode()
    ident, stamp = f"msg-{number}", str(int(time.time()))
    secret = base64.b64decode((key or world.product_key).removeprefix("whsec_"))
    content = f"{ident}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": ident,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + signature.decode(),
    }
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway, timeout=30)
    with closing(connection):
        connection.request("POST", "/in/product", body, headers)
        answer = connection.getresponse()
        answer.read()
    return answer.status


def _await(port: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with closing(connection):
                connection.request("GET", "/healthz")
                connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _login(number: int) -> str:
    return f"login{number:02}"


def _phone(number: int) -> str:
    return f"0{2007946000 + number}"
