"""The page's web server: one page, one form, loopback only."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from moatbridge.demo.serve.page import SCRIPT, STYLE, render
from moatbridge.demo.serve.snapshot import take
from moatbridge.demo.servers.programs import free_port

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from moatbridge.demo.world import World

_LARGEST: Final = 4096
_LONGEST: Final = 300
_START: Final = 10.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def application(world: World, port: int) -> Starlette:
    """The ASGI application.

    Args:
        world: What it shows.
        port: Where it listens: requests for another host are refused, and a form may
            only come from the page itself.
    """
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra
    from starlette.responses import (  # noqa: PLC0415 - an extra
        HTMLResponse,
        PlainTextResponse,
        RedirectResponse,
    )
    from starlette.routing import Route  # noqa: PLC0415 - an extra

    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def show(request: Request) -> Response:
        if request.headers.get("host") not in hosts:
            return PlainTextResponse("", 421)
        text = await asyncio.to_thread(lambda: render(take(world)))
        return HTMLResponse(text, headers=_HEADERS)

    async def style(_request: Request) -> Response:
        return PlainTextResponse(STYLE, media_type="text/css", headers=_HEADERS)

    async def script(_request: Request) -> Response:
        kind = "text/javascript"
        return PlainTextResponse(SCRIPT, media_type=kind, headers=_HEADERS)

    async def reply(request: Request) -> Response:
        origin = request.headers.get("origin", "").removeprefix("http://")
        if request.headers.get("host") not in hosts or origin not in hosts:
            return PlainTextResponse("", 403)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST:
                return PlainTextResponse("", 413)
        done = await asyncio.to_thread(_answer, world, body.decode("utf-8", "replace"))
        if not done:
            return PlainTextResponse("This answer could not be given.", 400)
        return RedirectResponse("/", 303)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/style.css", style),
            Route("/refresh.js", script),
            Route("/reply", reply, methods=["POST"]),
        ]
    )


def _answer(world: World, form: str) -> bool:
    """A person answers a post on the platform, as if on its own page."""
    given = {name: values[0] for name, values in parse_qs(form).items()}
    who, post, text = (given.get(name, "") for name in ("who", "post", "text"))
    known = who in world.town.tokens and who != world.town.bot
    if not known or not post.isdigit() or not text or len(text) > _LONGEST:
        return False
    try:
        world.town.reply(who, post, text)
    except OSError:
        return False
    return True


class PageServer:
    """The page, served by a thread of its own until `stop`."""

    def __init__(self, world: World, port: int | None = None) -> None:
        import uvicorn  # noqa: PLC0415 - an extra

        self.port: int = port or free_port()
        config: Any = uvicorn.Config(
            application(world, self.port),
            host="127.0.0.1",
            port=self.port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        """Address to open in a browser."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen, and wait until it does."""
        self._thread.start()
        ends = time.monotonic() + _START
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > ends:
                message = "the page could not be served"
                raise OSError(message)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        self._thread.join(_START)
