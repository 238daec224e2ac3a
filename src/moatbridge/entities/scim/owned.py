"""Reading ``Intent.owned``: paths and slots such as ``emails[type=work].value``."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from moatbridge.entities.paths import Slot, parse


class OwnedPath(NamedTuple):
    """One owned path, taken apart.

    Args:
        field: The top-level member.
        key: Name the selector compares (``type``); empty without a selector.
        value: What it is compared with.
        below: The names after the first segment.
    """

    field: str
    key: str = ""
    value: str = ""
    below: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def parse_owned(path: str) -> OwnedPath:
    """Take one owned path apart; ``emails[]`` is the same as ``emails``.

    Raises:
        ConfigurationError: ``path.syntax``: not a path.
        ValueError: A selector below the first segment, which SCIM has no form for.
    """
    first, *rest = parse(path)
    if any(isinstance(segment.selector, Slot) for segment in rest):
        msg = f"a selector below the first segment of {path!r} has no SCIM form"
        raise ValueError(msg)
    below = tuple(segment.name for segment in rest)
    if isinstance(first.selector, Slot):
        return OwnedPath(first.name, first.selector.name, first.selector.value, below)
    return OwnedPath(first.name, below=below)
