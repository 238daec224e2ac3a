"""After a 403: has the record no rights, or the whole account? (platforms 4, 8).

A token without the scope to write, or an account that was disabled, must pause the
system: every post would become a dead letter, one by one.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, MoatbridgeError

if TYPE_CHECKING:
    from moatbridge.http import HttpClient

_SCOPES: Final = "outside the authorized scopes"
"""What the platform's OAuth layer says to a token that lacks a scope."""

_NOBODY: Final = "0"
"""No status has this id: to act on it asks for the right, and has no effect."""


def check_rights(client: HttpClient, body: Any, *, reactions: bool = False) -> None:
    """Return if the account may write in general; asks the platform at most twice.

    Args:
        client: Open connection.
        body: The refusal's JSON, if there was any.
        reactions: What was refused is a reaction, which needs another scope.

    Raises:
        ConfigurationError: ``mastodon.no-rights``; ``http.auth``.
    """
    said = body.get("error") if isinstance(body, dict) else None
    if isinstance(said, str) and _SCOPES in said:
        raise _lost("its token lacks the scope to write")
    if _status(client, "GET", "/api/v1/accounts/verify_credentials") == (
        HTTPStatus.FORBIDDEN
    ):
        raise _lost("it may not even look at itself")
    if reactions:
        status = _status(client, "POST", "/api/v1/statuses/{id}/unfavourite", _NOBODY)
    else:
        status = _status(client, "DELETE", "/api/v1/statuses/{id}", _NOBODY)
    if status == HTTPStatus.FORBIDDEN:
        raise _lost("it may not write anything")


def _status(
    client: HttpClient, method: str, template: str, ident: str = ""
) -> int | None:
    params = {"id": ident} if ident else {}
    try:
        return client.request(method, template, params=params, safe=True).status
    except ConfigurationError:
        raise
    except MoatbridgeError:
        return None  # nobody knows; then the record's own refusal stands


def _lost(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The account has no right to write here: {why}. Nothing is sent until a "
        "person gives it the scopes write:statuses, write:media and write:favourites "
        "(or a new token) and resumes the system.",
        code="mastodon.no-rights",
    )
