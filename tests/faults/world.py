"""Two flows: to a real SCIM server behind a wire that fails, and to a spare system.

The platform stands behind a front that can say 503, and that behind a `FaultProxy`:
everything the bridge sends is counted where it arrives.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from urllib.parse import urlencode

from moatbridge.adapter import Field, WriteTraits
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import (
    HUB,
    Fault,
    FaultProxy,
    MemoryAdapter,
    MemoryStream,
    MemorySystem,
)
from moatbridge_scim import ScimAdapter
from servers.scim import ScimServer
from servers.scripted_http import Answer, ScriptedHttp

PERSON = tuple(Field(name) for name in ("uid", "given", "family", "mail"))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
}
FLOWS = {"social": "hr", "spare": "office"}


class Front:
    """Passes requests on to the platform, unless it is down."""

    def __init__(self, server):
        self.server = server
        self.down = False

    def __call__(self, asked):
        if self.down:
            return Answer(503, {"detail": "maintenance"})
        with contextlib.closing(
            http.client.HTTPConnection(*self.server.endpoint, timeout=30)
        ) as connection:
            query = f"?{urlencode(asked.query)}" if asked.query else ""
            body = None if asked.body is None else json.dumps(asked.body)
            headers = {
                "Authorization": f"Bearer {self.server.token}",
                "Content-Type": "application/scim+json",
            }
            connection.request(asked.method, asked.path + query, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())


class World:
    """One bridge that serves; ``down`` and ``up`` are the platform's fault.

    Args:
        folder: For the ledger.
        people: How many there are at first.
        rate: Calls a second to each target at most.
        workers: Bridges that serve, each with sessions and breakers of its own.
        deadline: Seconds of one call to the platform.
    """

    def __init__(self, folder, *, people, rate, workers=1, deadline=30.0):
        self.stack = contextlib.ExitStack()
        self.deadline = deadline
        try:
            self._start(folder, people, rate, workers)
        except BaseException:
            self.stack.close()
            raise

    def _start(self, folder, people, rate, workers):
        enter = self.stack.enter_context
        # Without bulk each record is a request of its own, which makes rates visible.
        self.server = enter(ScimServer({"bulk": NO_BULK}))
        self.front = Front(self.server)
        self.http = enter(ScriptedHttp(self.front))
        self.proxy = enter(FaultProxy("127.0.0.1", self.http.port))
        self.hr = self._memory(f"hr-{folder.name}")
        self.office = self._memory(f"office-{folder.name}")
        self.spare = self._memory(f"spare-{folder.name}", Field("ext"))
        self.count = 0
        self.add(people)
        self.folder, self.rate = folder, rate
        self.bridges = [self._bridge() for _ in range(workers)]
        for flow in FLOWS:
            plan = self.bridges[0].plan(flow)
            self.bridges[0].apply(plan, confirm=plan.verdict.count, max_seconds=0.0)

    def _memory(self, name, *more):
        one = WriteTraits(dedup="keyed", max_batch=1, max_request_life=0.0)
        unique = {"unique": "ext", "traits": one} if more else {}
        stream = MemoryStream("people", (*PERSON, *more), key=("uid",), **unique)
        return HUB.register(MemorySystem([stream], name=name))

    def _bridge(self):
        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        registry.register("scim", ScimAdapter)
        bridge = Bridge(parse(self._config(), registry), registry=registry)
        self.stack.callback(bridge.close)
        return bridge

    def _config(self):
        host, port = self.proxy.endpoint
        people = {"entity": "Person", "fields": FIELDS}
        kept = {"entity": "Person", "fields": {**FIELDS, "externalId": "ext"}}
        trusted = {"max_label": "confidential", "exposure": "internal"}
        return {
            "ledger": {
                "url": f"sqlite:///{self.folder}/ledger.db",
                "durability": "normal",
            },
            "guard": {"four_eyes": False},
            "systems": {
                "hr": {"adapter": "memory", "system": self.hr.name, **trusted},
                "office": {"adapter": "memory", "system": self.office.name, **trusted},
                "spare": {
                    "adapter": "memory",
                    "system": self.spare.name,
                    "quota": {"write": {"rate": self.rate, "burst": 1}},
                    **trusted,
                },
                "social": {
                    "adapter": "scim",
                    "base_url": f"http://{host}:{port}/v2",
                    "auth": {"kind": "bearer", "token": "env:PLATFORM_TOKEN"},
                    "insecure_cleartext": True,
                    "allow_networks": ["127.0.0.0/8"],
                    "deadline": {"call": self.deadline, "connect": self.deadline},
                    "quota": {"write": {"rate": self.rate, "burst": 1}},
                    **trusted,
                },
            },
            "streams": {
                "hr/people": {"translator": people},
                "office/people": {"translator": people},
                "spare/people": {"translator": kept},
                "social/people": {},
            },
            "flows": {
                name: {"from": f"{source}/people", "to": f"{name}/people", "lanes": 2}
                for name, source in FLOWS.items()
            },
        }

    def add(self, count):
        for number in range(self.count, self.count + count):
            record = {"uid": f"u{number:05}", "given": "Ada", "family": f"L{number}"}
            for source in (self.hr, self.office):
                source.put("people", [record | {"mail": f"u{number}@x.example"}])
        self.count += count

    def arrived(self):
        """Records at the platform, asked round the wire."""
        return int(self.server.call("GET", "/Users?count=1")["totalResults"])

    def spared(self):
        return len(list(self.spare.all("people")))

    def calls(self):
        """Connections that reached the wire, and requests that reached the platform."""
        return self.proxy.accepted + len(self.http.asked)

    def down(self, how):
        """Take the platform away: ``refused``, ``blackhole`` or ``503``."""
        self.front.down = how == "503"
        if how == "refused":
            self.proxy.fault = Fault(refuse=True, reset_after=0)
        elif how == "blackhole":
            self.proxy.fault = Fault(blackhole=True, stall_after=0)

    def up(self):
        """Give it back."""
        self.front.down = False
        self.proxy.fault = Fault()

    def serve(self):
        for bridge in self.bridges:
            runner = bridge.runner()
            runner.start(list(FLOWS))
            self.stack.callback(runner.stop)

    def close(self):
        self.stack.close()


NO_BULK = {"supported": False, "maxOperations": 0, "maxPayloadSize": 0}


def wait_for(condition, seconds=60.0):
    """Poll a condition; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "condition did not come true"
        time.sleep(0.01)
    return time.monotonic() - began
