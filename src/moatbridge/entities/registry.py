"""Which entity types there are: the built-in ones and a product's own (entities 3)."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moatbridge.entities.directory import GROUP, PERSON, Group, Person
from moatbridge.entities.shapes import EntityType, describe
from moatbridge.entities.social import (
    DECISION,
    POST,
    REACTION,
    Decision,
    Post,
    Reaction,
)
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.entities.labels import Label

_DECLARED: Final[dict[Any, EntityType]] = {
    Person: PERSON,
    Group: GROUP,
    Post: POST,
    Reaction: REACTION,
    Decision: DECISION,
}

BUILT_IN: Final = {each.name: each for each in _DECLARED.values()}
_OWN_NAME: Final = re.compile(r"[a-z][\w-]*(\.[\w-]+){2,}", re.ASCII)

T = TypeVar("T", bound=type)


class EntityTypes:
    """The entity types a bridge knows. Not shared between threads while filling."""

    def __init__(self) -> None:
        self._types: dict[str, EntityType] = dict(BUILT_IN)

    def entity(self, name: str, *, label: Label = "internal") -> Callable[[T], T]:
        """Class decorator that registers a ``TypedDict`` under a reverse-DNS name.

        Args:
            name: For example ``com.acme.Order``; at least three parts.
            label: Default label of such data.

        Raises:
            ConfigurationError: ``entity.name`` (built in, taken, or not reverse-DNS)
                or ``entity.type`` (the class cannot be used).
        """

        def register(declared: T) -> T:
            self.register(describe(name, declared, label=label))
            return declared

        return register

    def register(self, entity: EntityType) -> None:
        """Add a type.

        Raises:
            ConfigurationError: ``entity.name``.
        """
        if entity.name in BUILT_IN:
            reason = "is built in and cannot be replaced"
        elif entity.name in self._types:
            reason = "is registered already"
        elif not _OWN_NAME.fullmatch(entity.name):
            reason = "is not a reverse-DNS name such as 'com.acme.Order'"
        else:
            self._types[entity.name] = entity
            return
        message = f"Entity type {entity.name!r} {reason}."
        raise ConfigurationError(message, code="entity.name")

    def get(self, name: str) -> EntityType:
        """The type of that name.

        Raises:
            ConfigurationError: ``entity.unknown``, with the closest name.
        """
        if found := self._types.get(name):
            return found
        close = get_close_matches(name, self._types, 1, 0.75)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self)}"
        message = f"There is no entity type {name!r}; {hint}"
        raise ConfigurationError(message, code="entity.unknown")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._types))


def entity_type(
    given: str | type | EntityType, known: EntityTypes | None = None
) -> EntityType:
    """The `EntityType` for a name, a ``TypedDict`` class or itself.

    Raises:
        ConfigurationError: ``entity.unknown`` or ``entity.type``.
    """
    if isinstance(given, EntityType):
        return given
    if isinstance(given, str):
        return (known or EntityTypes()).get(given)
    return _DECLARED.get(given) or describe(given.__name__, given)
