"""WS-Security UsernameToken and Timestamp, by zeep's own token class (soap 23)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from zeep.wsse.username import UsernameToken
from zeep.wsse.utils import WSU

if TYPE_CHECKING:
    from moatbridge_soap.config.auth import UsernameTokenAuth

LIFE: Final = dt.timedelta(minutes=5)


class UsernameTokens:
    """Puts a fresh token into each envelope; the password is read for each."""

    def __init__(self, config: UsernameTokenAuth) -> None:
        self._config = config

    def apply(self, envelope: Any, headers: Any) -> tuple[Any, Any]:
        """Hook of zeep for outgoing messages."""
        config = self._config
        token = UsernameToken(  # type: ignore[no-untyped-call] # zeep is untyped
            config.username,
            config.password.get_secret_value(),
            use_digest=config.kind == "wsse-digest",
            zulu_timestamp=True,
            timestamp_token=_timestamp() if config.timestamp else None,
        )
        found: tuple[Any, Any] = token.apply(envelope, headers)  # type: ignore[no-untyped-call] # zeep is untyped
        return found

    def verify(self, envelope: Any) -> None:
        """Hook of zeep for answers; a UsernameToken proves nothing about them."""


def _timestamp() -> Any:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    token = WSU.Timestamp()
    token.append(WSU.Created(now.isoformat().replace("+00:00", "Z")))
    token.append(WSU.Expires((now + LIFE).isoformat().replace("+00:00", "Z")))
    return token
