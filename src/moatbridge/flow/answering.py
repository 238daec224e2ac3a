"""Answers: posts that say why nothing was decided, and what carries them.

They lie in the ledger until the implicit flow ``NAME.answers`` has carried them: their
source is a table, read like any other source that can only be followed. The guard
judges them like any post.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Field, Probe, Stream
from moatbridge.changes import Batch, Change, Ref
from moatbridge.config.answers import decider_of
from moatbridge.config.systems import SystemConfig
from moatbridge.flow.envelope import Envelope
from moatbridge.ledger import replies
from moatbridge.ledger.replies import Answer
from moatbridge.translate import Translator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.config.decide import DecideConfig
    from moatbridge.ledger import Ledger, Transaction
    from moatbridge.translate import BoundTranslator

INTERNAL: Final = SystemConfig(adapter="ledger", max_label="restricted")
"""Settings of the system that answers come from."""

ANSWERS: Final = "answers"
"""What their source calls itself."""

_PAGE: Final = 200
_PATHS: Final = ("content", "mediaType", "inReplyTo", "audience", "tag")


def answer(
    config: DecideConfig, *, k: bytes, key: str, replies_of: str, asker: str, why: str
) -> Answer:
    """The post that tells one person why nothing was decided.

    Args:
        config: The words for it.
        k: Hash of the reply's key.
        key: The reply's key.
        replies_of: Address of the stream of replies.
        asker: Reference to the account, as JSON.
        why: One of the keys of `moatbridge.config.decide.TEXTS`.
    """
    person: dict[str, Any] = json.loads(asker)
    return Answer(
        k,
        why,
        {
            "content": config.text(why),
            "mediaType": "text/plain",
            "inReplyTo": {"stream": replies_of, "id": key},
            "audience": {"kind": "people", "refs": [person]},
        },
    )


class AnswerSource:
    """The table of one deciding flow's answers, as something that can be followed.

    Has the part of a session that following needs. Any thread.

    Args:
        ledger: The ledger.
        flow_id: The deciding flow.
    """

    def __init__(self, ledger: Ledger, flow_id: int) -> None:
        self._ledger = ledger
        self._flow_id = flow_id

    def probe(self) -> Probe:
        """The identity of the data is the ledger's."""
        return Probe(server=f"ledger/{self._ledger.ledger_id}", product=ANSWERS)

    def changes(self, stream: str, after: Any) -> Iterator[Batch]:
        """Answers behind a position, oldest first; from the first one on at first."""
        del stream
        at = int((after or {"answer": 0})["answer"])
        if after is None:
            yield Batch((), {"answer": 0})
            return
        while True:
            with self._ledger.read() as tx:
                rows = replies.answers_after(tx, self._flow_id, at, _PAGE)
            if not rows:
                return
            at = rows[-1][0]
            yield Batch(
                [Change(Ref(str(n)), data=_record(post)) for n, post in rows],
                {"answer": at},
            )


def answer_stream(name: str, replies_of: BoundTranslator) -> Stream:
    """The stream of a flow's answers; accounts are named as its replies name them."""
    to, by = _accounts(replies_of)
    person: dict[str, Any] = {"type": "reference", "to": to, "by": by}
    return Stream(
        name,
        (
            Field("content"),
            Field("mediaType"),
            Field("inReplyTo", "reference", to=replies_of.address),
            Field(
                "audience",
                "object",
                fields=(Field("kind"), Field("refs", multi=True, **person)),
            ),
        ),
        abilities=frozenset({"CanFollow"}),
        entity="Post",
        native=True,
        query=ANSWERS,
    )


def translator_of(stream: Stream) -> Translator:
    """How a row becomes a post."""
    return Translator.identity("Post", _PATHS, stream)


def open_tail(ledger: Ledger, tx: Transaction, flow_id: int, flow: str) -> None:
    """Answers are followed from the first one on; no pass is needed for that."""
    if decider_of(flow) is None or ledger.leases.cursor(tx, flow_id, "live"):
        return
    at = Envelope({"answer": 0}, f"ledger/{ledger.ledger_id}", ANSWERS)
    ledger.leases.add(tx, flow_id, "live", "live", cursor=at.to_json())


def _accounts(replies_of: BoundTranslator) -> tuple[str, str]:
    for path, address, by in replies_of.references:
        if path == "attributedTo":
            return address, by
    return "", "name"


def _record(post: dict[str, Any]) -> dict[str, Any]:
    audience = post["audience"]
    return {
        "content": post["content"],
        "mediaType": post["mediaType"],
        "inReplyTo": post["inReplyTo"]["id"],
        "audience": {
            "kind": audience["kind"],
            "refs": [ref.get("name") or ref.get("id") for ref in audience["refs"]],
        },
    }
