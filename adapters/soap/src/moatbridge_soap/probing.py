"""What an open connection can tell about its server (soap 78)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moatbridge.adapter import Probe
from moatbridge_soap.config.system import is_cleartext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_soap.connection import Connection
    from moatbridge_soap.http import HttpAnswer

_SKEW: Final = 60.0
_SHOWN: Final = 80


def probe(connection: Connection) -> Probe:
    """Ask for the head of the endpoint, and put together what is known."""
    answer = connection.head()
    answer.read_some(1)
    origin = "{}://{}:{}".format(*connection.endpoint.origin)
    port = connection.port
    streams = connection.streams
    return Probe(
        server=f"{origin} {port.qname}",
        product=_product(answer, port.version),
        abilities={name: stream.abilities for name, stream in streams.items()},
        limits=_limits(connection),
        warnings=tuple(_warnings(connection, answer)),
    )


def _product(answer: HttpAnswer, version: str) -> str:
    server = answer.headers.get("server", "")
    plain = "".join(c for c in server if c.isprintable())[:_SHOWN]
    return f"SOAP {version}" + (f", {plain}" if plain else "")


def _limits(connection: Connection) -> dict[str, object]:
    sock = connection.endpoint.connection.sock
    tls = getattr(sock, "version", None)
    found: dict[str, object] = {
        "wsdl": connection.description.digest,
        "tls": tls() if callable(tls) else None,
        "tolerated": dict(connection.caller.tolerated),
    }
    certificate = getattr(sock, "getpeercert", None)
    shown = certificate() if callable(certificate) else None
    if isinstance(shown, dict) and "notAfter" in shown:
        found["certificate_expires"] = shown["notAfter"]
    return found


def _warnings(connection: Connection, answer: HttpAnswer) -> Iterator[str]:
    config, port = connection.config, connection.port
    if is_cleartext(config.endpoint):
        yield "messages travel unencrypted (insecure_cleartext)"
    if port.address and not _same_address(port.address, config.endpoint):
        host = urlsplit(port.address).hostname or "nothing usable"
        yield f"the WSDL advertises another address ({host}); endpoint is used"
    if answer.date is not None:
        skew = abs((dt.datetime.now(dt.UTC) - answer.date).total_seconds())
        if skew > _SKEW:
            words = "tokens with timestamps will fail"
            yield f"the server's clock differs by {skew:.0f} s: {words}"
    for stream in connection.streams.values():
        yield from stream.warnings
        paged = stream.config.list
        if paged and paged.page.kind in {"page", "offset"} and not paged.page.total:
            yield (
                f"{stream.name}: {paged.page.kind} paging without total misses rows "
                "that move while it reads, so one may be missed for a pass; "
                "name the total's path, or page by cursor or last"
            )
        if stream.config.writes:
            names = sorted(t.operation for t in stream.config.writes.values())
            yield f"{stream.name}: these operations write: {', '.join(names)}"


def _same_address(advertised: str, configured: str) -> bool:
    one, other = urlsplit(advertised), urlsplit(configured)
    return (one.scheme, one.netloc, one.path) == (
        other.scheme,
        other.netloc,
        other.path,
    )
