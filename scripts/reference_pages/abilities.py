"""`abilities.md`: what each adapter can do, and what each ability promises."""

from __future__ import annotations

import inspect
from typing import Any

import moatbridge.adapter as interface
from moatbridge.adapter import Ability, Adapter
from moatbridge.registry import Registry
from reference_pages.text import description, document
from reference_pages.text import table as markdown_table


def table(*, origin: bool = True) -> list[str]:
    """Adapters and abilities, also for the README.

    Args:
        origin: With the distribution that brings each.
    """
    registry = Registry()
    names = [each.__name__ for each in _abilities()]
    rows = []
    for name in registry:
        able = registry.get(name).abilities
        marks = ["yes" if each in able else "" for each in names]
        brought = [registry.describe(name).distribution or ""] if origin else []
        rows.append([f"`{name}`", *brought, *marks])
    titles = ["adapter", "distribution"] if origin else ["adapter"]
    heads = [*titles, *(n.removeprefix("Can").lower() for n in names)]
    return markdown_table(heads, rows)


def page() -> str:
    """The whole page."""
    parts = [
        "What an adapter *is* says what it *can*: an ability is a base class, so none",
        "can be promised without being implemented. A stream may have fewer abilities",
        "than its adapter; `moatbridge check` shows what each of yours has.",
        "",
        *table(),
        "",
    ]
    things: list[type[Any]] = [Adapter, *_abilities()]
    for thing in things:
        parts += [f"## `{thing.__name__}`", "", description(thing), ""]
        for name, method in _methods(thing):
            signature = str(inspect.signature(method)).replace("'", "")
            parts += [f"### `{name}{signature}`", "", description(method), ""]
            parts += _raises(method)
    return document("Adapters and abilities", *parts)


def _abilities() -> list[type[Ability]]:
    found = (getattr(interface, name) for name in interface.__all__)
    return [
        each
        for each in found
        if isinstance(each, type) and issubclass(each, Ability) and each is not Ability
    ]


def _methods(thing: type[Any]) -> list[tuple[str, Any]]:
    return [
        (name, getattr(member, "__func__", member))
        for name, member in vars(thing).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, classmethod))
    ]


def _raises(method: Any) -> list[str]:
    text = inspect.getdoc(method) or ""
    _, found, section = text.partition("Raises:\n")
    if not found:
        return []
    lines = [line.strip() for line in section.splitlines() if line.strip()]
    return [*(f"- raises `{line.replace(': ', '`: ', 1)}" for line in lines), ""]
