"""``/healthz`` and ``/readyz`` (gateway 54)."""

from __future__ import annotations

import hmac
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.responses import JSONResponse, Response

from moatbridge.errors import MoatbridgeError
from moatbridge.gateway.hygiene import header

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Scope

    from moatbridge.adapter import Secret
    from moatbridge.gateway.receivers import Pool

    Look: TypeAlias = Callable[[], tuple[dict[str, Any], list[str]]]


async def healthz(request: Request) -> Response:
    """200 while the event loop runs; looks at nothing."""
    request.scope["state"]["route"] = "/healthz"
    return JSONResponse({"status": "ok"})


class Readiness:
    """Whether we can do what we are for; told to this machine, or for a token.

    Args:
        token: Lets other machines ask; None: this machine only.
        pool: Threads to look on.
        look: Facts for people, and the codes of what is wrong.
    """

    def __init__(
        self,
        token: Secret | None,
        pool: Pool,
        look: Look,
    ) -> None:
        self._token = token
        self._pool = pool
        self._look = look

    async def __call__(self, request: Request) -> Response:
        """200, or 503 with a list of codes; 401 for strangers."""
        found = await self.seen(request, "/readyz")
        if found is None:
            return stranger()
        facts, codes = found
        status = HTTPStatus.SERVICE_UNAVAILABLE if codes else HTTPStatus.OK
        return JSONResponse({"ready": not codes, "codes": codes, **facts}, status)

    async def seen(
        self, request: Request, route: str
    ) -> tuple[dict[str, Any], list[str]] | None:
        """Facts for people, and codes of what is wrong; None if a stranger asks."""
        request.scope["state"]["route"] = route
        if not self._may_ask(request.scope):
            return None
        try:
            return await self._pool.run(self._look)
        except MoatbridgeError as error:
            return {}, [error.code]

    def _may_ask(self, scope: Scope) -> bool:
        """Whether this request comes from here, or brings the token."""
        given = header(scope, b"authorization")
        if self._token is not None:
            wanted = f"Bearer {self._token.get_secret_value()}"
            if hmac.compare_digest(given.encode(), wanted.encode()):
                return True
        # A proxy on this machine asks for others.
        forwarded = any(name.startswith(b"x-forwarded") for name, _ in scope["headers"])
        return not forwarded and not given and _is_here(scope)


def stranger() -> Response:
    """Who asks from elsewhere has to bring the token."""
    return Response(
        status_code=HTTPStatus.UNAUTHORIZED, headers={"www-authenticate": "Bearer"}
    )


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
