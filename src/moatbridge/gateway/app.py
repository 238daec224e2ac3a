"""`Gateway`: one bridge's face to the world, as an ASGI application."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from moatbridge.errors import ConfigurationError
from moatbridge.flow.inbox import AT
from moatbridge.gateway.admission import Admission, disk_free
from moatbridge.gateway.counting import Counters
from moatbridge.gateway.health import Readiness, healthz
from moatbridge.gateway.hygiene import Hygiene
from moatbridge.gateway.inbox import ROUTE, Inbox
from moatbridge.gateway.metrics import Metrics
from moatbridge.gateway.mounting import Under
from moatbridge.gateway.receivers import Pool, Receiver
from moatbridge.gateway.writer import InboxWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from moatbridge.flow import Bridge


class Gateway:
    """What the world may call of one bridge.

    Has no global state: several gateways live side by side in one process. It sets no
    signal handler and no logging; that is the host's. The bridge stays the caller's,
    and must outlive the gateway.

    Args:
        bridge: An open bridge whose configuration has ``[gateway]``.

    Attributes:
        app: The ASGI 3 application. Where its lifespan is not run (a mounted app's
            never is), it starts at the first request, and ``/readyz`` says so.
        counters: What happened, as numbers.

    Raises:
        ConfigurationError: ``gateway.missing``, ``gateway.inbox`` or
            ``gateway.durability``.
    """

    def __init__(self, bridge: Bridge) -> None:
        config = bridge.config.gateway
        if config is None:
            raise ConfigurationError(
                "The configuration has no [gateway]; add it with public_url and an "
                "inbox, for example [gateway.inbox.social].",
                code="gateway.missing",
            )
        if config.inbox and bridge.config.ledger.durability != "full":
            raise ConfigurationError(
                "ledger.durability: an inbox acknowledges only what survives a power "
                'cut; set it to "full".',
                code="gateway.durability",
            )
        self.counters: Counters = Counters()
        self._bridge = bridge
        self._config = config
        self._pool = Pool(config.threads, config.queue)
        readers = {system: self._readers(system) for system in config.inbox}
        self._writer = InboxWriter(bridge.ledger, readers)
        self._inboxes = {system: self._inbox(system) for system in config.inbox}
        self._starting = asyncio.Lock()
        self._state = "new"
        self._wired = False
        self._running = 0
        self.app: ASGIApp = Hygiene(
            self._routed(), hosts=config.hosts, on_answer=self.counters.answered
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Start and stop with the host: ``Starlette(lifespan=gateway.lifespan)``.

        At the end new work is refused, running requests end, and what waits for the
        inbox is written.
        """
        del app
        self._wired = True
        await self._start()
        try:
            yield
        finally:
            await self.stop()

    def under(self, prefix: str, host: ASGIApp) -> ASGIApp:
        """An application that answers below ``prefix`` and leaves the rest to the host.

        For products whose framework cannot mount an ASGI app (Django). It answers the
        lifespan by itself and passes it on to nobody.

        Args:
            prefix: Such as ``/bridge``.
            host: The product's own application.
        """
        return Under(prefix, self.app, host, self.lifespan)

    async def stop(self) -> None:
        """Refuse new work, let running requests end (20 s), write what waits."""
        if self._state != "started":
            return
        self._state = "stopped"
        for _ in range(400):
            if not self._running:
                break
            await asyncio.sleep(0.05)
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._pool.close)

    async def _start(self) -> None:
        async with self._starting:
            if self._state == "new":
                self._writer.start()
                self._state = "started"

    def _routed(self) -> ASGIApp:
        ready = Readiness(self._config.ready_token, self._pool, self._look)
        metrics = Metrics(ready, self.counters)
        routes = [
            Route("/healthz", healthz),
            Route("/readyz", ready.__call__),
            Route("/metrics", metrics.__call__),
            *(
                Route(path, _Endpoint(self._inboxes))
                for path in (ROUTE, ROUTE + "/{rest:path}")
            ),
        ]
        return _Started(self, Starlette(routes=routes, lifespan=self.lifespan))

    def _readers(self, system: str) -> tuple[str, ...]:
        flows = self._bridge.config.flows.items()
        return tuple(
            name for name, flow in flows if flow.source.partition("/")[0] == system
        )

    def _inbox(self, system: str) -> Inbox:
        settings = self._config.inbox[system]
        return Inbox(
            system,
            receiver=Receiver(self._bridge, system),
            admission=Admission(
                self._bridge.ledger,
                system,
                settings,
                flows=self._readers(system),
                min_free=self._config.min_free,
            ),
            pool=self._pool,
            writer=self._writer,
            limit=settings.max_body or self._config.max_body,
            seconds=self._config.body_deadline,
            counters=self.counters,
        )

    def _look(self) -> tuple[dict[str, Any], list[str]]:
        codes = [] if self._writer.alive else ["gateway.writer"]
        with self._bridge.ledger.write() as tx:  # proves that it can be written
            tx.value("SELECT 1")
        backlogs = {}
        for system, served in self._inboxes.items():
            backlog, code = served.admission.status()
            backlogs[system] = {
                "unread": backlog.unread,
                "oldest_seconds": round(backlog.seconds, 1),
            }
            codes += [code] if code and code not in codes else []
        facts: dict[str, Any] = {AT: backlogs, "warnings": []}
        facts["disk_free"] = round(disk_free(self._bridge.ledger), 3)
        if not self._wired:
            facts["warnings"] = ["gateway.lifespan"]
        return facts, codes

    async def _serve(self, app: ASGIApp, scope: Scope, *io: Any) -> None:
        if self._state == "stopped":
            response = Response(
                status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers={"retry-after": "5"}
            )
            await response(scope, *io)
            return
        await self._start()
        self._running += 1
        try:
            await app(scope, *io)
        finally:
            self._running -= 1


class _Started:
    """Passes requests on once the gateway has started, and none after it stopped."""

    def __init__(self, gateway: Gateway, app: ASGIApp) -> None:
        self._gateway = gateway
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._gateway._serve(self._app, scope, receive, send)  # noqa: SLF001 - one class in two parts
        else:
            await self._app(scope, receive, send)


class _Endpoint:
    """Finds the inbox of a path; any method."""

    def __init__(self, inboxes: dict[str, Inbox]) -> None:
        self._inboxes = inboxes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = ROUTE
        found = self._inboxes.get(scope["path_params"]["system"])
        if found is None:
            missing = Response(status_code=HTTPStatus.NOT_FOUND)
            await missing(scope, receive, send)
            return
        await found(scope, receive, send)
