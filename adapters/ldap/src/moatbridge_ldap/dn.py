"""Distinguished names: parse, compare, build (RFC 4514). Text never becomes syntax."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from moatbridge.errors import ConfigurationError

Pair: TypeAlias = tuple[str, str]
Rdn: TypeAlias = tuple[Pair, ...]
Dn: TypeAlias = tuple[Rdn, ...]

MAX_BYTES: Final = 65536
MAX_RDNS: Final = 256
_SPECIAL: Final = re.compile(r'[,+"\\<>;=]')
# Possessive quantifiers: a hostile name must not make the match quadratic.
_PAIR: Final = re.compile(
    r"\s*+(?P<name>[A-Za-z][A-Za-z0-9-]*+|(?:[Oo][Ii][Dd]\.)?\d++(?:\.\d++)*+)"
    r"\s*+=[ ]*+"
    r'(?:(?P<hex>#(?:[0-9A-Fa-f]{2})++)[ ]*+|"(?P<quoted>(?:[^"\\]|\\.)*+)"[ ]*+|'
    r'(?P<text>(?:[^,;+"\\]|\\.)*+))(?P<sep>[,;+]|\Z)',
    re.DOTALL,
)
_DIFFICULT: Final = re.compile(r'[+"\\;#]')
"""Without these a name is what it looks like: parts between commas."""
_ESCAPED: Final = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def escape(value: str) -> str:
    """One attribute value as RFC 4514 text (section 2.4)."""
    text = _SPECIAL.sub(lambda found: "\\" + found.group(), value)
    text = text.replace("\0", "\\00").replace("\n", "\\0a").replace("\r", "\\0d")
    if text[:1] in {" ", "#"}:
        text = "\\" + text
    if value[-1:] == " " and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def build(dn: Dn) -> str:
    """A DN as text, from its parts."""
    return ",".join(
        "+".join(f"{name}={escape(value)}" for name, value in rdn) for rdn in dn
    )


def parse(text: str) -> Dn:
    """A DN's parts, leftmost first; () for the empty DN.

    Raises:
        ConfigurationError: ``ldap.dn``: the text is not a DN. It is never quoted.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _fault("longer than 64 KiB")
    rdns: list[Rdn] = []
    pairs: list[Pair] = []
    at, separator = 0, "" if not text.strip() else ","
    while separator:
        found = _PAIR.match(text, at)
        if found is None:
            raise _fault(f"unreadable at character {at + 1}")
        pairs.append((found["name"], _value(found)))
        at, separator = found.end(), found["sep"]
        if separator != "+":
            rdns.append(tuple(pairs))
            pairs = []
    if len(rdns) > MAX_RDNS:
        raise _fault(f"more than {MAX_RDNS} parts")
    return tuple(rdns)


def first(text: str) -> Rdn:
    """The leftmost part of a DN.

    Raises:
        ConfigurationError: ``ldap.dn``: that part cannot be read.
    """
    return cut(text)[0]


def cut(text: str) -> tuple[Rdn, str]:
    """The leftmost part of a DN, and the text of what is above it.

    Raises:
        ConfigurationError: ``ldap.dn``: that part cannot be read.
    """
    rdn, separator, rest = _plain(text) or _any(text)
    if separator and not rest.strip():
        raise _fault("cut off")
    return rdn, rest


def _plain(text: str) -> tuple[Rdn, str, str] | None:
    """The leftmost part of a DN that is just parts between commas."""
    if _DIFFICULT.search(text):
        return None
    part, comma, rest = text.partition(",")
    name, equals, value = part.partition("=")
    if not (equals and name.isascii() and name.isalnum() and name[0].isalpha()):
        return None
    return ((name, value.strip(" ")),), comma, rest


def _any(text: str) -> tuple[Rdn, str, str]:
    pairs: list[Pair] = []
    at, separator = 0, "+"
    while separator == "+":
        found = _PAIR.match(text, at)
        if found is None:
            raise _fault(f"unreadable at character {at + 1}")
        pairs.append((found["name"], _value(found)))
        at, separator = found.end(), found["sep"]
    return tuple(pairs), separator, text[at:]


def normal(dn: str | Dn) -> Dn:
    """The DN in the form in which equal names compare equal.

    Names and values are case-folded, inner spaces squeezed, multi-valued RDNs sorted.
    """
    parts = parse(dn) if isinstance(dn, str) else dn
    return tuple(map(normal_rdn, parts))


def normal_rdn(rdn: Rdn) -> Rdn:
    """One part, as in `normal`."""
    if len(rdn) == 1:
        ((name, value),) = rdn
        return ((name.lower(), _folded(value)),)
    return tuple(sorted((name.lower(), _folded(value)) for name, value in rdn))


def is_under(dn: Dn, base: Dn) -> bool:
    """Whether normalised ``dn`` is ``base`` or lies below it."""
    return len(dn) >= len(base) and dn[len(dn) - len(base) :] == base


def in_scope(dn: Dn, base: Dn, scope: str) -> bool:
    """Whether normalised ``dn`` lies in the base's scope (base, one, subtree)."""
    if not is_under(dn, base):
        return False
    depth = len(dn) - len(base)
    return scope == "subtree" or depth == (1 if scope == "one" else 0)


def parent(dn: Dn) -> Dn:
    """Everything but the leftmost part."""
    return dn[1:]


def _value(found: re.Match[str]) -> str:
    if found["hex"] is not None:
        return _from_hex(found["hex"])
    raw = found["quoted"]
    if raw is None:
        raw = _trimmed(found["text"])
    return _ESCAPED.sub(_unescaped, raw)


def _from_hex(text: str) -> str:
    # A BER encoded value (section 2.4): directories use it for OCTET and text types.
    data = bytes.fromhex(text[1:])
    body = data[2:] if len(data) > 1 and data[1] == len(data) - 2 else None
    if body is None:
        raise _fault("a hexadecimal value that is not BER")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return text


def _trimmed(text: str) -> str:
    bare = text.rstrip(" ")
    slashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if slashes % 2 and len(bare) < len(text) else bare


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[2]
    try:
        return bytes.fromhex(found[1].replace("\\", "")).decode()
    except UnicodeDecodeError:
        raise _fault("an escaped value that is not UTF-8") from None


def _folded(value: str) -> str:
    return " ".join(value.casefold().split())


def _fault(what: str) -> ConfigurationError:
    return ConfigurationError(f"A distinguished name is {what}.", code="ldap.dn")
