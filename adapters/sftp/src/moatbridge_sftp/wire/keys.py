"""Our private key, from the text of a secret."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, SSHException

from moatbridge_sftp.wire.faults import misconfigured

if TYPE_CHECKING:
    from moatbridge_sftp.storage.base import SshAuth


def load_key(auth: SshAuth) -> PKey:
    """The private key, with its certificate if there is one.

    Raises:
        ConfigurationError: ``sftp.key``: unreadable, of a kind that is not supported,
            without its passphrase, or with a certificate of another key.
    """
    if auth.key is None:
        raise misconfigured("key", "`auth.key` is not set.")
    phrase = None if auth.passphrase is None else auth.passphrase.get_secret_value()
    key = _wrap(_parse((auth.key.get_secret_value() + "\n").encode(), phrase))
    if auth.certificate is not None:
        try:
            key.load_certificate(auth.certificate.get_secret_value())
        except (ValueError, SSHException, IndexError):
            words = "`auth.certificate` is not a user certificate of `auth.key`."
            raise misconfigured("key", words) from None
    return key


def _parse(text: bytes, phrase: str | None) -> Any:
    password = None if phrase is None else phrase.encode()
    try:
        if b"OPENSSH PRIVATE KEY" in text:
            return serialization.load_ssh_private_key(text, password)
        return serialization.load_pem_private_key(text, password)
    except TypeError:
        words = (
            "`auth.key` is encrypted: set `auth.passphrase`."
            if phrase is None
            else "`auth.key` is not encrypted: remove `auth.passphrase`."
        )
    except (ValueError, UnsupportedAlgorithm):
        words = (
            "`auth.key` is not a private key in OpenSSH or PEM form, or "
            "`auth.passphrase` does not open it."
        )
    raise misconfigured("key", words) from None


def _wrap(key: Any) -> PKey:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        text = key.private_bytes(  # paramiko takes this kind as a file only
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        return Ed25519Key(file_obj=io.StringIO(text.decode("ascii")))
    words = "`auth.key` must be an Ed25519, ECDSA or RSA key (DSA is not supported)."
    raise misconfigured("key", words)
