"""What is sent: one intent as the bytes of one event. Pure.

``standard`` and ``cloudevents`` carry the record as data; the chat formats carry its
text, in which nothing may ping and no markup of a legacy value may act.
Sources: Standard Webhooks 1.0.0; CloudEvents 1.0 (structured mode); Slack "Formatting
text"; Discord "Execute Webhook"; Microsoft Teams incoming webhooks (Adaptive Cards).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.text import neutralise, plain_text, sanitise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.changes import Intent
    from moatbridge_webhook.config import WebhookConfig

_VERBS: Final = {"create": "created", "update": "updated", "delete": "deleted"}
_LONGEST: Final = {"slack": 40_000, "discord": 2_000, "teams": 20_000}
"""Characters that each service accepts in one message."""

_MARKDOWN: Final = re.compile(
    r"(?P<link>https?://[^\s<>]+)|[\\*_~`|<>\[\]]|^[ \t]*[#-]", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as it travels.

    Args:
        body: The exact bytes that are signed and sent.
        media_type: Their type.
    """

    body: bytes = field(repr=False)
    media_type: str = "application/json"


class Unsendable(ValueError):
    """The intent cannot be said in this format; ``reason`` is the code's last word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def event_of(
    intent: Intent, ident: str, kind: str, config: WebhookConfig, now: datetime
) -> Event:
    """The event that tells of an intent.

    Args:
        intent: What to tell.
        ident: The record's id at the receiver.
        kind: Event type before the verb.
        config: Format and limits.
        now: Time of an event whose record tells none.

    Raises:
        Unsendable: ``no-edit`` (chat messages cannot be changed), ``no-text``,
            ``too-large``, ``value`` (no JSON can hold a value).
    """
    if config.format not in _LONGEST:
        return _data_event(intent, ident, kind, config, now)
    if intent.op != "create":
        raise Unsendable("no-edit")
    text = _ESCAPES[config.format](_text(intent.record or {}))
    if not text:
        raise Unsendable("no-text")
    if len(text) > _LONGEST[config.format]:
        raise Unsendable("too-large")
    return Event(_dumped(_CHATS[config.format](text)))


def _data_event(
    intent: Intent, ident: str, kind: str, config: WebhookConfig, now: datetime
) -> Event:
    data = {**_harmless(intent.record or {}), "id": ident}
    name = f"{kind}.{_VERBS[intent.op]}"
    moment = _moment(intent.record or {}, now)
    event = _wrapped(intent, name, moment, data, config)
    if len(event.body) > config.max_body:
        if config.oversize == "reject":
            raise Unsendable("too-large")
        return _wrapped(intent, name, moment, {"id": ident, "thin": True}, config)
    return event


def _wrapped(
    intent: Intent,
    name: str,
    moment: str,
    data: Mapping[str, Any],
    config: WebhookConfig,
) -> Event:
    if config.format == "standard":
        return Event(_dumped({"type": name, "timestamp": moment, "data": data}))
    body = {
        "specversion": "1.0",
        "id": intent.key,
        "source": config.source,
        "type": name,
        "subject": data["id"],
        "time": moment,
        "datacontenttype": "application/json",
        "partitionkey": data["id"],  # events of one record belong in one order
        "data": data,
    }
    if label := (intent.record or {}).get("label"):
        body["dataclassification"] = label
    return Event(_dumped(body), "application/cloudevents+json")


def _harmless(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, its HTML cut down to what no browser acts on (entities 52).

    It was cleaned when it became a post; what a person or a rule put in since is not.
    """
    content = record.get("content")
    if record.get("mediaType") != "text/html" or not isinstance(content, str):
        return record
    return {**record, "content": sanitise(content)}


def _moment(record: Mapping[str, Any], now: datetime) -> str:
    """When it happened, as the record says: then a repeat has the same bytes."""
    for name in ("updated", "published"):
        if isinstance(record.get(name), str):
            return str(record[name])
    return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(record: Mapping[str, Any]) -> str:
    name = record.get("name")
    title = name if isinstance(name, str) else ""
    content = plain_text(record) if isinstance(record.get("content"), str) else ""
    return neutralise("\n".join(part for part in (title, content) if part))


def _for_slack(text: str) -> str:
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    return text


def _for_discord(text: str) -> str:
    """A backslash before every sign that Discord's Markdown acts on, but in links."""
    return _MARKDOWN.sub(
        lambda found: found[0] if found["link"] else f"{found[0][:-1]}\\{found[0][-1]}",
        text,
    )


def _slack(text: str) -> dict[str, Any]:
    return {"text": text, "mrkdwn": False, "unfurl_links": False}


def _discord(text: str) -> dict[str, Any]:
    return {"content": text, "allowed_mentions": {"parse": []}}


def _teams(text: str) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "RichTextBlock",  # shows text as it is, without Markdown
                "inlines": [{"type": "TextRun", "text": text}],
            }
        ],
    }
    media_type = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": media_type, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _dumped(body: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(
            body, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        raise Unsendable("value") from None


_ESCAPES: Final[dict[str, Callable[[str], str]]] = {
    "slack": _for_slack,
    "discord": _for_discord,
    "teams": str,  # its block knows no markup
}
_CHATS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "slack": _slack,
    "discord": _discord,
    "teams": _teams,
}
