"""``/in/SYSTEM/...``: nothing acknowledged is ever lost (gateway 40-43).

Cap and deadline, then the adapter proves the sender and reads, then the row is
committed, then the sender hears "received". A repeat gets the same answer. What cannot
be kept is refused with 503 and ``Retry-After``: the sender keeps it.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.responses import Response

from moatbridge.adapter import Answer, Request
from moatbridge.errors import MoatbridgeError, NotApplied, Rejected
from moatbridge.gateway.bodies import RefusedError, read_body
from moatbridge.ledger.inbox import Delivery, freeze

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from moatbridge.adapter import Received
    from moatbridge.gateway.admission import Admission
    from moatbridge.gateway.counting import Counters
    from moatbridge.gateway.receivers import Pool, Receiver
    from moatbridge.gateway.writer import InboxWriter

PREFIX: Final = "/in/"
ROUTE: Final = "/in/{system}"

_log = logging.getLogger(__name__)


class Inbox:
    """The inbox of one system, as an ASGI endpoint.

    Args:
        system: Its name.
        receiver: Reads its requests.
        admission: Says whether more may come.
        pool: Threads for both.
        writer: Keeps what was read.
        limit: Bytes of one body.
        seconds: In which a body must have arrived.
        counters: What happened.
    """

    def __init__(
        self,
        system: str,
        *,
        receiver: Receiver,
        admission: Admission,
        pool: Pool,
        writer: InboxWriter,
        limit: int,
        seconds: float,
        counters: Counters,
    ) -> None:
        self.admission: Admission = admission
        self._system = system
        self._receiver = receiver
        self._pool = pool
        self._writer = writer
        self._limit = limit
        self._seconds = seconds
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        try:
            body = await read_body(
                scope, receive, limit=self._limit, seconds=self._seconds
            )
            answer = await self._answered(_request(scope, self._system, body))
        except ConnectionResetError:
            return  # nobody listens any more; nothing was kept
        except RefusedError as refused:
            self._counters.refused(f"http-{refused.status}")
            response = Response(status_code=refused.status)
            response.headers["connection"] = "close"  # the rest is not read
        except MoatbridgeError as error:
            response = self._refusal(error)
        else:
            response = Response(
                answer.body, answer.status, media_type=answer.media_type
            )
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Answer:
        received, content = await self._pool.run(lambda: self._read(request))
        if received.delivery_id:
            delivery = Delivery(
                self._system, received.delivery_id, received.ordering_key, content
            )
            new = await self._writer.keep(delivery)
            self._counters.kept(new=new)
        return received.answer

    def _read(self, request: Request) -> tuple[Received, str]:
        received = self._receiver.receive(request)
        if not received.delivery_id:
            return received, ""
        content = freeze(received)
        _check_text(self._system, received.ordering_key + content)
        self.admission.check()
        return received, content

    def _refusal(self, error: MoatbridgeError) -> Response:
        self._counters.refused(error.code)
        if isinstance(error, Rejected):
            trusted = error.kind != "rights"
            status = HTTPStatus.BAD_REQUEST if trusted else HTTPStatus.UNAUTHORIZED
            return Response(status_code=status)
        # Whatever else is wrong is wrong here: the sender shall keep its delivery.
        _log.warning("inbox of %s: %s", self._system, error.code)
        wait = error.retry_after if isinstance(error, NotApplied) else None
        headers = {"retry-after": str(max(1, round(wait or 10.0)))}
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)


def _check_text(system: str, text: str) -> None:
    """Half a surrogate pair, which JSON can spell, is no text.

    The ledger could not keep it, nor the other deliveries of its group.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Rejected(
            f"A delivery of {system} holds text that is not Unicode. Nothing was kept.",
            code="gateway.text",
            system=system,
        ) from None


def _request(scope: Scope, system: str, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = str(name, "latin-1").lower(), str(value, "latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(
        method=scope["method"],
        path=_below(scope, system),
        query=str(scope.get("query_string", b""), "latin-1"),
        headers=headers,
        body=body,
        at=time.time(),
    )


def _below(scope: Scope, system: str) -> str:
    """The raw path after the system's name."""
    raw: Any = scope.get("raw_path") or quote(scope["path"]).encode()
    path = str(raw, "latin-1").partition("?")[0]
    root = quote(scope.get("root_path", ""))
    return path.removeprefix(root).removeprefix(PREFIX + system)
