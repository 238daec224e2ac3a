"""A small networked adapter, as a third party would write it."""

from __future__ import annotations

import contextlib

from pydantic import SecretStr

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanScan,
    CanWrite,
    PageSize,
    Probe,
    Secret,
)
from moatbridge.adapter import Stream as StreamDescription
from moatbridge.changes import Batch, Change, Receipt, Ref
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    NotApplied,
    OutcomeUnknown,
)
from moatbridge.testing.memory_store import dump, load
from testing.memory_harness import PEOPLE, MemoryHarness


class WireConfig(AdapterConfig):
    host: str
    port: int
    password: Secret
    page_size: PageSize = 5


class WireAdapter(Adapter[WireConfig], CanScan, CanWrite):
    name = "wire"
    Config = WireConfig
    _socket = None
    _lines = None

    @classmethod
    def endpoints(cls, config):
        return [(config.host, config.port)]

    def open(self):
        self._socket = self.dial()
        self._lines = self._socket.makefile("rb")
        secret = self.config.password.get_secret_value()
        if not self._ask({"do": "login", "password": secret})["ok"]:
            raise ConfigurationError("The password is refused.", code="wire.auth")

    def dial(self):
        return self.net.connect(self.config.host, self.config.port, why="config")

    def close(self):
        for thing in (self._lines, self._socket):
            if thing is not None:
                with contextlib.suppress(OSError):
                    thing.close()
        self._socket = self._lines = None

    def probe(self):
        return Probe(self._ask({"do": "about"})["server"])

    def streams(self):
        names = self._ask({"do": "about"})["streams"]
        able = self.abilities
        return [StreamDescription(n, PEOPLE.fields, abilities=able) for n in names]

    def scan(self, stream, partition, after):
        self._known(stream)
        if after is not None and "id" not in after:
            raise CursorTooOld("Not our cursor.", code="wire.cursor")
        last, more = (after or {"id": ""})["id"], True
        while more:
            rows = self.page(stream, last)
            more = self.goes_on(rows)
            last = rows[-1][0] if rows else last
            found = [Change(Ref.from_key(k, n), "upsert", d, v) for k, n, d, v in rows]
            yield Batch(found, {"id": last}, (), not more)

    def page(self, stream, last):
        limit = self.config.page_size
        return self._ask(
            {"do": "page", "stream": stream, "after": last, "limit": limit}
        )

    def goes_on(self, rows):
        return bool(rows)  # a page may be short, but only behind the end it is empty

    def traits(self, stream):
        return PEOPLE.traits.__class__(dedup="keyed", key_scope="request", max_batch=2)

    def write(self, stream, intents):
        self._known(stream)
        if not intents:
            return []
        rows = [
            [i.key, i.op, i.ref and [i.ref.key, i.ref.name], i.record, i.owned]
            for i in intents
        ]
        asked = {"do": "write", "stream": stream, "intents": rows}
        try:
            answers = self._ask(asked)
        except NotApplied as error:
            if error.code == "wire.busy":
                raise
            raise OutcomeUnknown("No answer.", code="wire.lost") from error
        return [
            Receipt(outcome, ref and Ref.from_key(*ref), code=code)
            for outcome, ref, code in answers
        ]

    def _known(self, stream):
        if stream != "people":
            raise ConfigurationError("No such stream.", code="wire.stream")

    def _ask(self, asked):
        try:
            self._socket.sendall(dump(asked).encode() + b"\n")
            answer = self._lines.readline()
        except (OSError, ValueError) as error:
            words = f"The connection broke ({type(error).__name__})."
            raise NotApplied(words, code="wire.broken") from None
        if not answer.endswith(b"\n"):
            raise NotApplied("The connection ended early.", code="wire.short")
        told = load(answer.decode())
        if told == "busy":
            raise NotApplied("The server is busy.", code="wire.busy")
        return told


class WireHarness(MemoryHarness):
    def __init__(self, system, server, password, kind=WireAdapter):
        super().__init__(system, kind)
        self.server = server
        self.endpoint = server.endpoint
        self.canaries = [password]

    def busy(self):
        self.server.busy_at = self.server.asked + 1

    def short_pages(self):
        self.server.most = 2

    def make(self, *, endpoint=None, credentials="good"):
        host, port = endpoint or self.endpoint
        text = self.canaries[0] if credentials == "good" else "quite wrong"
        secret = Secret("(test)", SecretStr(text))
        return self.kind(WireConfig(host=host, port=port, password=secret), {})
