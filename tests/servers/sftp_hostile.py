"""SFTP servers that do what no honest server does, scripted packet by packet.

`HostileSftp` is a real SSH server (paramiko's server classes) whose ``sftp`` subsystem
is a script: a function that gets a `Wire` and answers requests as it likes. What a
client shows of itself before it should have is kept in ``credentials``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import logging
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from servers.openssh import held

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import Secret

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, ABSENT, DENIED, FAILURE = 0, 1, 2, 3, 4

USER, PASSWORD = "victim", "victim-drop-password-7"

logging.getLogger("servers.sftp_hostile").setLevel(logging.CRITICAL)


class Request(NamedTuple):
    """One request of the client: type, id, and the rest."""

    kind: int
    number: int
    body: bytes


class ClientGoneError(Exception):
    """The client closed the channel: the script is over."""


class Wire:
    """What a script speaks through."""

    def __init__(self, channel: Any, ended: threading.Event) -> None:
        self.channel = channel
        self.ended = ended
        self.requests: list[int] = []

    def next(self) -> Request:
        """The next request; INIT has no id."""
        length = struct.unpack(">I", self._exactly(4))[0]
        packet = self._exactly(length)
        self.requests.append(packet[0])
        if packet[0] == INIT:
            return Request(INIT, 0, packet[1:])
        return Request(packet[0], struct.unpack(">I", packet[1:5])[0], packet[5:])

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.channel.sendall(data)
        except OSError:
            raise ClientGoneError from None

    def send(self, kind: int, number: int, body: bytes = b"") -> None:
        """Send a packet."""
        self.raw(struct.pack(">IBI", len(body) + 5, kind, number) + body)

    def status(self, number: int, code: int) -> None:
        """Send a status."""
        self.send(STATUS, number, struct.pack(">I", code) + text(b"told") + text(b""))

    def greet(self, *, extensions: bytes = b"") -> None:
        """Take INIT and answer as an honest server."""
        assert self.next().kind == INIT
        body = struct.pack(">BI", VERSION, 3) + extensions
        self.raw(struct.pack(">I", len(body)) + body)

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            try:
                piece = self.channel.recv(count - len(got))
            except OSError:
                raise ClientGoneError from None
            if not piece:
                raise ClientGoneError
            got += piece
        return got


def text(value: bytes) -> bytes:
    """A length and the bytes."""
    return struct.pack(">I", len(value)) + value


def attributes(
    size: int = 5, mode: int = 0o100644, mtime: int = 1_700_000_000
) -> bytes:
    """An honest attribute block."""
    return struct.pack(">IQIII", 1 | 4 | 8, size, mode, mtime, mtime)


FOLDER = attributes(0, 0o040755)


def name(raw: bytes, block: bytes | None = None) -> bytes:
    """One entry of a NAME answer."""
    return text(raw) + text(b"") + (block or attributes())


def honest(
    wire: Wire,
    *,
    instead: dict[int, Callable[[Wire, Request], None]],
    extensions: bytes = b"",
) -> None:
    """Serve like an honest server with one 5-byte file, but for some requests.

    Args:
        wire: The client's.
        instead: What to do for requests of a type.
        extensions: Pairs of VERSION.
    """
    wire.greet(extensions=extensions)
    listed = False
    while True:
        request = wire.next()
        if request.kind in instead:
            instead[request.kind](wire, request)
        elif request.kind == READDIR and not listed:
            listed = True
            wire.send(NAME, request.number, struct.pack(">I", 1) + name(b"ok.csv"))
        else:
            _answer(wire, request)


def _answer(wire: Wire, request: Request) -> None:
    number = request.number
    if request.kind == REALPATH:
        wire.send(NAME, number, struct.pack(">I", 1) + name(b"/drop", FOLDER))
    elif request.kind in {STAT, LSTAT, FSTAT}:
        block = FOLDER if request.kind == STAT else attributes()
        wire.send(ATTRS, number, block)
    elif request.kind in {OPEN, OPENDIR}:
        wire.send(HANDLE, number, text(b"h"))
    elif request.kind == READ:
        offset = struct.unpack(">Q", request.body[5:13])[0]
        if offset >= 5:
            wire.status(number, EOF)
        else:
            wire.send(DATA, number, text(b"hello"[offset:]))
    elif request.kind == READDIR:
        wire.status(number, EOF)
    else:
        wire.status(number, OK)


class HostileSftp:
    """An SSH server with a scripted ``sftp`` subsystem.

    Args:
        script: Run for each channel; None for a server without the subsystem.
        strict_kex: False offers no strict key exchange.
        ciphers: Offer only these.
        login: Called with the transport once it listens, before anything is read.
        prompts: Ask for a login by keyboard-interactive with these prompts.
    """

    def __init__(
        self,
        script: Callable[[Wire], None] | None = None,
        *,
        strict_kex: bool = True,
        ciphers: tuple[str, ...] = (),
        prompts: tuple[str, ...] = (),
    ) -> None:
        self.script = script
        self.strict_kex = strict_kex
        self.ciphers = ciphers
        self.prompts = prompts
        self.credentials: list[str] = []
        self.wires: list[Wire] = []
        self.ended = threading.Event()
        self.key = new_key()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._transports: list[Any] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)
        for transport in self._transports:
            transport.close()
            transport.join(5)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def url(self) -> str:
        """The url of its only folder."""
        return f"sftp://{USER}@127.0.0.1:{self.port}/drop"

    def auth(self) -> dict[str, Secret]:
        """What goes into the ``auth`` table."""
        return {"password": held(PASSWORD)}

    def fingerprint(self) -> str:
        """``SHA256:...`` of the host key."""
        return fingerprint(self.key)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(sock, strict_kex=self.strict_kex)
            transport.set_log_channel("servers.sftp_hostile")
            transport.add_server_key(self.key)
            if self.ciphers:
                transport.get_security_options().ciphers = self.ciphers
            if self.script is not None:
                transport.set_subsystem_handler("sftp", _Subsystem, self)
            self._transports.append(transport)
            with contextlib.suppress(Exception):
                transport.start_server(event=threading.Event(), server=_Login(self))


class _Login(paramiko.ServerInterface):
    def __init__(self, server: HostileSftp) -> None:
        self._server = server

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "keyboard-interactive" if self._server.prompts else "password"

    def check_auth_password(self, username: str, password: str) -> int:
        self._server.credentials.append(f"{username}:{password}")
        right = (username, password) == (USER, PASSWORD)
        return int(paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED)

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        del submethods
        self._server.credentials.append(username)
        prompts = [(prompt, False) for prompt in self._server.prompts]
        return paramiko.InteractiveQuery("", "", *prompts)

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        self._server.credentials += responses
        right = bool(responses) and all(one == PASSWORD for one in responses)
        return int(paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED)

    def check_auth_none(self, username: str) -> int:
        self._server.credentials.append(username)
        return int(paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        return int(paramiko.OPEN_SUCCEEDED)


class _Subsystem(paramiko.SubsystemHandler):
    def __init__(
        self, channel: Any, name: str, server: Any, owner: HostileSftp
    ) -> None:
        super().__init__(channel, name, server)
        self._owner = owner

    def start_subsystem(self, name: str, transport: Any, channel: Any) -> None:
        del name, transport
        wire = Wire(channel, self._owner.ended)
        self._owner.wires.append(wire)
        assert self._owner.script is not None
        with contextlib.suppress(ClientGoneError):
            self._owner.script(wire)


class RawServer:
    """A listener that runs a function on each connection: below SSH."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self.received = bytearray()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *error: object) -> None:
        for sock in (self._listening, *self._socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in (self._accepting, *self._threads):
            thread.join(5)

    def url(self) -> str:
        """As if a folder were there."""
        return f"sftp://{USER}@127.0.0.1:{self._listening.getsockname()[1]}/drop"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._talk(sock)


def new_key() -> Any:
    """A host key."""
    made = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return paramiko.Ed25519Key(file_obj=io.StringIO(made.decode()))


def fingerprint(key: Any) -> str:
    """``SHA256:...`` of a key."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode()
    return "SHA256:" + digest.rstrip("=")
