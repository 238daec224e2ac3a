"""What is installed here: adapters, what each says of itself, and missing extras.

Everything is read from the adapters' own code and metadata: the texts are docstrings,
so an adapter of a stranger is described as well as one of ours. Nothing is connected.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Adapter, CanWrite
from moatbridge.errors import ConfigurationError
from moatbridge.registry import KNOWN, Registry, pip_line

if TYPE_CHECKING:
    from collections.abc import Iterator

ABILITIES: Final = {
    "CanScan": "reads everything there is",
    "CanFollow": "reads what changed since the last time",
    "CanFetch": "reads single records by their id",
    "CanFind": "looks records up by a field",
    "CanHint": "hears at once when something happened",
    "CanReceive": "takes deliveries that the system pushes",
    "CanSettle": "puts away what was read safely",
    "CanWrite": "creates, changes and removes records",
    "CanDiscover": "suggests configuration: `moatbridge discover`",
}
"""Ability -> what it means to somebody who chooses an adapter."""

SYSTEMS: Final = {
    "ldap": "LDAP directories and Active Directory",
    "mastodon": "Mastodon and platforms with its API",
    "scim": "SCIM 2.0 platforms",
    "sftp": "SFTP and local drop folders",
    "soap": "SOAP services of any WSDL",
    "sql": "relational databases",
    "webhook": "webhooks out and in",
}
"""Adapter of this project -> what it speaks to, for those that are not installed."""

_READS: Final = frozenset({"CanScan", "CanFollow", "CanReceive"})
_GROUPS: Final = frozenset({"all", "demo", "testing"})
"""Extras of the core that are no ability of it, but sets of packages."""
_REQUIREMENT: Final = re.compile(r"^([\w.-]+)(?:\[([\w,.-]+)\])?")
_CONDITION: Final = re.compile(r"extra\s*==\s*['\"]([\w.-]+)['\"]")
_CITED: Final = re.compile(r"``|(?<!`)`(?!`)")


@dataclass(frozen=True, slots=True)
class Extra:
    """Packages that something needs for a part of what it can do.

    Args:
        name: Of the extra.
        missing: Packages that are not installed.
        pip: What to type to install it.
    """

    name: str
    missing: tuple[str, ...]
    pip: str


@dataclass(frozen=True, slots=True)
class Described:
    """One installed adapter.

    Args:
        name: As in ``adapter = "..."``.
        distribution: What brings it; None if registered by hand.
        version: Of the distribution.
        target: Import path of the class.
        about: What it speaks to: its distribution's summary.
        how: How it does so, in its own words.
        direction: ``source``, ``target`` or ``source and target``.
        abilities: Ability -> what it means.
        streams: Which streams it has, in its own words.
        repeats: What a repeated write does there, in its own words.
        reach: ``inside`` may dial private networks, ``outside`` public ones only.
        needs: Settings of ``[systems.NAME]`` without a default.
        extras: Parts that need further packages.
        problem: Why it cannot be used: ``code`` and ``message``.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    target: str = ""
    about: str = ""
    how: str = ""
    direction: str = ""
    abilities: dict[str, str] | None = None
    streams: str = ""
    repeats: str = ""
    reach: str = ""
    needs: tuple[str, ...] = ()
    extras: tuple[Extra, ...] = ()
    problem: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """Everything that ``adapters --verbose`` tells.

    Args:
        version: Of the core.
        extras: Parts of the core that need further packages.
        adapters: What is installed.
        absent: Adapters of this project that are not: name -> what to type.
    """

    version: str
    extras: tuple[Extra, ...]
    adapters: tuple[Described, ...]
    absent: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def installed(registry: Registry) -> Installed:
    """Look at everything that is installed; a broken adapter keeps no other away."""
    parts = (
        extra
        for extra in extras_of("moatbridge")
        if extra.name not in KNOWN and extra.name not in _GROUPS
    )
    names = registry.names()
    absent = {name: pip_line(name) for name in KNOWN if name not in names}
    adapters = tuple(described(registry, name) for name in names)
    return Installed(_version("moatbridge") or "?", tuple(parts), adapters, absent)


def described(registry: Registry, name: str) -> Described:
    """One adapter, imported; what is wrong with it is part of the answer."""
    facts: dict[str, Any] = {"name": name}
    try:
        about = registry.describe(name)
        facts |= {
            "distribution": about.distribution,
            "version": about.version,
            "target": about.target,
        }
        facts |= _told(registry.get(name))
    except ConfigurationError as error:
        problem = {"code": error.code, "message": error.message}
        return Described(**facts, problem=problem)
    if about.distribution is not None:
        facts["about"] = summary_of(about.distribution)
        facts["extras"] = tuple(extras_of(about.distribution))
    return Described(**facts)


def extras_of(distribution: str) -> Iterator[Extra]:
    """The extras of a distribution that bring packages."""
    from importlib import metadata  # noqa: PLC0415 - slow

    wanted: dict[str, set[str]] = {}
    known = _version(distribution) is not None
    for line in (metadata.requires(distribution) if known else None) or ():
        named, condition = _REQUIREMENT.match(line), _CONDITION.search(line)
        if named and condition:
            wanted.setdefault(condition[1], set()).add(named[1])
    for name in sorted(wanted):
        missing = tuple(sorted(each for each in wanted[name] if _version(each) is None))
        yield Extra(name, missing, f"pip install '{distribution}[{name}]'")


def summary_of(distribution: str) -> str:
    """What a distribution says of itself in a line."""
    from importlib import metadata  # noqa: PLC0415 - slow

    said = metadata.metadata(distribution).json.get("summary", "")
    return str(said).removeprefix("moatbridge adapter: ")


def _version(package: str) -> str | None:
    from importlib import metadata  # noqa: PLC0415 - slow

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _told(adapter: type[Adapter[Any]]) -> dict[str, Any]:
    able = adapter.abilities
    words = {name: words for name, words in ABILITIES.items() if name in able}
    ends = [("source", bool(able & _READS)), ("target", "CanWrite" in able)]
    fields = adapter.Config.model_fields.items()
    return {
        "how": summary(adapter, Adapter),
        "direction": " and ".join(end for end, there in ends if there),
        "abilities": words,
        "streams": summary(adapter.streams, Adapter.streams),
        "repeats": _repeats(adapter),
        "reach": adapter.reach,
        "needs": tuple(f.alias or name for name, f in fields if f.is_required()),
    }


def _repeats(adapter: type[Adapter[Any]]) -> str:
    traits = getattr(adapter, "traits", None)
    return summary(traits, CanWrite.traits) if traits else ""


def summary(thing: Any, base: Any) -> str:
    """The first paragraph of a docstring of its own, in plain words; else nothing."""
    text = inspect.getdoc(thing) or ""
    if text == inspect.getdoc(base):
        return ""
    return _CITED.sub("", " ".join(text.split("\n\n")[0].split()))
