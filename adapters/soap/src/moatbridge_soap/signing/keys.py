"""Finding the certificate that a signature names."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from moatbridge_soap.signing import names
from moatbridge_soap.signing.names import DS, WSSE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml.etree import _Element


def certificate_of(
    signature: _Element,
    security: _Element,
    identified: Mapping[str, _Element],
    known: Sequence[x509.Certificate],
) -> x509.Certificate | None:
    """The certificate that ``KeyInfo`` means; None if it names none we can find.

    Args:
        signature: The ``ds:Signature`` element.
        security: The header that may carry a token; a token elsewhere does not count.
        identified: Id -> element.
        known: Certificates that a name (issuer and serial, key identifier, thumbprint)
            may mean.
    """
    holder = signature.find(f"{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference")
    if holder is None:
        return None
    link = holder.find(f"{{{WSSE}}}Reference")
    if link is not None:
        token = identified.get(str(link.get("URI", ""))[1:])
        if token is None or token.getparent() is not security:
            return None
        return _token(token)
    return next((each for each in known if _is_named(holder, each)), None)


def _token(token: _Element) -> x509.Certificate | None:
    if token.tag != names.TOKEN or token.get("ValueType") != names.X509V3:
        return None
    try:
        return x509.load_der_x509_certificate(base64.b64decode(token.text or ""))
    except (ValueError, binascii.Error):
        return None


def _is_named(holder: _Element, certificate: x509.Certificate) -> bool:
    serial = holder.findtext(f".//{{{DS}}}X509IssuerSerial/{{{DS}}}X509SerialNumber")
    if serial is not None:
        # The serial finds it, the signature proves it: spellings of names differ.
        return bool(serial.strip() == str(certificate.serial_number))
    identifier = holder.find(f"{{{WSSE}}}KeyIdentifier")
    if identifier is None:
        return False
    try:
        wanted = base64.b64decode(identifier.text or "", validate=True)
    except (ValueError, binascii.Error):
        return False
    if identifier.get("ValueType") == names.THUMBPRINT:
        # The profile's own name for a certificate; it only looks one up.
        return certificate.fingerprint(hashes.SHA1()) == wanted  # noqa: S303 - see above
    return _ski(certificate) == wanted


def _ski(certificate: x509.Certificate) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        )
    except x509.ExtensionNotFound:
        return None
    return found.value.digest
