"""X.509 signatures, loaded only where they are configured (soap 25-27)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge_soap.config.auth import X509Auth


class Signatures:
    """Signs what is sent, verifies what comes.

    Args:
        config: The ``wsse-x509`` settings.

    Raises:
        ConfigurationError: ``soap.missing``: the extra is not installed;
            ``soap.signing-key``: certificate or key cannot be used.
    """

    def __init__(self, config: X509Auth) -> None:
        signing = _signing()
        secret = config.password
        self._signing = signing
        self._parts = ("body", "timestamp", *config.sign)
        self._reference = config.key_reference
        self._signer = signing.Signer.load(
            _read(config.cert),
            _read(config.key),
            password=secret.get_secret_value().encode() if secret else None,
        )
        self._trust: Any = None
        if config.verify:
            named = {
                "certificates": config.server_cert,
                "authorities": config.server_ca,
            }
            pems = {k: _read(path) for k, path in named.items() if path is not None}
            self._trust = signing.Trust.load(**pems)

    def apply(self, envelope: Any, headers: Any) -> tuple[Any, Any]:
        """Hook of zeep for outgoing messages: the last one of all."""
        self._signing.sign(
            envelope, self._signer, parts=self._parts, reference=self._reference
        )
        return envelope, headers

    def verify(self, envelope: Any) -> None:
        """Never called by zeep: answers come back undecoded (see `check`)."""

    @property
    def check(self) -> Any:
        """Envelope -> the Body that its signature covers; None if not configured."""
        if self._trust is None:
            return None
        return lambda root: self._signing.verify(root, self._trust)


def signer_for(config: X509Auth | None) -> Signatures | None:
    """The signatures of a connection, if they are configured."""
    return None if config is None else Signatures(config)


def _signing() -> Any:
    try:
        from moatbridge_soap import signing  # noqa: PLC0415 - an extra
    except ImportError:
        words = "auth kind 'wsse-x509' needs pip install 'moatbridge-soap[x509]'."
        raise ConfigurationError(words, code="soap.missing") from None
    return signing


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        kind = type(error).__name__
        raise ConfigurationError(
            f"The file {path} of auth cannot be read ({kind}).", code="soap.signing-key"
        ) from None
