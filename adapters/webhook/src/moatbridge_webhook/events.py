"""From a parsed body to changes, as each stream declares it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Change, Ref, Reject
from moatbridge_webhook.config import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.adapter import Request
    from moatbridge_webhook.config import WebhookStreamConfig

MISSING: Final = object()
MAX_ITEMS: Final = 10_000


class Events:
    """What one stream reads out of a body."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.rejects: list[Reject] = []


def read_events(request: Request, body: Any, settings: WebhookStreamConfig) -> Events:
    """The changes of one stream; a bad event is rejected and the others are taken.

    Args:
        request: For its headers.
        body: Parsed JSON.
        settings: The stream's.
    """
    found = Events()
    if settings.path is not None and not _below(request.path, settings.path):
        return found
    op = _operation(request, body, settings)
    if op is None:
        return found
    for place, item in _items(body, settings):
        if not isinstance(item, dict):
            found.rejects.append(Reject("webhook.item", place))
            continue
        change = _change(item, op, settings)
        if isinstance(change, Change):
            found.changes.append(change)
        else:
            found.rejects.append(Reject("webhook.key", place, field=change))
    return found


def ordering_key(body: Any, settings: WebhookStreamConfig) -> str:
    """What this delivery is in order by; empty: everything of the system."""
    value = at(body, settings.order) if settings.order else MISSING
    return _identity(value) or ""


def at(value: Any, path: str) -> Any:
    """What stands at a dotted path, or `MISSING`."""
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _below(path: str, wanted: str) -> bool:
    return path == wanted or path.startswith(wanted.rstrip("/") + "/")


def _operation(request: Request, body: Any, settings: WebhookStreamConfig) -> Any:
    """``upsert``, ``delete``, or None for an event that is not this stream's."""
    if settings.event is None:
        return "upsert"
    if settings.event.startswith(HEADER):
        name: Any = request.headers.get(settings.event.removeprefix(HEADER).lower())
    else:
        name = at(body, settings.event)
    if not isinstance(name, str):
        return None
    if name in settings.delete:
        return "delete"
    return "upsert" if name in settings.upsert or "*" in settings.upsert else None


def _items(body: Any, settings: WebhookStreamConfig) -> Iterator[tuple[str, Any]]:
    if settings.items is None:
        yield "body", body
        return
    items = at(body, settings.items)
    if isinstance(items, dict):
        yield settings.items, items
        return
    if not isinstance(items, list):
        yield settings.items, None
        return
    for number, item in enumerate(items):
        yield f"{settings.items}[{number}]", item


def _change(
    item: Mapping[str, Any], op: Any, settings: WebhookStreamConfig
) -> Change | str:
    """The change of one item, or the name of the field that makes it unusable."""
    data: dict[str, Any] = {}
    for name, part in settings.fields.items():
        value = at(item, part.at)
        if value is not MISSING:
            data[name] = value
        elif not settings.partial:
            data[name] = None
    parts = []
    for name in settings.key:
        text = _identity(data.get(name))
        if text is None:
            return name
        parts.append(text)
    version = _identity(at(item, settings.version)) if settings.version else None
    ref = Ref(parts[0] if len(parts) == 1 else tuple(parts))
    if op == "delete":
        return Change(ref, "delete", version=version)
    return Change(ref, "upsert", data, version, partial=settings.partial)


def _identity(value: Any) -> str | None:
    """A value that can stand for a record: text, or a whole number."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None
