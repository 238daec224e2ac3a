"""Named places where a process may die; the crash proof kills it at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def crash_point(name: str) -> None:
    """Mark a place between two durable steps (delivery 8). Does nothing in real life.

    Args:
        name: One of the stable names of delivery 8, such as ``settle.in``.
    """
    if _hook is not None:
        _hook(name)


def install(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` at every crash point of this process; None takes it away."""
    global _hook  # noqa: PLW0603 - one process dies as a whole, so one hook
    _hook = hook
