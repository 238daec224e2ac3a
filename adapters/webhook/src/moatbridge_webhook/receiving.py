"""`CanReceive`: from a raw request to a delivery. Pure; secrets are read once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from moatbridge.adapter import Answer, Received
from moatbridge.errors import Rejected
from moatbridge.http import parse_json
from moatbridge_webhook.events import MAX_ITEMS, ordering_key, read_events
from moatbridge_webhook.schemes import Verifier, digest, states_are, untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.adapter import Request
    from moatbridge_webhook.config import WebhookConfig, WebhookStreamConfig

    Read = Callable[[Request, Any], "tuple[str, Answer]"]

_LONGEST_TOKEN: Final = 4096
_PING: Final = 1
_COMPONENT: Final = 3


class Reader:
    """Reads the requests of one system.

    Args:
        config: The system's settings.
        streams: Name -> settings, of the streams that receive.

    Raises:
        ConfigurationError: ``webhook.key``, ``webhook.ed25519``, ``secret.*``.
    """

    def __init__(
        self, config: WebhookConfig, streams: Mapping[str, WebhookStreamConfig]
    ) -> None:
        assert config.verify is not None  # noqa: S101 - the caller asked
        self._config = config
        self._streams = streams
        self._scheme = config.verify
        self._is_graph = config.verify == "graph-client-state"
        self._verifier = Verifier(config.verify, config.secrets, config.time_window)

    def receive(self, request: Request) -> Received:
        """See `CanReceive.receive`."""
        self._verifier.verify(request)
        if self._is_graph:
            token = parse_qs(request.query).get("validationToken", [""])[0]
            if token:
                return _handshake(token[:_LONGEST_TOKEN], "text/plain")
        body = self._proved_graph(request) if self._is_graph else _parsed(request.body)
        ident, answer = _IDENTITIES[self._scheme](request, body)
        if not ident:
            return Received("", answer=answer)
        return self._received(request, body, ident, answer)

    def _received(
        self, request: Request, body: Any, ident: str, answer: Answer
    ) -> Received:
        found = {
            name: read_events(request, body, settings)
            for name, settings in self._streams.items()
        }
        if sum(len(f.changes) + len(f.rejects) for f in found.values()) > MAX_ITEMS:
            raise _unreadable(f"it holds over {MAX_ITEMS} events")
        orders = [ordering_key(body, settings) for settings in self._streams.values()]
        return Received(
            ident,
            ordering_key=next(filter(None, orders), ""),
            changes={name: f.changes for name, f in found.items() if f.changes},
            rejects={name: f.rejects for name, f in found.items() if f.rejects},
            missed=frozenset(self._streams) if _missed(body) else frozenset(),
            answer=answer,
        )

    def _proved_graph(self, request: Request) -> Any:
        """Microsoft Graph signs nothing: its secret stands in each notification."""
        try:
            body = _parsed(request.body)
        except Rejected:
            raise untrusted() from None
        states = [n.get("clientState") for n in _notifications(body)]
        if not states_are(states, self._config.secrets):
            raise untrusted()
        return body


def _parsed(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return parse_json(body)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "nested too deep"
        raise _unreadable(why) from None


def _unreadable(why: str) -> Rejected:
    return Rejected(
        f"A delivery was proved but cannot be read: {why}. Nothing was kept; the "
        "sender must send JSON.",
        code="webhook.unreadable",
    )


def _handshake(text: str, media_type: str) -> Received:
    return Received("", answer=Answer(200, text.encode(), media_type))


def _standard(request: Request, body: Any) -> tuple[str, Answer]:
    del body
    return request.headers["webhook-id"], Answer()


def _slack(request: Request, body: Any) -> tuple[str, Answer]:
    said = body if isinstance(body, dict) else {}
    if said.get("type") == "url_verification":
        challenge = str(said.get("challenge", ""))[:_LONGEST_TOKEN]
        return "", Answer(200, challenge.encode(), "text/plain")
    event = said.get("event_id")
    return event if isinstance(event, str) and event else digest(request.body), Answer()


def _by_header(request: Request, body: Any) -> tuple[str, Answer]:
    del body
    given = request.headers.get("x-github-delivery", "")
    return given or digest(request.body), Answer()


def _discord(request: Request, body: Any) -> tuple[str, Answer]:
    said = body if isinstance(body, dict) else {}
    kind, ident = said.get("type"), said.get("id")
    if kind == _PING:
        return "", _json({"type": 1})
    # Components may be acknowledged in silence; commands must say something.
    quiet = {"type": 4, "data": {"content": "Received.", "flags": 64}}
    answer = _json({"type": 6} if kind == _COMPONENT else quiet)
    return ident if isinstance(ident, str) and ident else digest(request.body), answer


def _graph(request: Request, body: Any) -> tuple[str, Answer]:
    del body
    return _of_this_minute(request), Answer(202)


def _bearer(request: Request, body: Any) -> tuple[str, Answer]:
    del body
    answer = _json({})
    last = request.path.rpartition("/")[2]
    if request.method == "PUT" and last:
        return last, answer
    given = request.headers.get("webhook-id") or request.headers.get("idempotency-key")
    return given or _of_this_minute(request), answer


def _of_this_minute(request: Request) -> str:
    """An id where the sender gives none, and no replay is to be feared.

    A repeat within the minute is recognised. What is said again later is news: a
    record may go back to what it was.
    """
    return digest(request.body, str(int(request.at // 60)).encode())


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value, separators=(",", ":")).encode())


def _notifications(body: Any) -> list[dict[str, Any]]:
    found = body.get("value") if isinstance(body, dict) else None
    entries = found if isinstance(found, list) else []
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _missed(body: Any) -> bool:
    """Microsoft Graph's lifecycle notification that something was dropped."""
    return any(n.get("lifecycleEvent") == "missed" for n in _notifications(body))


_IDENTITIES: Final[dict[str, Read]] = {
    "standard-webhooks": _standard,
    "slack-v0": _slack,
    "github-sha256": _by_header,
    "hub-sha256": _by_header,
    "ed25519-discord": _discord,
    "graph-client-state": _graph,
    "bearer": _bearer,
}
