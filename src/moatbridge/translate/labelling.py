"""Posts carry their label with them: the one member no translator need name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moatbridge.entities import LABELS
from moatbridge.translate.leaves import Leaf
from moatbridge.translate.sources import Const
from moatbridge.translate.steps import Key, Spot

if TYPE_CHECKING:
    from moatbridge.entities import Label
    from moatbridge.translate.resolve import Resolved

_LABEL: Final = "label"


def constant_label(resolved: Resolved) -> str | None:
    """The label that a translator names as a constant, if it does."""
    found = _leaf(resolved)
    if found is None or not isinstance(found.source, Const):
        return None
    value: str | None = found.source.value
    return value


def labelled(resolved: Resolved, label: Label) -> Resolved:
    """The same with the entity's ``label`` filled in, for types that have one.

    A constant that says less than what is read is raised; a label that is read from
    the record stays as it is, and the guard takes the higher one.

    Args:
        resolved: Of a translator.
        label: The label of everything it reads.
    """
    shape = resolved.shape.members.get(_LABEL)
    if shape is None or shape.words != LABELS:
        return resolved
    named = _leaf(resolved)
    if named is not None and not isinstance(named.source, Const):
        return resolved
    spot = Spot(_LABEL, (Key(_LABEL),), shape)
    filled = Leaf(spot, Const(label), (), lambda: label)
    rest = tuple(each for each in resolved.leaves if each is not named)
    return replace(resolved, leaves=(*rest, filled))


def _leaf(resolved: Resolved) -> Leaf | None:
    return next((e for e in resolved.leaves if e.spot.text == _LABEL), None)
