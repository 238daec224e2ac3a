"""``moatbridge serve`` as a child process, for tests that kill it.

    python gateway.py FOLDER [--die-at POINT --after N] [--flows]

The configuration lies in FOLDER; a crash point kills the process with SIGKILL the Nth
time it is passed.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

KEY = "whsec_" + base64.b64encode(b"a test key of thirty-two bytes!!").decode()
LOOSE = "crash proof, tests, until 2999-12-31"
RULES = ("creates", "updates", "removals")
CONFIG = """
adapters = ["memory", "webhook"]
[ledger]
url = "sqlite:///{folder}/ledger.db"
[run]
ttl = 2
[guard]
creates = 10_000_000
updates = 10_000_000
removals = 10_000_000
four_eyes = false
loosen = {{ creates = "{loose}", updates = "{loose}", removals = "{loose}" }}
[systems.hooks]
adapter = "webhook"
verify = "standard-webhooks"
secrets = ["env:MB_TEST_HOOK_KEY"]
max_label = "confidential"
[streams."hooks/people"]
entity = "Person"
event = "type"
upsert = ["person.created", "person.updated"]
delete = ["person.deleted"]
items = "data"
key = ["uid"]
fields = {{ uid = "id", given = "name.given", family = "name.family" }}
[streams."hooks/people".translator]
entity = "Person"
fields = {{ userName = "uid", "name.givenName" = "given", "name.familyName" = "family" }}
[systems.social]
adapter = "memory"
path = "{folder}/target.db"
max_label = "confidential"
[streams."social/people".translator]
entity = "Person"
[streams."social/people".translator.fields]
userName = "uid"
"name.givenName" = "given"
"name.familyName" = "family"
active = "active"
externalId = "ext"
[flows.people]
from = "hooks/people"
to = "social/people"
[gateway]
public_url = "http://127.0.0.1"
min_free = {min_free}
body_deadline = {body_deadline}
{gateway}
[gateway.inbox.hooks]
{inbox}
"""


def write_config(
    folder: Path,
    *,
    inbox: str = "",
    gateway: str = "",
    body_deadline: float = 10,
    min_free: float = 0.0,
) -> Path:
    """Put the configuration and an empty target into the folder."""
    from moatbridge.adapter import Field, WriteTraits
    from moatbridge.testing import MemoryStream, MemorySystem

    fields = [Field(name) for name in ("uid", "given", "family", "ext")]
    traits = WriteTraits(
        dedup="keyed", key_scope="request", max_batch=100, conditional=True
    )
    MemorySystem(
        [
            MemoryStream(
                "people",
                (*fields, Field("active", "bool")),
                unique="ext",
                traits=traits,
            )
        ],
        path=folder / "target.db",
    ).store.close()
    path = folder / "moatbridge.toml"
    path.write_text(
        CONFIG.format(
            folder=folder,
            loose=LOOSE,
            inbox=inbox,
            gateway=gateway,
            body_deadline=body_deadline,
            min_free=min_free,
        )
    )
    os.environ["MB_TEST_HOOK_KEY"] = KEY
    return path


def open_bridge(folder: Path) -> Any:
    """The bridge of that folder, with the two adapters of the configuration."""
    from moatbridge.registry import Registry
    from moatbridge.run import Bridge
    from moatbridge.testing import MemoryAdapter
    from moatbridge_webhook import WebhookAdapter

    registry = Registry(discover=False)
    registry.register("memory", MemoryAdapter)
    registry.register("webhook", WebhookAdapter)
    return Bridge.open(folder / "moatbridge.toml", registry=registry)


class GatewayProcess:
    """The process; stopped by pid."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self._more = more
        self.port = 0

    def start(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(self.folder), *self._more],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "MB_TEST_HOOK_KEY": KEY},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line.rpartition(":")[2])
        return self

    def stop(self) -> None:
        """Terminate, wait, kill."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


def free_name() -> str:
    return secrets.token_hex(6)


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """One request on a connection of its own; (status, headers)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers


def _die_at(point: str, after: int) -> None:
    from moatbridge.resilience import crash

    passed = [0]
    lock = threading.Lock()

    def hook(name: str) -> None:
        if name != point:
            return
        with lock:
            passed[0] += 1
            if passed[0] >= after:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    crash.install(hook)


def _main() -> None:
    arguments = sys.argv[1:]
    folder = Path(arguments[0])
    from moatbridge.gateway import Gateway
    from moatbridge.gateway.serving import HeadDeadline, Listen, serve

    if "--hasty" in arguments:
        HeadDeadline.seconds = 1.0
    if "--die-at" in arguments:
        where = arguments.index("--die-at")
        _die_at(arguments[where + 1], int(arguments[where + 3]))
    with open_bridge(folder) as bridge:
        runner = bridge.runner() if "--flows" in arguments else None
        if runner is not None:
            runner.start(["people"])
        try:
            serve(
                Gateway(bridge),
                Listen(port=0),
                listening=lambda url: print(url, flush=True),  # noqa: T201 - the parent reads it
            )
        finally:
            if runner is not None:
                runner.stop()


if __name__ == "__main__":
    _main()
