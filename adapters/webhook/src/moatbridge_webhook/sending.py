"""The one place that sends: an event, its signature, and what the answer means."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt, Ref
from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
)
from moatbridge.http import judge
from moatbridge_webhook.config import CHAT
from moatbridge_webhook.formats import Event, Unsendable, event_of
from moatbridge_webhook.keys import signing_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Intent
    from moatbridge.http import HttpClient, Response
    from moatbridge_webhook.config import WebhookConfig

_SLOW: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_SLOW_WAIT: Final = 5.0
"""Seconds that the quota rests after 502 and 504, as Standard Webhooks advises."""


class Sender:
    """Sends the events of one open connection, one request each.

    Args:
        client: Open.
        config: Format, keys, limits. The keys are read now.

    Attributes:
        welcome: The receiver answered our first question (HEAD) with no 403, so that a
            later 403 to it means that all our rights are gone.

    Raises:
        ConfigurationError: ``webhook.key``, ``webhook.ed25519``, ``secret.*``.
    """

    def __init__(self, client: HttpClient, config: WebhookConfig) -> None:
        self._client = client
        self._config = config
        self.welcome: bool = False
        self._keys = [signing_key(secret) for secret in config.signing_keys]
        hook = config.hook.get_secret_value().strip("/") if config.hook else ""
        self._params = {f"part{n}": p for n, p in enumerate(hook.split("/")) if hook}
        self._template = "".join(f"/{{{name}}}" for name in self._params)

    def write(self, kind: str, intents: Sequence[Intent]) -> list[Receipt]:
        """One receipt per intent; see `CanWrite.write`.

        Args:
            kind: Event type before the verb.
            intents: In order. After one that could not be sent, or whose outcome is
                unknown, the rest is not tried.
        """
        receipts: list[Receipt] = []
        stopped: Receipt | None = None
        for intent in intents:
            if stopped is not None:
                receipts.append(Receipt("not_applied", code=stopped.code))
                continue
            receipt = self._one(kind, intent, first=not receipts)
            receipts.append(receipt)
            if receipt.outcome in {"not_applied", "unknown"}:
                stopped = receipt
        return receipts

    def _one(self, kind: str, intent: Intent, *, first: bool) -> Receipt:
        ident = intent.ref.id if intent.ref is not None else intent.key
        ref = intent.ref or Ref(intent.key)
        try:
            text = ident if isinstance(ident, str) else ref.key
            event = event_of(intent, text, kind, self._config, datetime.now(UTC))
        except Unsendable as error:
            return Receipt("rejected", ref, code=f"webhook.{error.reason}")
        try:
            answer = self._send(intent.key, event)
            return self._receipt(intent, ref, answer)
        except OutcomeUnknown as error:
            return Receipt("unknown", ref, code=error.code)
        except (NotApplied, ConfigurationError) as error:
            if first:
                raise
            return Receipt("not_applied", ref, code=error.code)

    def _send(self, key: str, event: Event) -> Response:
        headers = {"Content-Type": event.media_type}
        if self._config.format not in CHAT:
            headers |= self._signed(key, event.body)
        return self._client.request(
            "POST",
            self._template,
            params=self._params,
            json=event.body,
            headers=headers,
        )

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        """Standard Webhooks: the signatures cover the exact bytes (1.0.0, 3)."""
        moment = str(int(time.time()))
        content = f"{key}.{moment}.".encode() + body
        return {
            "webhook-id": key,
            "webhook-timestamp": moment,
            "webhook-signature": " ".join(sign(content) for sign in self._keys),
        }

    def _receipt(self, intent: Intent, ref: Ref, answer: Response) -> Receipt:
        if answer.ok:
            return Receipt("applied", ref)
        if answer.status == HTTPStatus.GONE:
            raise switched_off()
        if answer.status == HTTPStatus.FORBIDDEN:
            self._check_rights()
        wait = answer.rate.retry_after
        verdict = judge(answer.status, intent.op, retry_after=wait)
        if answer.status in _SLOW:
            wait = wait or _SLOW_WAIT
        # To a receiver of events "not found" is no word about one record's deletion.
        outcome: Any = "rejected" if _lost(answer, intent) else verdict.outcome
        reason = "gone" if _lost(answer, intent) else verdict.reason
        return Receipt(outcome, ref, retry_after=wait, code=f"webhook.{reason}")

    def _check_rights(self) -> None:
        """After a 403: does the receiver still talk to us at all? (platforms 4)."""
        if not self.welcome:
            return  # it never said more than 403 to HEAD; nothing can be learnt
        try:
            status = self._client.request("HEAD", "").status
        except MoatbridgeError as error:
            if error.code == "http.auth":
                raise
            return
        if status == HTTPStatus.FORBIDDEN:
            raise ConfigurationError(
                "The receiver answers 403 to everything of ours now. Nothing is sent "
                "until a person checks auth with them and resumes the system.",
                code="webhook.no-rights",
            )


def switched_off() -> MoatbridgeError:
    """The receiver said 410: it wants nothing more (Standard Webhooks 1.0.0)."""
    return ConfigurationError(
        "The receiver answered 410: it wants no more events. Nothing is sent until a "
        "person checks base_url with them and resumes the system.",
        code="webhook.switched-off",
    )


def _lost(answer: Response, intent: Intent) -> bool:
    return answer.status == HTTPStatus.NOT_FOUND and intent.op != "create"
