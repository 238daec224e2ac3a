"""A flow without adapters, step by step: for tests that mix the steps of two workers.

What `moatbridge.flow` does between the ledger's transactions is done here in its
smallest form, one transaction at a time, so that a test may let a worker die or stand
still before, inside and after each of them. The ledger is real; the source is a dict
with a feed, and the target is the honest minimum of its kind.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from moatbridge.ledger import frozen
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import State

LIFE = 90.0
"""Longest life of a request, in seconds."""
GONE = b"\0" * 16


@dataclass(frozen=True)
class Kind:
    """What a target promises."""

    name: str
    dedup: str = "keyed"
    scope: str = "request"
    conditional: bool = True

    @property
    def quiet(self):
        return 0.0 if self.conditional else LIFE


KINDS = (
    Kind("keyed by request, conditional"),
    Kind("keyed by request", conditional=False),
    Kind("keyed by object", scope="object", conditional=False),
    Kind("lookup", dedup="lookup", conditional=False),
)


@dataclass(frozen=True)
class Request:
    """One write on its way."""

    key: str
    op: str
    ext: str
    value: int | None
    version: int | None


@dataclass(frozen=True)
class Answer:
    outcome: str
    ref: str = ""
    version: int = 0
    code: str = ""


@dataclass
class Row:
    ref: str
    ext: str
    value: int | None
    version: int = 1


@dataclass
class Target:
    """Records by ref; what it remembers of keys; how often each key took effect."""

    kind: Kind
    rows: list[Row] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    effects: Counter = field(default_factory=Counter)
    lingering: list[Request] = field(default_factory=list)
    refusing: bool = False

    def find(self, ext):
        return [row for row in self.rows if row.ext == ext]

    def arrive(self, request):
        """The request reaches the target: what it would answer."""
        if self.kind.dedup == "keyed" and self.kind.scope == "request":
            if request.key not in self.answers:
                answer = self._apply(request)
                if answer.outcome == "not_applied":
                    return answer  # nothing took effect: nothing is remembered
                self.answers[request.key] = answer
            return self.answers[request.key]
        return self._apply(request)

    def _apply(self, request):
        found = self.find(request.ext)
        if self.refusing:
            return Answer("rejected", code="target.data")
        if request.op == "create" and (not found or self.kind.scope == "request"):
            self.effects[request.key] += 1
            row = Row(f"t{len(self.rows)}", request.ext, request.value)
            self.rows.append(row)
            return Answer("applied", row.ref, row.version)
        row = found[0]
        if self.kind.conditional and request.version != row.version:
            return Answer("not_applied", code="target.stale")
        told_apart = self.kind.dedup == "keyed" and self.kind.scope == "request"
        if row.value != request.value or told_apart:
            self.effects[request.key] += 1
            row.value, row.version = request.value, row.version + 1
        return Answer("applied", row.ref, row.version)


@dataclass
class Source:
    """Values by name, and a feed of which names changed, in order."""

    values: dict[str, int] = field(default_factory=dict)
    feed: list[str] = field(default_factory=list)
    number: int = 0

    def put(self, name):
        self.number += 1
        self.values[name] = self.number
        self.feed.append(name)

    def flap(self, name, value):
        """Back to a value that it had before: A to B to A."""
        self.values[name] = value
        self.feed.append(name)

    def remove(self, name):
        if self.values.pop(name, None) is not None:
            self.feed.append(name)


@dataclass
class Flight:
    """A parcel that a worker put in flight, and what came back so far."""

    parcel: Any
    items: list
    answers: dict[int, tuple[Answer, int]] | None = None


@dataclass
class Worker:
    """What one process has in memory; a crash forgets it."""

    name: str
    leases: dict = field(default_factory=dict)
    seen: Any = None
    flight: Flight | None = None

    def crash(self):
        self.leases, self.seen, self.flight = {}, None, None

    def lose(self, part):
        self.leases.pop(part, None)
        if part == "lane/0":
            self.flight = None
        else:
            self.seen = None


def fingerprint(name, value):
    return GONE if value is None else key_hash(f"{name}={value}")


def encode(item, row, kind):
    """The frozen bytes of an intent; None when the target shows it already."""
    value = json.loads(item.payload)["value"]
    name = item.source[0]
    if row is not None and row.value == value:
        return None
    return frozen.dumps(
        {
            "op": "create" if row is None else item.op.replace("create", "update"),
            "ext": name,
            "value": value,
            "version": row.version if row is not None and kind.conditional else None,
        }
    )


def thaw(item):
    held = frozen.loads(item.payload)
    return Request(item.key, held["op"], held["ext"], held["value"], held["version"])


def in_flight(parcel, fence, now):
    """The parcel as it is after transaction B."""
    return parcel._replace(
        state=State.IN_FLIGHT, attempt=parcel.attempt + 1, fence=fence, last_sent=now
    )
