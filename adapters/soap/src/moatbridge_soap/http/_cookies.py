"""Cookies of one connection: host-only, in memory, a few (soap 22)."""

from __future__ import annotations

import re
from typing import Final

from moatbridge.errors import ConfigurationError

MOST: Final = 50
LONGEST: Final = 4096
_PAIR: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*([^;,\s\x00-\x1f]*)")
_GONE: Final = re.compile(r";\s*max-age\s*=\s*(?:0|-\d+)\s*(?:;|$)", re.IGNORECASE)


class Cookies:
    """Names and values that the endpoint set; its ``repr`` shows none."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def learn(self, lines: list[str]) -> None:
        """Take over ``Set-Cookie`` headers; attributes other than max-age are moot."""
        for line in lines[:MOST]:
            found = _PAIR.match(line[:LONGEST])
            if found is None:
                continue
            if _GONE.search(line[:LONGEST]):
                self._held.pop(found[1], None)
            elif len(self._held) < MOST or found[1] in self._held:
                self._held[found[1]] = found[2]

    def set(self, name: str, value: str) -> None:
        """Set one ourselves (a login's token).

        Raises:
            ConfigurationError: ``soap.header``: a cookie cannot carry it whole.
        """
        found = _PAIR.fullmatch(f"{name}={value}")
        if found is None or found[2] != value or len(value) > LONGEST:
            raise ConfigurationError(
                f"The login's token does not fit into the cookie {name}; "
                "send it as a header or parameter (auth.into).",
                code="soap.header",
            )
        self._held[name] = value

    def clear(self) -> None:
        """Forget them."""
        self._held.clear()

    def header(self) -> str:
        """Value of the ``Cookie`` header; "" for none."""
        return "; ".join(f"{name}={value}" for name, value in self._held.items())

    def __repr__(self) -> str:
        return f"Cookies({len(self._held)})"
