"""One application below a prefix of another (gateway 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Receive, Scope, Send


class Under:
    """Answers ``prefix`` and what lies below it; everything else is the host's.

    Args:
        prefix: Starts with a slash, does not end with one.
        app: Answers below it.
        host: Answers the rest.
        lifespan: Entered for the lifespan scope, which the host never sees.

    Raises:
        ConfigurationError: ``gateway.prefix``.
    """

    def __init__(
        self,
        prefix: str,
        app: ASGIApp,
        host: ASGIApp,
        lifespan: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise ConfigurationError(
                "The gateway's prefix must start with a slash and not end with one, "
                "such as /bridge.",
                code="gateway.prefix",
            )
        self._prefix = prefix
        self._app = app
        self._host = host
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on to whom it belongs."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if path == self._prefix or path.startswith(self._prefix + "/"):
            inner: dict[str, Any] = {**scope, "root_path": root + self._prefix}
            await self._app(inner, receive, send)
            return
        await self._host(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
