"""The one place that makes TLS contexts, checks pins and tells failures apart.

The context enforces pins and maps failures by itself, right after (or instead of) the
handshake, so a driver that is handed the context cannot forget either. There is no way
to switch verification off: ``pin_only`` replaces chain and name check by a pin that
must match (security 18-21).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import ssl
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge.resilience import certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import TlsSettings

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NAMES_SHOWN: Final = 8

# Numbers of X509_verify_cert_error_string(3).
_EXPIRED: Final = {10}
_NOT_YET: Final = {9}
_WRONG_NAME: Final = {62, 64}
_SELF_SIGNED: Final = {18}
_UNKNOWN_ISSUER: Final = {2, 19, 20, 21, 24}
_STRICT: Final = set(range(76, 95))
_PROTOCOL: Final = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "NO_PROTOCOLS_AVAILABLE",
        "WRONG_VERSION_NUMBER",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "NO_SHARED_CIPHER",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "DH_KEY_TOO_SMALL",
        "HTTP_REQUEST",
    }
)
_CLIENT_CERT: Final = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
    }
)


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """A verifying client context for one system.

    Host names are checked, TLS is at least 1.2, authorities are the operating
    system's, or those of ``ca_file``. ``SSLKEYLOGFILE`` is ignored.

    Raises:
        ConfigurationError: ``net.tls.ca``, ``net.tls.client-cert`` or
            ``net.tls.settings``.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.settings = settings
    context.sslsocket_class = _Socket
    context.sslobject_class = _Object
    context.hostname_checks_common_name = False  # RFC 9525 2: alternative names only
    context.minimum_version = _VERSIONS[settings.min]
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if settings.strict_x509:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    if settings.pin_only:
        _pins_instead_of_chain(context)
    else:
        _load_authorities(context)
    _load_client_certificate(context)
    return context


def check_pins(settings: TlsSettings, der: bytes | None, host: str) -> None:
    """Compare a peer's certificate with the configured pins, if there are any.

    Raises:
        ConfigurationError: ``net.tls.pin``, with the expected and the seen prints.
    """
    if not settings.pin:
        return
    try:
        seen = certificate.read(der or b"")
    except ValueError:
        msg = f"The certificate of {host} cannot be read, so its pin is not proved."
        raise ConfigurationError(msg, code="net.tls.pin") from None
    prints = {f"spki-sha256:{seen.spki}", f"cert-sha256:{seen.digest}"}
    wanted = [pin.lower().replace(" ", "") for pin in settings.pin]
    if not any(hmac.compare_digest(pin, have) for pin in wanted for have in prints):
        raise ConfigurationError(
            f"The certificate of {host} does not match its pin: expected "
            f"{' or '.join(wanted)}, seen {' / '.join(sorted(prints, reverse=True))}. "
            "Put the seen one into `tls.pin` only if its owner confirms it.",
            code="net.tls.pin",
        )


def explain(
    error: ssl.SSLError, host: str, chain: Sequence[bytes] = ()
) -> ConfigurationError | None:
    """What a TLS failure means; None if it is no matter of trust or settings.

    Args:
        error: As OpenSSL raised it.
        host: Name that was expected.
        chain: DER certificates the peer showed, its own first, where known.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        what, words = _distrust(error, host, chain)
    elif error.reason in _PROTOCOL:
        what = "protocol"
        words = (
            f"{host} and we share no TLS version and cipher ({error.reason}); it must "
            "speak TLS 1.2 or newer, on this port"
        )
    elif error.reason in _CLIENT_CERT:
        what = "client-cert"
        words = (
            f"{host} does not accept our client certificate or asks for one "
            f"({error.reason}); set `tls.client_cert` and `tls.client_key`"
        )
    else:
        return None
    return ConfigurationError(words + ".", code=f"net.tls.{what}")


def _distrust(
    error: ssl.SSLCertVerificationError, host: str, chain: Sequence[bytes]
) -> tuple[str, str]:
    number = error.verify_code
    seen = _facts(chain)
    if number in _EXPIRED | _NOT_YET:
        return _out_of_date(number in _EXPIRED, host, seen)
    if number in _WRONG_NAME:
        names = ", ".join(seen.names[:_NAMES_SHOWN]) if seen else ""
        words = f"The certificate of {host} is for other names ({names or 'none'})"
        return "name", f"{words}; use one of them, or set `tls.server_name`"
    if number in _SELF_SIGNED:
        words = f"The certificate of {host} is self-signed"
        return "self-signed", words + _pin_advice(seen, "pin it with `tls.pin_only`")
    if number in _UNKNOWN_ISSUER:
        words = f"The certificate of {host} comes from an unknown authority"
        return "issuer", f"{words}; add that authority's certificate as `tls.ca_file`"
    if number in _STRICT:
        words = f"The certificate chain of {host} breaks RFC 5280"
        more = "an old authority can be accepted with `tls.strict_x509 = false`"
        return "strict", f"{words} ({error.verify_message}); {more}"
    return "verify", f"The certificate of {host} fails ({error.verify_message})"


def _out_of_date(
    expired: bool,
    host: str,
    seen: certificate.Certificate | None,
) -> tuple[str, str]:
    now = f"our clock says {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}Z"
    if expired:
        day = f" on {seen.not_after:%Y-%m-%d %H:%M}Z" if seen else ""
        return "expired", f"The certificate of {host} expired{day}; {now}"
    day = f" before {seen.not_before:%Y-%m-%d %H:%M}Z" if seen else ""
    return "not-yet-valid", f"The certificate of {host} is not valid{day}; {now}"


def _pin_advice(seen: certificate.Certificate | None, advice: str) -> str:
    print_ = f" and `tls.pin = ['spki-sha256:{seen.spki}']`" if seen else ""
    return f"; add it as `tls.ca_file`, or {advice}{print_} if its owner confirms it"


def _facts(chain: Sequence[bytes]) -> certificate.Certificate | None:
    with contextlib.suppress(ValueError):
        return certificate.read(chain[0]) if chain else None
    return None


def _pins_instead_of_chain(context: _Context) -> None:
    if not context.settings.pin:
        msg = "`tls.pin_only` needs at least one `tls.pin`."
        raise ConfigurationError(msg, code="net.tls.settings")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is checked in every handshake


def _load_authorities(context: _Context) -> None:
    ca_file = context.settings.ca_file
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"`tls.ca_file` {ca_file} cannot be loaded ({type(error).__name__}); it "
            "must be a PEM file of certificates.",
            code="net.tls.ca",
        ) from None


def _load_client_certificate(context: _Context) -> None:
    settings = context.settings
    if settings.client_cert is None:
        return
    try:  # the empty password keeps OpenSSL from asking on the terminal
        context.load_cert_chain(
            settings.client_cert, settings.client_key, password=lambda: ""
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"`tls.client_cert` {settings.client_cert} or its key cannot be loaded "
            f"({type(error).__name__}); both must be PEM, the key not encrypted.",
            code="net.tls.client-cert",
        ) from None


class _Context(ssl.SSLContext):
    """Sends and checks ``server_name`` where one is configured."""

    settings: TlsSettings

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        more["server_hostname"] = self._name(more.get("server_hostname"))
        return super().wrap_socket(*args, **more)

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        more["server_hostname"] = self._name(more.get("server_hostname"))
        return super().wrap_bio(*args, **more)

    def _name(self, host: Any) -> Any:
        return self.settings.server_name or host


class _Socket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
            _check(self)
        except ssl.SSLError as error:
            typed = _explained(self, error)
            if typed is not error:
                self.close()  # the library closes only for errors of its own
            raise typed from None
        except ConfigurationError:
            self.close()
            raise

    def read(self, *args: Any) -> Any:
        try:  # TLS 1.3 servers complain about a client certificate only now
            return super().read(*args)
        except ssl.SSLError as error:
            raise _explained(self, error) from None


class _Object(ssl.SSLObject):
    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            raise _explained(self, error) from None
        _check(self)


def _check(peer: ssl.SSLSocket | ssl.SSLObject) -> None:
    settings: TlsSettings = peer.context.settings  # type: ignore[attr-defined]
    if settings.pin:
        host = str(peer.server_hostname or "the server")
        check_pins(settings, peer.getpeercert(binary_form=True), host)


def _explained(peer: ssl.SSLSocket | ssl.SSLObject, error: ssl.SSLError) -> Exception:
    host = str(peer.server_hostname or "the server")
    return explain(error, host, _chain_shown(peer)) or error


def _chain_shown(peer: ssl.SSLSocket | ssl.SSLObject) -> list[bytes]:
    """The peer's own certificate, also after a failed handshake, where Python can."""
    with contextlib.suppress(AttributeError, TypeError, ValueError, ssl.SSLError):
        shown = peer._sslobj.get_unverified_chain()  # type: ignore[union-attr]  # noqa: SLF001 - public only from Python 3.13 on
        first = shown[0]
        return [first if isinstance(first, bytes) else first.public_bytes(2)]
    return []
