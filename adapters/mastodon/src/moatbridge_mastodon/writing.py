"""Publish, edit, retract, react (platforms 31-37). One request an intent, or two."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt, Record, Ref
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied, Rejected
from moatbridge.errors import OutcomeUnknown as Unknown
from moatbridge.http import judge
from moatbridge_mastodon.composing import Refused, draft, same_text
from moatbridge_mastodon.media import WAIT, NotReady, Uploads
from moatbridge_mastodon.reading import REACTIONS, reaction_id
from moatbridge_mastodon.rights import check_rights
from moatbridge_mastodon.statuses import acct_of, identifier, plain_text, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moatbridge.changes import Intent
    from moatbridge.http import HttpClient, Response
    from moatbridge_mastodon.composing import Draft
    from moatbridge_mastodon.config import MastodonConfig
    from moatbridge_mastodon.instance import Instance
    from moatbridge_mastodon.reading import Reader

_DO: Final = {"Like": "favourite", "Announce": "reblog"}
_GONE: Final = frozenset({404, 410})


class Writer:
    """Writes through one open connection; one thread at a time."""

    def __init__(
        self,
        client: HttpClient,
        reader: Reader,
        instance: Instance,
        config: MastodonConfig,
    ) -> None:
        self._client = client
        self._reader = reader
        self._instance = instance
        self._config = config

    def posts(self, intents: Sequence[Intent]) -> list[Receipt]:
        """Publish, edit or retract statuses; see `CanWrite.write`."""
        steps = {"create": self._publish, "update": self._edit, "delete": self._retract}
        return [self._one(steps[intent.op], intent) for intent in intents]

    def reactions(self, intents: Sequence[Intent]) -> list[Receipt]:
        """React, or take it back, as our own account."""
        return [self._one(self._react, intent) for intent in intents]

    def _one(self, step: Callable[[Intent], Receipt], intent: Intent) -> Receipt:
        try:
            return step(intent)
        except Refused as refused:
            return Receipt("rejected", intent.ref, code=f"mastodon.{refused.code}")
        except NotReady as waiting:
            return Receipt(
                "not_applied",
                intent.ref,
                retry_after=WAIT,
                code="mastodon.media-not-ready",
                progress=waiting.progress,
            )
        except ConfigurationError:
            raise
        except MoatbridgeError as error:
            if isinstance(error, Rejected) and error.kind == "rights":
                check_rights(self._client, None)  # an upload was refused
            return _failed(error, intent)

    def _refused(
        self, answer: Response, intent: Intent, *, reactions: bool = False
    ) -> Receipt:
        if answer.status == HTTPStatus.FORBIDDEN:
            check_rights(self._client, answer.body, reactions=reactions)
        return _refused(answer, intent)

    # --- statuses -------------------------------------------------------------------

    def _publish(self, intent: Intent) -> Receipt:
        record = intent.record or {}
        said = draft(record, self._config, self._instance)
        media = self._uploads(intent).ids(record.get("attachment"))
        body: dict[str, Any] = {
            "status": said.text,
            "visibility": said.visibility,
            **said.fields,
        }
        if media:
            body["media_ids"] = media
        if parent := record.get("inReplyTo"):
            body["in_reply_to_id"] = str(parent)
        answer = self._client.request(
            "POST",
            "/api/v1/statuses",
            json=body,
            headers={"Idempotency-Key": intent.key},
        )
        return self._published(answer, intent, said)

    def _published(self, answer: Response, intent: Intent, said: Draft) -> Receipt:
        if not answer.ok:
            return self._refused(answer, intent)
        status = answer.mapping
        ident = identifier(status.get("id"))
        if not ident or not isinstance(status.get("content"), str):
            return Receipt("unknown", code="mastodon.no-id")
        if incident := _mismatch(status, said):
            return self._undo(ident, incident)
        return _applied(status, ident)

    def _undo(self, ident: str, incident: str) -> Receipt:
        """What stands there is not what was asked for: take it away, and say so."""
        try:
            answer = self._client.request(
                "DELETE", "/api/v1/statuses/{id}", params={"id": ident}
            )
            gone = answer.ok or answer.status in _GONE
        except MoatbridgeError:
            gone = False  # it stands there, or may: a person must look
        code = f"mastodon.{incident}" if gone else f"mastodon.{incident}-not-undone"
        ref = None if gone else Ref(ident)
        return Receipt("rejected", ref, code=code, incident=incident)

    def _edit(self, intent: Intent) -> Receipt:
        ident = _ident(intent)
        before = intent.before or self._present(ident)
        record = {**before, **(intent.record or {})}
        said = draft(record, self._config, self._instance)
        if _moves(before, intent.record or {}):
            raise Refused("audience")  # an edit cannot change who reads it
        body: dict[str, Any] = {"status": said.text, **said.fields}
        if "attachment" in (intent.record or {}):
            body["media_ids"] = self._uploads(intent).ids(record.get("attachment"))
        answer = self._client.request(
            "PUT", "/api/v1/statuses/{id}", params={"id": ident}, json=body
        )
        if not answer.ok:
            return self._refused(answer, intent)
        if _strangers(answer.mapping, said):
            return self._undo(ident, "audience")
        return _applied(answer.mapping, ident)

    def _present(self, ident: str) -> Mapping[str, Any]:
        """The record as it stands there: an edit sends the whole text."""
        found = self._reader.fetch_posts([Ref(ident)])[0]
        if not isinstance(found, Record):
            raise Refused("gone")
        return found.data

    def _retract(self, intent: Intent) -> Receipt:
        answer = self._client.request(
            "DELETE", "/api/v1/statuses/{id}", params={"id": _ident(intent)}
        )
        if answer.ok or answer.status in _GONE:
            return Receipt("applied", intent.ref)
        return self._refused(answer, intent)

    def _uploads(self, intent: Intent) -> Uploads:
        return Uploads(self._client, self._config, self._instance, intent.progress)

    # --- reactions ------------------------------------------------------------------

    def _react(self, intent: Intent) -> Receipt:
        kind, status = self._reaction(intent)
        verb = _DO[kind] if intent.op != "delete" else f"un{_DO[kind]}"
        # Doing it twice changes nothing, but an answer that was lost says nothing
        # about the first time: the core repeats it.
        answer = self._client.request(
            "POST", "/api/v1/statuses/{id}/" + verb, params={"id": status}
        )
        if not answer.ok and not (intent.op == "delete" and answer.status == 404):  # noqa: PLR2004 - HTTP's own number
            return self._refused(answer, intent, reactions=True)
        ref = Ref(reaction_id(kind, self._instance.acct, status))
        return Receipt("applied", intent.ref or ref)

    def _reaction(self, intent: Intent) -> tuple[str, str]:
        record = intent.record or {}
        kind, status = str(record.get("type")), identifier(record.get("object"))
        if intent.ref is not None:
            there = (*intent.ref.id, "", "", "")[::2][:2]
            if intent.op != "delete" and there != (kind, status):
                raise Refused("reaction")  # it would be another one beside it
            kind, status = there
        if kind not in REACTIONS.values() or not status:
            raise Refused("reaction")
        if record.get("actor") not in {None, self._instance.acct}:
            raise Refused("rights")  # only in our own name
        return kind, status


def _applied(status: Mapping[str, Any], ident: str) -> Receipt:
    url = status.get("url")
    return Receipt(
        "applied", Ref(ident, url if isinstance(url, str) else None), version_of(status)
    )


def _mismatch(status: Mapping[str, Any], said: Draft) -> str | None:
    """A word for what the platform did otherwise than asked (platforms 33, 34)."""
    if status.get("visibility") != said.visibility or _strangers(status, said):
        return "audience"
    if said.text and not same_text(said.text, plain_text(status)):
        return "other-text"
    return None


def _strangers(status: Mapping[str, Any], said: Draft) -> bool:
    """Whether somebody can read a direct post who was not meant to."""
    shown = {acct_of(each) for each in status.get("mentions") or () if acct_of(each)}
    return said.visibility == "direct" and not shown <= said.readers


def _moves(before: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether an update wants another audience or parent than the status has."""
    return any(
        name in record
        and before.get(name) is not None
        and _canonical(record[name]) != _canonical(before[name])
        for name in ("audience", "inReplyTo")
    )


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("kind"), tuple(sorted(map(str, value.get("refs") or ())))
    return value or None


def _ident(intent: Intent) -> str:
    ident = identifier(intent.ref.id) if intent.ref else ""
    if not ident:
        raise Refused("data")
    return ident


def _refused(answer: Response, intent: Intent) -> Receipt:
    verdict = judge(answer.status, intent.op, retry_after=answer.rate.retry_after)
    reason = verdict.reason
    outcome = verdict.outcome
    if answer.status == 404 and intent.op == "create":  # noqa: PLR2004 - HTTP's own number
        reason = "parent-gone"
    wait = answer.rate.retry_after
    if outcome == "not_applied" and wait is None:
        wait = answer.rate.reset
    return Receipt(outcome, intent.ref, retry_after=wait, code=f"mastodon.{reason}")


def _failed(error: MoatbridgeError, intent: Intent) -> Receipt:
    if isinstance(error, Unknown):
        return Receipt("unknown", intent.ref, code=error.code)
    if isinstance(error, Rejected):
        return Receipt("rejected", intent.ref, code=error.code)
    wait = error.retry_after if isinstance(error, NotApplied) else None
    return Receipt("not_applied", intent.ref, retry_after=wait, code=error.code)
