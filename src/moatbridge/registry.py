"""`Registry`: adapter names -> adapter classes, found by entry points or by hand.

A registry is an object its owner holds; there is no global one. Looking for installed
adapters happens at the first look-up, importing one only when its class is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import AdapterNotFound, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from importlib.metadata import EntryPoint

    from moatbridge.adapter import Adapter

GROUP: Final = "moatbridge.adapters"
"""Entry point group that adapters' distributions declare."""

KNOWN: Final = {
    "ldap": "moatbridge-ldap",
    "mastodon": "moatbridge-mastodon",
    "scim": "moatbridge-scim",
    "sftp": "moatbridge-sftp",
    "soap": "moatbridge-soap",
    "sql": "moatbridge-sql",
    "webhook": "moatbridge-webhook",
}
"""Adapters of this project and the distributions that bring them."""


def pip_line(name: str) -> str:
    """What to type to install an adapter of this project."""
    return f"pip install 'moatbridge[{name}]'"


@dataclass(frozen=True, slots=True)
class Description:
    """Where an adapter comes from.

    Args:
        name: The adapter's name.
        distribution: Distribution that declares it; None if registered by hand.
        version: That distribution's version.
        target: Import path of the class (``package.module:Class``).
    """

    name: str
    distribution: str | None
    version: str | None
    target: str


class Registry:
    """Adapters by name. Safe for threads.

    Args:
        discover: Look for installed adapters. False: only what is registered by hand.
        allow: Names that may be used; None means all.
    """

    def __init__(
        self, *, discover: bool = True, allow: Collection[str] | None = None
    ) -> None:
        self._discover = discover
        self._allow = None if allow is None else frozenset(allow)
        self._lock = threading.RLock()
        self._classes: dict[str, type[Adapter[Any]]] = {}
        self._found: dict[str, list[EntryPoint]] | None = None

    def register(self, name: str, cls: type[Adapter[Any]]) -> None:
        """Add an adapter by hand; it wins over an installed one of that name.

        Raises:
            ConfigurationError: ``registry.twice`` or ``registry.not-adapter``.
        """
        with self._lock:
            if self._classes.get(name, cls) is not cls:
                msg = f"The adapter name '{name}' is already registered."
                raise ConfigurationError(msg, code="registry.twice")
            self._classes[name] = _checked(name, cls)

    def get(self, name: str) -> type[Adapter[Any]]:
        """The adapter class of that name; imports it the first time.

        Raises:
            AdapterNotFound: No such adapter, with the nearest name or what to install.
            ConfigurationError: ``registry.forbidden``, ``registry.twice``,
                ``registry.import`` or ``registry.not-adapter``.
        """
        self._permit(name)
        with self._lock:
            if name not in self._classes:
                self._classes[name] = _checked(name, _load(name, self._entry(name)))
            return self._classes[name]

    def allowing(self, names: Collection[str] | None) -> Registry:
        """The same adapters, of which only some may be used; not looked up again.

        Args:
            names: Names that may be used; None means all.
        """
        limited = Registry(discover=self._discover, allow=names)
        with self._lock:
            limited._classes = dict(self._classes)
            limited._found = self._installed()
        return limited

    def describe(self, name: str) -> Description:
        """Where an adapter comes from, without importing it.

        Raises:
            AdapterNotFound: No such adapter.
            ConfigurationError: ``registry.forbidden`` or ``registry.twice``.
        """
        self._permit(name)
        with self._lock:
            cls = self._classes.get(name)
            entries = self._installed().get(name)
            if entries is None and cls is not None:
                target = f"{cls.__module__}:{cls.__qualname__}"
                return Description(name, None, None, target)
            entry = self._entry(name)
        dist = entry.dist
        if dist is None:
            return Description(name, None, None, entry.value)
        return Description(name, dist.name, dist.version, entry.value)

    def names(self) -> list[str]:
        """Every name that may be used, sorted, without importing anything."""
        with self._lock:
            names = {*self._classes, *self._installed()}
        return sorted(name for name in names if self._allowed(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.names()})"

    def _allowed(self, name: str) -> bool:
        return self._allow is None or name in self._allow

    def _permit(self, name: str) -> None:
        if not self._allowed(name):
            raise ConfigurationError(
                f"The adapter '{name}' is not in the allow-list; add it to `adapters` "
                "if it may be used.",
                code="registry.forbidden",
            )

    def _installed(self) -> dict[str, list[EntryPoint]]:
        if self._found is None:
            self._found = _scan() if self._discover else {}
        return self._found

    def _entry(self, name: str) -> EntryPoint:
        entries = self._installed().get(name)
        if not entries:
            raise _unknown(name, self.names())
        if len(entries) > 1:
            owners = " and ".join(sorted(_owner(entry) for entry in entries))
            raise ConfigurationError(
                f"Two distributions claim the adapter name '{name}': {owners}; "
                "uninstall one of them.",
                code="registry.twice",
            )
        return entries[0]


def _scan() -> dict[str, list[EntryPoint]]:
    from importlib import metadata  # noqa: PLC0415 - slow, and only needed here

    found: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=GROUP):
        others = found.setdefault(entry.name, [])
        # One distribution can be seen twice (an editable install and its build).
        if all(_owner(entry) != _owner(other) for other in others):
            others.append(entry)
    return found


def _owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(unknown)"


def _load(name: str, entry: EntryPoint) -> Any:
    try:
        target: Any = importlib.import_module(entry.module)
        for part in entry.attr.split("."):
            target = getattr(target, part)
    except ImportError as error:
        missing = error.name or "(unknown)"
        raise ConfigurationError(
            f"The adapter '{name}' of {_owner(entry)} cannot be imported: the package "
            f"'{missing}' is missing or does not fit; run `pip install "
            f"--force-reinstall {_owner(entry)}`.",
            code="registry.import",
        ) from error
    except AttributeError as error:
        raise ConfigurationError(
            f"{_owner(entry)} declares the adapter '{name}' as {entry.value}, which "
            "does not exist; reinstall or report it.",
            code="registry.import",
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"The adapter '{name}' of {_owner(entry)} cannot be imported: its own code "
            f"ends in {type(error).__name__}; update it, or report it to its authors.",
            code="registry.import",
        ) from error
    return target


def _checked(name: str, cls: Any) -> type[Adapter[Any]]:
    from moatbridge.adapter import Adapter  # noqa: PLC0415 - brings pydantic

    if not (isinstance(cls, type) and issubclass(cls, Adapter)):
        msg = f"What is registered as adapter '{name}' is no subclass of Adapter."
        raise ConfigurationError(msg, code="registry.not-adapter")
    return cls


def _unknown(name: str, usable: list[str]) -> AdapterNotFound:
    if name in KNOWN:
        return AdapterNotFound(
            f"The adapter '{name}' is not installed; run `{pip_line(name)}`."
        )
    near = difflib.get_close_matches(name, {*usable, *KNOWN}, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"there are: {_list(usable)}."
    return AdapterNotFound(f"There is no adapter '{name}'; {advice}")


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
