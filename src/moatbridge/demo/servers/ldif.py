"""LDIF (RFC 2849): text for OpenLDAP's own tools, and back. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = tuple[str, Mapping[str, Sequence[str]]]

_UNSAFE_START = {" ", ":", "<"}


def line(name: str, value: str) -> str:
    """One attribute line; base64 where the value is not plain text."""
    plain = value.isascii() and value.isprintable() and not value.endswith(" ")
    if plain and value[:1] not in _UNSAFE_START:
        return f"{name}: {value}"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}"


def entries(items: Iterable[Entry]) -> str:
    """Complete entries, to be added."""
    return "\n".join(_entry(dn, attributes) for dn, attributes in items)


def _entry(dn: str, attributes: Mapping[str, Sequence[str]]) -> str:
    lines = [line("dn", dn)]
    lines += [line(n, value) for n, values in attributes.items() for value in values]
    return "\n".join(lines) + "\n"


def change(dn: str, **attributes: Sequence[str]) -> str:
    """A change record: each attribute is replaced; no values clears it."""
    lines = [line("dn", dn), "changetype: modify"]
    for name, values in attributes.items():
        lines.append(f"replace: {name}")
        lines += [line(name, value) for value in values]
        lines.append("-")
    return "\n".join(lines) + "\n"


def rename(dn: str, first: str, *, parent: str | None = None) -> str:
    """A change record: another name, or another place in the tree."""
    lines = [line("dn", dn), "changetype: modrdn", line("newrdn", first)]
    lines.append("deleteoldrdn: 1")
    if parent is not None:
        lines.append(line("newsuperior", parent))
    return "\n".join(lines) + "\n"


def parse(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Entries as ``ldapsearch -LLL -o ldif-wrap=no`` prints them."""
    for block in text.strip().split("\n\n"):
        found: dict[str, list[str]] = {}
        for each in block.splitlines():
            name, _, rest = each.partition(":")
            raw = rest.startswith(":")
            value = base64.b64decode(rest[1:]).decode() if raw else rest[1:]
            found.setdefault(name, []).append(value if raw else value.strip())
        if "dn" in found:
            yield found.pop("dn")[0], found
