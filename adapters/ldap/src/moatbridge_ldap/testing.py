"""A scripted directory, for what a real server never does on demand.

It shares no code with the adapter's own BER: requests are decoded and answers encoded
by pyasn1 on ldap3's RFC 4511 types. Use a real server for everything it can show; this
one is for malice, odd servers and broken wires.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

with warnings.catch_warnings():  # ldap3 uses names that pyasn1 has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.protocol import rfc4511
    from ldap3.protocol.rfc2696 import RealSearchControlValue
    from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]
    from pyasn1.error import SubstrateUnderrunError  # type: ignore[import-untyped]
    from pyasn1.type import namedtype, univ  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_OPERATIONS = [
    namedtype.NamedType(
        named.name,
        univ.Sequence(
            componentType=namedtype.NamedTypes(
                *(
                    namedtype.NamedType(part.name, univ.Any())
                    if part.name == "filter"
                    else part
                    for part in rfc4511.SearchRequest.componentType.namedTypes
                )
            ),
            tagSet=rfc4511.SearchRequest.tagSet,
        ),
    )
    if named.name == "searchRequest"
    else named
    for named in rfc4511.ProtocolOp.componentType.namedTypes
]
_MESSAGE: Final = univ.Sequence(
    componentType=namedtype.NamedTypes(
        rfc4511.LDAPMessage.componentType.namedTypes[0],
        namedtype.NamedType(
            "protocolOp",
            univ.Choice(componentType=namedtype.NamedTypes(*_OPERATIONS)),
        ),
        *rfc4511.LDAPMessage.componentType.namedTypes[2:],
    )
)
"""LDAPMessage, but a search's filter stays BER: ldap3's type cannot be decoded."""
PAGING: Final = "1.2.840.113556.1.4.319"
SCHEMA: Final = (
    "( 2.5.4.0 NAME 'objectClass' SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )",
    "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} )",
    "( 2.5.4.31 NAME 'member' SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
    "( 0.9.2342.19200300.100.1.1 NAME 'uid' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
    "( 1.3.6.1.1.16.4 NAME 'entryUUID' SYNTAX 1.3.6.1.1.16.1 SINGLE-VALUE )",
    "( 1.2.3.4 NAME 'uSNChanged' SYNTAX 1.2.840.113556.1.4.906 SINGLE-VALUE )",
)
ROOT: Final[dict[str, list[str]]] = {
    "objectClass": ["top"],
    "namingContexts": ["dc=fake"],
    "supportedControl": [PAGING],
    "subschemaSubentry": ["cn=schema"],
}
_DONE: Final = {
    "bindRequest": "bindResponse",
    "searchRequest": "searchResDone",
    "modifyRequest": "modifyResponse",
    "addRequest": "addResponse",
    "delRequest": "delResponse",
    "modDNRequest": "modDNResponse",
    "extendedReq": "extendedResp",
}


@dataclass(frozen=True)
class Request:
    """One decoded request.

    Args:
        id: Message id.
        kind: ``searchRequest``, ``addRequest`` ... as ldap3 names them.
        body: The operation, as a pyasn1 value.
        controls: OID -> value.
    """

    id: int
    kind: str
    body: Any
    controls: Mapping[str, bytes]

    @property
    def base(self) -> str:
        """Base of a search."""
        return str(self.body["baseObject"])

    @property
    def filter(self) -> bytes:
        """Filter of a search, as BER."""
        return bytes(self.body["filter"])

    @property
    def asked(self) -> list[str]:
        """Attributes that a search asks for."""
        return [str(name) for name in self.body["attributes"]]


Reply = bytes


@dataclass
class FakeDirectory:
    """A listener on a free loopback port, answering by a script.

    Binds, the root DSE and the schema are answered by itself unless `raw` is set. What
    the script yields is sent as it stands: any bytes will do; an empty reply closes the
    connection.

    Args:
        script: Called with each other request, in the server's thread.
        root: Root DSE.
        raw: Hand every request to the script.
    """

    script: Callable[[Request], Iterable[Reply]]
    root: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(ROOT))
    raw: bool = False
    requests: list[Request] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen; nobody is answered before `__enter__`."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """``ldap://`` url."""
        return f"ldap://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start answering."""
        self._spawn(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        """Close everything; a script that failed is raised now."""
        # shutdown wakes accept() up, which close() alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        if self.errors:
            raise self.errors[0]

    def searches(self) -> list[Request]:
        """Searches that the script answered."""
        return [r for r in self.requests if r.kind == "searchRequest"]

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # Small answers in a row: Nagle's algorithm would hold each back for 40 ms.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            buffer = b""
            while True:
                try:
                    chunk = client.recv(65536)
                except OSError:
                    return
                if not chunk:
                    return
                buffer += chunk
                requests, buffer = _requests(buffer)
                for request in requests:
                    if not self._answer(client, request):
                        return

    def _answer(self, client: socket.socket, request: Request) -> bool:
        if request.kind == "unbindRequest":
            return False
        usual = None if self.raw else self._usual(request)
        if usual is None:
            self.requests.append(request)
        try:
            for reply in usual if usual is not None else self.script(request):
                if not reply:
                    return False
                client.sendall(reply)
        except OSError:
            return False
        except BaseException as error:  # noqa: BLE001 - raised again by __exit__
            self.errors.append(error)
            return False
        return True

    def _usual(self, request: Request) -> list[bytes] | None:
        if request.kind in {"bindRequest", "abandonRequest"}:
            return [done(request)] if request.kind == "bindRequest" else []
        if request.kind != "searchRequest":
            return None
        if request.base == "":
            return [entry(request, "", self.root), done(request)]
        if request.base == "cn=schema":
            types = {"attributeTypes": SCHEMA}
            return [entry(request, "cn=schema", types), done(request)]
        return None


def entry(
    request: Request,
    dn: str,
    attributes: Mapping[str, Sequence[str | bytes]],
    controls: Mapping[str, bytes] | None = None,
) -> bytes:
    """A SearchResultEntry."""
    made = rfc4511.SearchResultEntry()
    made["object"] = dn
    listed = rfc4511.PartialAttributeList()
    for index, (name, values) in enumerate(attributes.items()):
        attribute = rfc4511.PartialAttribute()
        attribute["type"] = name
        held = rfc4511.Vals()
        for at, value in enumerate(values):
            held[at] = value.encode() if isinstance(value, str) else value
        attribute["vals"] = held
        listed[index] = attribute
    made["attributes"] = listed
    return message(request.id, "searchResEntry", made, controls)


def reference(request: Request, *urls: str) -> bytes:
    """A SearchResultReference."""
    made = rfc4511.SearchResultReference()
    for index, url in enumerate(urls):
        made[index] = url
    return message(request.id, "searchResRef", made)


def done(
    request: Request,
    code: int = 0,
    *,
    controls: Mapping[str, bytes] | None = None,
    text: str = "",
) -> bytes:
    """The final answer that fits the request."""
    kind = _DONE[request.kind]
    made = getattr(rfc4511, kind[0].upper() + kind[1:], None)
    shape = {
        "searchResDone": rfc4511.SearchResultDone,
        "extendedResp": rfc4511.ExtendedResponse,
        "modDNResponse": rfc4511.ModifyDNResponse,
    }.get(kind, made)
    assert shape is not None, kind  # noqa: S101 - a test tool
    value = shape()
    value["resultCode"] = code
    value["matchedDN"] = ""
    value["diagnosticMessage"] = text
    return message(request.id, kind, value, controls)


def page_cookie(cookie: bytes) -> dict[str, bytes]:
    """The response control of a page (RFC 2696)."""
    value = RealSearchControlValue()
    value["size"] = 0
    value["cookie"] = cookie
    return {PAGING: encoder.encode(value)}


def message(
    number: int, kind: str, body: Any, controls: Mapping[str, bytes] | None = None
) -> bytes:
    """Any LDAPMessage."""
    made = rfc4511.LDAPMessage()
    made["messageID"] = rfc4511.MessageID(number)
    made["protocolOp"] = rfc4511.ProtocolOp().setComponentByName(kind, body)
    if controls:
        listed = rfc4511.Controls()
        for index, (oid, value) in enumerate(controls.items()):
            control = rfc4511.Control()
            control["controlType"] = oid
            control["controlValue"] = value
            listed[index] = control
        made["controls"] = listed
    return bytes(encoder.encode(made))


def _requests(buffer: bytes) -> tuple[list[Request], bytes]:
    found = []
    while buffer:
        try:
            made, buffer = decoder.decode(buffer, asn1Spec=_MESSAGE)
        except SubstrateUnderrunError:
            break
        operation = made["protocolOp"]
        controls = {
            str(c["controlType"]): bytes(c["controlValue"])
            for c in made["controls"]
            if c["controlValue"].isValue
        }
        found.append(
            Request(
                int(made["messageID"]),
                operation.getName(),
                operation.getComponent(),
                controls,
            )
        )
    return found, buffer
