"""What a new adapter may be called, and the names that follow from it. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST: Final = 24
PREFIX: Final = "moatbridge-"

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_RESERVED: Final = frozenset(
    {
        *("adapter", "all", "core", "crypto", "demo", "functions", "gateway", "html"),
        *(
            "http",
            "keyring",
            "lines",
            "memory",
            "moatbridge",
            "national-id",
            "postgresql",
        ),
        *("stream", "testing"),
    }
)
"""Extras of the core (a distribution of that name would be taken for theirs), and names
whose classes the core has."""


@dataclass(frozen=True, slots=True)
class Names:
    """One name in its four spellings.

    Args:
        name: ``old-crm``: the adapter's, in `[systems.NAME]` and the entry point.
    """

    name: str

    @property
    def dist(self) -> str:
        """``moatbridge-old-crm``: the distribution."""
        return PREFIX + self.name

    @property
    def package(self) -> str:
        """``moatbridge_old_crm``: what is imported."""
        return self.dist.replace("-", "_")

    @property
    def cls(self) -> str:
        """``OldCrm``: what its classes begin with."""
        return "".join(word.title() for word in self.name.split("-"))


def checked(name: str, taken: Collection[str] = ()) -> Names:
    """The names of a new adapter.

    Args:
        name: What the user typed.
        taken: Adapters that exist already.

    Raises:
        ConfigurationError: ``scaffold.name`` or ``scaffold.taken``.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise _bad(name)
    if name in _RESERVED or name.startswith(PREFIX):
        better = name.removeprefix(PREFIX)
        advice = (
            f"the distribution will be called {PREFIX}{better}, so leave that out"
            if name.startswith(PREFIX)
            else "moatbridge itself uses it; take the name of your system"
        )
        raise ConfigurationError(
            f"An adapter cannot be called '{name}': {advice}.", code="scaffold.name"
        )
    if name in taken:
        raise ConfigurationError(
            f"There is an adapter '{name}' already (see `moatbridge adapters`); take "
            "another name.",
            code="scaffold.taken",
        )
    return Names(name)


def chosen(given: str, known: Collection[str], what: str) -> list[str]:
    """A comma-separated choice, in the order of ``known``.

    Raises:
        ConfigurationError: ``scaffold.choice``, with the nearest word.
    """
    words = [word.strip() for word in given.split(",") if word.strip()]
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            advice = f"did you mean '{near[0]}'?" if near else "choose from: "
            there = "" if near else f"{', '.join(known)}."
            raise ConfigurationError(
                f"There is no {what} '{word}'; {advice}{there}",
                code="scaffold.choice",
            )
    return [word for word in known if word in words]


def _bad(name: str) -> ConfigurationError:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
    better = plain[:LONGEST].rstrip("-")
    advice = f" For example: {better}." if better and better != name else ""
    return ConfigurationError(
        f"An adapter's name has lower-case letters, digits and single hyphens, begins "
        f"with a letter and is at most {LONGEST} characters long.{advice}",
        code="scaffold.name",
    )
