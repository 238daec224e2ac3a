"""What arrives from outside, and what an adapter makes of it (`CanReceive`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Change, Reject


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request from outside, exactly as it came.

    Args:
        method: HTTP method, in capitals.
        path: Raw path below the system's own address, still percent-encoded: empty, or
            starting with a slash.
        query: Raw query string, without the question mark.
        headers: Names in lower case; values as Latin-1 text, repeated ones joined with
            a comma.
        body: The raw bytes; nothing has looked into them.
        at: When it arrived, in POSIX seconds.
    """

    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told once its delivery is safe."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Received:
    """A request whose sender was proved, read.

    Args:
        delivery_id: What the sender calls this delivery, at most 256 characters; the
            same for a repeat. Empty for a handshake, which is answered and not kept.
        ordering_key: Deliveries with the same key are worked off in order. So far all
            of a system's are; the key is kept so that this may change.
        changes: Local stream name -> its changes, in order. Plain data only.
        rejects: Local stream name -> events that could not be read; they stop nothing.
        missed: Streams of which the sender says that it dropped something.
        answer: What the sender expects to hear.
    """

    delivery_id: str
    ordering_key: str = ""
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    rejects: Mapping[str, Sequence[Reject]] = field(default_factory=dict)
    missed: frozenset[str] = frozenset()
    answer: Answer = Answer()
