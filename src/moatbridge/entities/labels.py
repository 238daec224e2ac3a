"""Confidentiality labels, from open to closed (entities 30)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from moatbridge.errors import ConfigurationError

Label: TypeAlias = Literal["public", "internal", "confidential", "restricted"]

LABELS: Final[tuple[Label, ...]] = get_args(Label)
"""All labels, from open to closed."""

_RANK: Final = {label: rank for rank, label in enumerate(LABELS)}


def label(text: str) -> Label:
    """The label of that name.

    Raises:
        ConfigurationError: ``label.unknown``.
    """
    if text not in _RANK:
        message = f"There is no label {text!r}; use one of {', '.join(LABELS)}."
        raise ConfigurationError(message, code="label.unknown")
    return LABELS[_RANK[text]]


def rank(text: str) -> int:
    """How closed a label is: 0 for ``public``; higher must not flow to lower.

    Raises:
        ConfigurationError: ``label.unknown``.
    """
    return _RANK[label(text)]


def highest(*labels: str | None) -> Label:
    """The most closed of these labels; None counts as ``public``.

    Raises:
        ConfigurationError: ``label.unknown``.
    """
    return LABELS[max((rank(each) for each in labels if each), default=0)]
