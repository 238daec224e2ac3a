"""Names and algorithms of WS-Security 1.1.1, its X.509 token profile and XML-DSig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml.etree import _Element

_OASIS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE: Final = f"{_OASIS}wssecurity-secext-1.0.xsd"
WSU: Final = f"{_OASIS}wssecurity-utility-1.0.xsd"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
WSA: Final = "http://www.w3.org/2005/08/addressing"
EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
X509V3: Final = f"{_OASIS}x509-token-profile-1.0#X509v3"
SKI: Final = f"{_OASIS}x509-token-profile-1.0#X509SubjectKeyIdentifier"
THUMBPRINT: Final = (
    "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
)
BASE64: Final = f"{_OASIS}soap-message-security-1.0#Base64Binary"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA256: Final = f"{_MORE}rsa-sha256"
ECDSA_SHA256: Final = f"{_MORE}ecdsa-sha256"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"

ID: Final = f"{{{WSU}}}Id"
SECURITY: Final = f"{{{WSSE}}}Security"
TIMESTAMP: Final = f"{{{WSU}}}Timestamp"
TOKEN: Final = f"{{{WSSE}}}BinarySecurityToken"

SIGNATURES: Final[Mapping[str, tuple[str, type[hashes.HashAlgorithm]]]] = {
    RSA_SHA256: ("rsa", hashes.SHA256),
    f"{_MORE}rsa-sha384": ("rsa", hashes.SHA384),
    f"{_MORE}rsa-sha512": ("rsa", hashes.SHA512),
    ECDSA_SHA256: ("ecdsa", hashes.SHA256),
    f"{_MORE}ecdsa-sha384": ("ecdsa", hashes.SHA384),
    f"{_MORE}ecdsa-sha512": ("ecdsa", hashes.SHA512),
}
DIGESTS: Final[Mapping[str, str]] = {
    SHA256: "sha256",
    f"{_MORE}sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}


def canonical(element: _Element, prefixes: Sequence[str] = ()) -> bytes:
    """Exclusive C14N without comments (W3C, 2002) of one element where it stands."""
    text: bytes = etree.tostring(
        element,
        method="c14n",
        exclusive=True,
        with_comments=False,
        inclusive_ns_prefixes=list(prefixes) or None,
    )
    return text
