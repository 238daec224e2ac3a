"""Converters by name: the core's, a product's own, and those of installed adapters."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from moatbridge.entities.conversion import Converter
from moatbridge.entities.core_converters import CORE
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

GROUP: Final = "moatbridge.converters"

Offer: TypeAlias = "Converter | Callable[..., Converter]"


class Converters:
    """Finds converters by name. Fill it before sharing it between threads.

    Args:
        discover: Look at the entry points of installed distributions, at the first
            name that is not the core's.
    """

    def __init__(self, *, discover: bool = True) -> None:
        self._offers: dict[str, Offer] = dict(CORE)
        self._points: dict[str, list[EntryPoint]] | None = None if discover else {}

    def register(self, name: str, offer: Offer) -> None:
        """Add a converter, or a function that makes one from plain arguments.

        Raises:
            ConfigurationError: ``converter.duplicate``.
        """
        if name in self._offers:
            message = (
                f"A converter named {name!r} is there already; choose another name."
            )
            raise ConfigurationError(message, code="converter.duplicate")
        self._offers[name] = offer

    def make(self, via: Any) -> tuple[Converter, ...]:
        """The chain that a ``via`` setting describes.

        Args:
            via: A name, a `Converter`, ``{name = argument}``, ``{name = {...}}``, or a
                list of those (record side first).

        Raises:
            ConfigurationError: ``converter.unknown``, ``converter.arguments``,
                ``converter.duplicate`` or ``converter.broken``.
        """
        if isinstance(via, (list, tuple)):
            return tuple(self._one(each) for each in via)
        return (self._one(via),)

    def _one(self, via: Any) -> Converter:
        if isinstance(via, Converter):
            return via
        if isinstance(via, str):
            return _called(via, self._offer(via), (), {})
        if isinstance(via, dict) and len(via) == 1:
            [(name, given)] = via.items()
            offer = self._offer(str(name))
            if isinstance(given, dict) and name != "lookup":
                return _called(name, offer, (), given)
            return _called(name, offer, (given,), {})
        message = (
            "via takes a converter's name, {name = arguments}, or a list of those."
        )
        raise ConfigurationError(message, code="converter.arguments")

    def _offer(self, name: str) -> Offer:
        if found := self._offers.get(name):
            return found
        points = self._discovered().get(name, [])
        if len(points) > 1:
            owners = " and ".join(sorted(_owner(each) for each in points))
            message = f"Converter {name!r} is claimed by {owners}; uninstall one."
            raise ConfigurationError(message, code="converter.duplicate")
        if points:
            self._offers[name] = _loaded(points[0])
            return self._offers[name]
        known = [*self._offers, *self._discovered()]
        close = get_close_matches(name, known, 1, 0.6)
        hint = (
            f"did you mean {close[0]!r}?"
            if close
            else f"known: {', '.join(sorted(known))}"
        )
        message = f"There is no converter {name!r}; {hint}"
        raise ConfigurationError(message, code="converter.unknown")

    def _discovered(self) -> dict[str, list[EntryPoint]]:
        if self._points is None:
            from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

            self._points = {}
            for point in entry_points(group=GROUP):
                same = self._points.setdefault(point.name, [])
                if point not in same:
                    same.append(point)
        return self._points


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _loaded(point: EntryPoint) -> Offer:
    try:
        offer = point.load()
    except Exception as error:  # noqa: BLE001 - any import may fail in any way
        message = (
            f"Converter {point.name!r} of {_owner(point)} cannot be loaded "
            f"({type(error).__name__}); reinstall that distribution."
        )
        raise ConfigurationError(message, code="converter.broken") from None
    if isinstance(offer, Converter) or callable(offer):
        return cast("Offer", offer)
    message = f"Converter {point.name!r} of {_owner(point)} is not a Converter."
    raise ConfigurationError(message, code="converter.broken")


def _called(
    name: str, offer: Offer, given: Sequence[Any], named: dict[str, Any]
) -> Converter:
    if isinstance(offer, Converter):
        if given or named:
            message = f"Converter {name!r} takes no arguments."
            raise ConfigurationError(message, code="converter.arguments")
        return offer
    signature = inspect.signature(offer)
    try:
        signature.bind(*given, **named)
    except TypeError:
        wanted = ", ".join(str(each) for each in signature.parameters.values())
        message = f"Converter {name!r} takes ({wanted})."
        raise ConfigurationError(message, code="converter.arguments") from None
    try:
        return offer(*given, **named)
    except (TypeError, ValueError) as error:
        message = f"Converter {name!r} refuses its arguments ({type(error).__name__})."
        raise ConfigurationError(message, code="converter.arguments") from None
