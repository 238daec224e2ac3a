"""Verifying a signed envelope: the node that is processed is the node that was signed.

Signature wrapping (McIntosh and Austel, 2005) moves the signed original elsewhere and
puts a forged Body in its place: the digest still matches, because a reference finds its
target by id anywhere in the document. So a verified envelope is never "a document with
a good signature" here; `verify` returns the very Body node whose bytes were digested,
refuses every id that stands twice, and judges the Timestamp by the same rule.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_soap.signing import names
from moatbridge_soap.signing.keys import certificate_of
from moatbridge_soap.signing.names import DS, ID, WSU, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lxml.etree import _Element

    from moatbridge_soap.signing.signer import Part

_REFERENCES: Final = 32
_BITS: Final = 2048
_IDS: Final = (ID, "Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")
_INCLUSIVE: Final = f"{{{names.EXCLUSIVE}}}InclusiveNamespaces"


@dataclass(frozen=True)
class Trust:
    """Whose signatures count; immutable, shared between threads.

    Args:
        certificates: The peer's own certificates (two during rotation).
        authorities: Certificates whose direct children are trusted, while valid.
        skew: Seconds that clocks may differ, and a message may be old.
    """

    certificates: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    authorities: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    skew: float = 300.0

    @staticmethod
    def load(
        *, certificates: bytes = b"", authorities: bytes = b"", skew: float = 300.0
    ) -> Trust:
        """Read PEM, several certificates in a row allowed.

        Raises:
            ConfigurationError: ``soap.signing-key``: unreadable, or nothing trusted.
        """
        try:
            load = x509.load_pem_x509_certificates
            own = tuple(load(certificates)) if certificates else ()
            above = tuple(load(authorities)) if authorities else ()
        except ValueError:
            own = above = ()
        if not own and not above:
            raise ConfigurationError(
                "Signatures of answers cannot be verified: server_cert or server_ca "
                "must name a readable PEM file.",
                code="soap.signing-key",
            )
        return Trust(own, above, skew)


def verify(
    envelope: _Element,
    trust: Trust,
    *,
    required: Sequence[Part] = ("body", "timestamp"),
    now: dt.datetime | None = None,
) -> _Element:
    """Check a signed answer.

    Args:
        envelope: The root element, parsed without comments and with nothing resolved.
        trust: Whose signatures count; never our own certificate.
        required: What must have been signed.
        now: The time; None for the clock's.

    Returns:
        The Body that was signed: the one that may be processed, and no other.

    Raises:
        Rejected: ``soap.signature``: not signed, signed by somebody else, changed,
            wrapped, too old, or by an algorithm that is not allowed.
    """
    space = etree.QName(envelope).namespace
    bodies = envelope.findall(f"{{{space}}}Body")
    if len(bodies) != 1 or envelope.getparent() is not None:
        _refuse("the envelope does not have exactly one Body")
    security = _security(envelope, space)
    identified = _identified(envelope)
    info = _signature(security, identified, trust, now or dt.datetime.now(dt.UTC))
    digested = [_digested(link, identified) for link in _references(info)]
    stamps = security.findall(names.TIMESTAMP)
    needed = {
        "body": bodies,
        "timestamp": stamps,
        "token": security.findall(names.TOKEN),
        "addressing": envelope.findall(f"{{{space}}}Header/{{{names.WSA}}}*"),
    }
    for part in required:
        if not needed[part] and part != "addressing":
            _refuse(f"it has no {part}")
        for node in needed[part]:
            if not any(node is each for each in digested):
                _refuse(f"its {part} is not what was signed")
    if len(stamps) > 1:
        _refuse("it has more than one Timestamp")
    for stamp in stamps:
        _fresh(stamp, trust.skew, now or dt.datetime.now(dt.UTC))
    return bodies[0]


def _security(envelope: _Element, space: str | None) -> _Element:
    headers = envelope.findall(f"{{{space}}}Header")
    found = [
        each
        for header in headers
        for each in header.findall(names.SECURITY)
        if not each.get(f"{{{space}}}actor") and not each.get(f"{{{space}}}role")
    ]
    if len(headers) != 1 or len(found) != 1:
        _refuse("it does not have exactly one Security header for us")
    return found[0]


def _identified(envelope: _Element) -> Mapping[str, _Element]:
    """Every id of the document; one that stands twice is an attack."""
    found: dict[str, _Element] = {}
    for element in envelope.iter(etree.Element):
        for attribute in _IDS:
            name = element.get(attribute)
            if name and found.setdefault(name, element) is not element:
                _refuse("an id stands twice")
    return found


def _signature(
    security: _Element,
    identified: Mapping[str, _Element],
    trust: Trust,
    now: dt.datetime,
) -> _Element:
    """Check the signature over SignedInfo; returns SignedInfo."""
    signatures = security.findall(f"{{{DS}}}Signature")
    if len(signatures) != 1:
        _refuse("it does not have exactly one signature")
    info = _one(signatures[0], "SignedInfo")
    method = _one(info, "CanonicalizationMethod")
    if method.get("Algorithm") != names.EXCLUSIVE:
        _refuse("its canonicalisation is not exclusive C14N")
    certificate = certificate_of(
        signatures[0], security, identified, trust.certificates
    )
    if certificate is None or not _is_trusted(certificate, trust, now):
        _refuse("who signed it is not trusted (server_cert, server_ca)")
    algorithm = _one(info, "SignatureMethod").get("Algorithm", "")
    value = _decoded(_one(signatures[0], "SignatureValue"))
    signed = canonical(info, _prefixes(method))
    _check(certificate, algorithm, value, signed)
    return info


def _is_trusted(certificate: x509.Certificate, trust: Trust, now: dt.datetime) -> bool:
    if not (certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc):
        return False
    if certificate in trust.certificates:
        return True
    return any(_issued(certificate, authority) for authority in trust.authorities)


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return basic.value.ca


def _check(
    certificate: x509.Certificate, algorithm: str, value: bytes, signed: bytes
) -> None:
    kind, hasher = names.SIGNATURES.get(algorithm, ("", None))
    key = certificate.public_key()
    try:
        if hasher is None:
            _refuse("its signature algorithm is not allowed")
        if (
            kind == "rsa"
            and isinstance(key, rsa.RSAPublicKey)
            and key.key_size >= _BITS
        ):
            key.verify(value, signed, padding.PKCS1v15(), hasher())
            return
        if kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
            size = (key.key_size + 7) // 8
            if len(value) == 2 * size:
                r, s = (int.from_bytes(value[i : i + size]) for i in (0, size))
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hasher()))
                return
    except InvalidSignature:
        _refuse("the signature is wrong: the message was changed, or another key used")
    _refuse("the signature does not fit the certificate's key")


def _references(info: _Element) -> list[_Element]:
    found = info.findall(f"{{{DS}}}Reference")
    if not found or len(found) > _REFERENCES:
        _refuse("it signs nothing, or too much")
    return list(found)


def _digested(link: _Element, identified: Mapping[str, _Element]) -> _Element:
    """The node a reference covers, if its digest is right."""
    uri = link.get("URI", "")
    target = identified.get(uri[1:]) if uri.startswith("#") else None
    if target is None:
        _refuse("a reference points outside the message")
    transforms = link.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
    if [each.get("Algorithm") for each in transforms] != [names.EXCLUSIVE]:
        _refuse("a reference is transformed by more than exclusive C14N")
    hasher = names.DIGESTS.get(_one(link, "DigestMethod").get("Algorithm", ""))
    if hasher is None:
        _refuse("its digest algorithm is not allowed")
    digest = hashlib.new(hasher, canonical(target, _prefixes(transforms[0]))).digest()
    if not hmac.compare_digest(digest, _decoded(_one(link, "DigestValue"))):
        _refuse("what was signed has been changed")
    return target


def _fresh(stamp: _Element, skew: float, now: dt.datetime) -> None:
    created, expires = (_moment(stamp, name) for name in ("Created", "Expires"))
    slack = dt.timedelta(seconds=skew)
    if created is None or created > now + slack or created < now - slack:
        _refuse("its Timestamp was not made in the last minutes (compare the clocks)")
    if expires is not None and expires < now - slack:
        _refuse("its Timestamp has expired (compare the clocks)")


def _moment(stamp: _Element, name: str) -> dt.datetime | None:
    text = stamp.findtext(f"{{{WSU}}}{name}")
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        _refuse("its Timestamp cannot be read")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _prefixes(method: _Element) -> list[str]:
    listed = method.find(_INCLUSIVE)
    return [] if listed is None else str(listed.get("PrefixList", "")).split()


def _one(parent: _Element, name: str) -> _Element:
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        _refuse(f"its signature does not have exactly one {name}")
    return found[0]


def _decoded(element: _Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        _refuse("its signature cannot be read")


def _refuse(why: str) -> NoReturn:
    raise Rejected(
        f"The answer's signature was refused: {why}. Nothing of it was used; ask who "
        "runs the service before anything is changed here.",
        code="soap.signature",
    )
