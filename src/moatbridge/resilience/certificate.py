"""The few facts of an X.509 certificate that pins and error messages need.

Reads DER (X.690) of RFC 5280 certificates: the SubjectPublicKeyInfo, the validity and
the names. Nothing here decides about trust: that is OpenSSL's. A certificate that does
not parse gives no facts, never an exception other than `ValueError`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82
_IP_ADDRESS: Final = 0x87
_ALT_NAME: Final = b"\x06\x03\x55\x1d\x11"  # OID 2.5.29.17, subjectAltName
_LONG_FORM: Final = 0x80
_LONGEST_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says about itself.

    Args:
        names: Its alternative names (host names and addresses).
        not_before: First moment of validity, UTC.
        not_after: Last moment of validity, UTC.
        spki: SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
        digest: SHA-256 of the whole certificate, lower-case hex.
    """

    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    spki: str
    digest: str


def read(der: bytes) -> Certificate:
    """Read one DER certificate.

    Raises:
        ValueError: It is not a certificate that can be understood.
    """
    try:
        return _read(der)
    except (IndexError, StopIteration, RuntimeError) as error:
        msg = "not an X.509 certificate"
        raise ValueError(msg) from error


def _read(der: bytes) -> Certificate:
    body = _inner(_inner(der))
    parts = list(_items(body))
    if parts[0][0] == _VERSION:  # [0] version is absent in version 1
        parts = parts[1:]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, ...
    validity = list(_items(parts[3][1]))
    extensions = next((value for tag, value, _ in parts if tag == _EXTENSIONS), b"")
    return Certificate(
        names=tuple(_alternative_names(extensions)),
        not_before=_time(*validity[0][:2]),
        not_after=_time(*validity[1][:2]),
        spki=hashlib.sha256(parts[5][2]).hexdigest(),
        digest=hashlib.sha256(der).hexdigest(),
    )


def _items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield tag, content and whole encoding of each element in a row."""
    at = 0
    while at < len(data):
        tag, length, head = data[at], data[at + 1], 2
        if length >= _LONG_FORM:
            size = length - _LONG_FORM
            if not 1 <= size <= _LONGEST_LENGTH:
                msg = "unusable DER length"
                raise ValueError(msg)
            length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
            head += size
        end = at + head + length
        if end > len(data):
            msg = "DER element is cut short"
            raise ValueError(msg)
        yield tag, data[at + head : end], data[at:end]
        at = end


def _inner(data: bytes) -> bytes:
    tag, content, _ = next(_items(data))
    if tag != _SEQUENCE:
        msg = "expected a DER sequence"
        raise ValueError(msg)
    return content


def _time(tag: int, value: bytes) -> dt.datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:  # RFC 5280 4.1.2.5.1: 50 and above means 19xx
        text = ("19" if text[:2] >= "50" else "20") + text
    return dt.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)


def _alternative_names(extensions: bytes) -> Iterator[str]:
    if not extensions:
        return
    for _, extension, _ in _items(_inner(extensions)):
        if extension.startswith(_ALT_NAME):
            *_, (_, octets, _) = _items(extension)
            for tag, value, _ in _items(_inner(octets)):
                if tag == _DNS_NAME:
                    yield value.decode("ascii", "replace")
                elif tag == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(value))
