"""An open session: TLS, StartTLS and bind. The only file that knows ldap3.

ldap3 encodes the bind and StartTLS requests and runs the SASL steps. It never dials,
never receives, never follows a referral, and its own TLS class, which verifies nothing
unless told to, is not used: the socket comes from ``net.connect``, the context from
``net.tls_context``, and answers are read and judged by `Channel`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_ldap.wire import messages
from moatbridge_ldap.wire.channel import Channel
from moatbridge_ldap.wire.errors import (
    SUCCESS,
    bad_certificate,
    bind_error,
    name_of,
    no_handshake,
    protocol,
)
from moatbridge_ldap.wire.messages import EXTENDED_DONE, OPERATION_DONE
from moatbridge_ldap.wire.port import Done, Unanswered
from moatbridge_ldap.wire.search import Search

with warnings.catch_warnings():  # ldap3 uses names that pyasn1 has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.strategy.sync import SyncStrategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Net
    from moatbridge_ldap.config import Auth, LdapConfig, Url
    from moatbridge_ldap.wire.port import (
        Answer,
        Budget,
        Control,
        Operation,
        SearchRequest,
    )

START_TLS: Final = "1.3.6.1.4.1.1466.20037"


def open_session(config: LdapConfig, net: Net) -> Session:
    """Connect to the first url that answers, start TLS, check, bind.

    Raises:
        NotApplied: ``ldap.unreachable``: no url answered; names each failure.
        ConfigurationError: ``net.tls.*``, ``net.egress``, ``ldap.auth``,
            ``ldap.cleartext``; no other url is tried then.
    """
    failures = []
    for url in config.parsed_urls:
        try:
            session = _connect(url, config, net)
        except NotApplied as error:
            failures.append(f"{url}: {error.message}")
            continue
        try:
            session.bind(config.auth)
        except BaseException:
            session.unbind()
            raise
        return session
    raise NotApplied(
        "No directory server could be reached. " + " ".join(failures),
        code="ldap.unreachable",
    )


def _connect(url: Url, config: LdapConfig, net: Net) -> Session:
    session = Session(_dial(url, net), str(url), net)
    try:
        if url.scheme == "ldaps":
            session.wrap(url.host)
        elif url.scheme == "ldap" and config.starttls == "required":
            session.start_tls(url.host)
        session.secure = session.secure or url.scheme == "ldapi"
        _refuse_cleartext(session, config)
    except BaseException:
        session.abort()
        session.channel.close()
        raise
    return session


def _dial(url: Url, net: Net) -> socket.socket:
    if url.scheme != "ldapi":
        return net.connect(url.host, url.port, why="config")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    net.watch(sock)
    try:
        sock.connect(url.host)
    except OSError as error:
        sock.close()
        words = f"Cannot open the local socket ({type(error).__name__})."
        raise NotApplied(words, code="ldap.unreachable") from None
    return sock


def _refuse_cleartext(session: Session, config: LdapConfig) -> None:
    if session.secure or config.insecure_cleartext or config.auth.kind == "anonymous":
        return
    raise ConfigurationError(
        f"{session.server} would carry the password in clear. Use ldaps:// or "
        'starttls = "required"; insecure_cleartext = true overrides this.',
        code="ldap.cleartext",
    )


class Session:
    """One connection to one server: implements `Port`.

    Args:
        sock: Connected socket.
        server: Url, for messages.
        net: For TLS and for reporting progress.
    """

    def __init__(self, sock: socket.socket, server: str, net: Net) -> None:
        self.server = server
        self.secure = False
        self.channel = Channel(sock, server, net.progress)
        self._net = net

    def __repr__(self) -> str:
        return f"Session({self.server!r})"

    def wrap(self, host: str) -> None:
        """Start TLS on the socket and check the certificate and the pins.

        Raises:
            ConfigurationError: ``net.tls.*``.
            NotApplied: The connection broke during the handshake.
        """
        name = self._net.tls.server_name or host
        context = self._net.tls_context()
        try:
            sock = context.wrap_socket(
                self.channel.sock, server_hostname=name, do_handshake_on_connect=False
            )
            self.channel.sock = sock
            sock.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise bad_certificate(error, self.server) from None
        except ssl.SSLError as error:
            raise no_handshake(error, self.server) from None
        except OSError as error:
            raise NotApplied(
                f"The connection broke during the TLS handshake "
                f"({type(error).__name__}).",
                code="ldap.unreachable",
            ) from None
        self._net.tls_check(sock, name)
        self.secure = True

    def start_tls(self, host: str) -> None:
        """Ask for TLS; a refusal is an error, never a fallback (RFC 4511 4.14).

        Raises:
            ConfigurationError: ``net.tls.starttls``: refused, or bytes were smuggled
                in before TLS.
        """
        done = _ask(self.channel, lambda connection: connection.extended(START_TLS))
        if done.code != SUCCESS:
            raise ConfigurationError(
                f"{self.server} refuses StartTLS: {name_of(done.code)}. Use ldaps://, "
                "or another server; there is no fallback to clear text.",
                code="net.tls.starttls",
            )
        if not self.channel.clean:
            raise ConfigurationError(
                f"{self.server} sent data between StartTLS and the handshake; somebody "
                "may be tampering with the connection.",
                code="net.tls.starttls",
            )
        self.wrap(host)

    def bind(self, auth: Auth) -> None:
        """Authenticate. Never retried: directories lock accounts.

        Raises:
            ConfigurationError: ``ldap.auth``.
            NotApplied: The server is busy, or the connection broke.
        """
        if auth.kind == "external":
            more = {
                "authentication": ldap3.SASL,
                "sasl_mechanism": ldap3.EXTERNAL,
                "sasl_credentials": b"",  # None starts a second round (RFC 4422 A)
            }
        elif auth.kind == "simple" and auth.password is not None:
            password = auth.password.get_secret_value()
            more = {"user": auth.bind_dn, "password": password}
        else:
            more = {"authentication": ldap3.ANONYMOUS}
        done = _ask(
            self.channel,
            lambda connection: connection.bind(read_server_info=False),
            **more,
        )
        if done.code != SUCCESS:
            raise bind_error(done, self.server)

    def search(self, request: SearchRequest, budget: Budget) -> Search:
        """See `Port.search`."""
        return Search(self.channel, request, budget)

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """See `Port.send`."""
        channel = self.channel
        if channel.closed:
            return [Unanswered(sent=False)] * len(operations)
        numbers = [channel.number() for _ in operations]
        encoded: dict[tuple[Control, ...], bytes] = {}
        parts = [
            messages.framed(
                number, messages.operation(request), _controls(request, encoded)
            )
            for number, request in zip(numbers, operations, strict=True)
        ]
        try:
            channel.write(b"".join(parts))
        except NotApplied:
            return [Unanswered(sent=True)] * len(operations)
        return [
            self._result(number, OPERATION_DONE[type(request)])
            for number, request in zip(numbers, operations, strict=True)
        ]

    def _result(self, number: int, tag: int) -> Answer:
        try:
            message = self.channel.answer(number)
        except NotApplied:
            return Unanswered(sent=True)
        if not isinstance(message, Done) or message.tag != tag:
            self.channel.close()
            return Unanswered(sent=True)
        return message

    def extended(self, oid: str, value: bytes | None = None) -> Done:
        """See `Port.extended`."""
        number = self.channel.number()
        self.channel.write(messages.frame(number, messages.extended(oid, value)))
        message = self.channel.answer(number)
        if not isinstance(message, Done) or message.tag != EXTENDED_DONE:
            raise self.channel.fail(protocol("an extended request got another answer"))
        return message

    def certificate(self) -> bytes | None:
        """See `Port.certificate`."""
        sock = self.channel.sock
        return (
            sock.getpeercert(binary_form=True)
            if isinstance(sock, ssl.SSLSocket)
            else None
        )

    def unbind(self) -> None:
        """See `Port.unbind`."""
        if not self.channel.closed:
            with contextlib.suppress(MoatbridgeError):
                number = self.channel.number()
                self.channel.write(messages.frame(number, messages.UNBIND))
        self.channel.close()

    def abort(self) -> None:
        """See `Port.abort`."""
        self.channel.abort()


def _controls(request: Operation, encoded: dict[tuple[Control, ...], bytes]) -> bytes:
    """The request's controls; most of a window carry the same."""
    key = tuple(request.controls)
    if key not in encoded:
        encoded[key] = messages.listed(key)
    return encoded[key]


class _Strategy(SyncStrategy):  # type: ignore[misc]
    """ldap3's strategy with our channel in place of its socket and receive loop."""

    def __init__(self, connection: Any, channel: Channel) -> None:
        super().__init__(connection)
        self._outstanding: dict[int, Any] = {}
        self._channel = channel
        self.done: Done | None = None
        connection.strategy = self
        connection.send = self.send
        connection.post_send_single_response = self.post_send_single_response
        connection.closed, connection.listening = False, True
        connection.socket = self
        connection.server.next_message_id = channel.number

    def sendall(self, data: bytes) -> None:
        self._channel.write(data)

    def post_send_single_response(self, message_id: int) -> list[dict[str, Any]]:
        message = self._channel.answer(message_id)
        if not isinstance(message, Done):
            raise self._channel.fail(protocol("a request got another kind of answer"))
        self.done = message
        kind = "extendedResp" if message.tag == EXTENDED_DONE else "bindResponse"
        self.connection.result = {
            "type": kind, "result": message.code, "description": name_of(message.code),
            "saslCreds": None,
        }  # fmt: skip
        return [self.connection.result]


def _ask(channel: Channel, call: Any, **settings: Any) -> Done:
    """Let ldap3 encode one request; its answer is read and returned by us."""
    server = ldap3.Server("directory", get_info=ldap3.NONE, allowed_referral_hosts=[])
    connection = ldap3.Connection(
        server, auto_bind=ldap3.AUTO_BIND_NONE, auto_referrals=False, auto_range=False,
        check_names=False, return_empty_attributes=False, client_strategy=ldap3.SYNC,
        raise_exceptions=False, **settings,
    )  # fmt: skip
    strategy = _Strategy(connection, channel)
    try:
        call(connection)
    except ldap3.core.exceptions.LDAPExceptionError as error:
        raise channel.fail(
            ConfigurationError(
                f"{channel.server}: the request could not be encoded "
                f"({type(error).__name__}).",
                code="ldap.auth",
            )
        ) from None
    finally:
        connection.password = None
    if strategy.done is None:
        raise channel.fail(protocol("a request got no answer"))
    return strategy.done
