"""`python.md`: the public names of the core, and their sections on the site.

On the code host the page says what each name is in a line. On the site it leads to a
page for each module, made from the docstrings when the site is built.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reference_pages.text import description, document, markdown, summary, table

if TYPE_CHECKING:
    from types import ModuleType

MODULES: Final = (
    "moatbridge",
    "moatbridge.adapter",
    "moatbridge.changes",
    "moatbridge.entities",
    "moatbridge.errors",
    "moatbridge.http",
    "moatbridge.lines",
    "moatbridge.testing",
    "moatbridge.config",
    "moatbridge.registry",
    "moatbridge.translate",
    "moatbridge.run",
    "moatbridge.gateway",
)
"""What products, integrators and authors may import, in the order of the page."""

PAGE: Final = "reference/python.md"
_INTRODUCTION = """\
Every name that a product or an author of an adapter may import. What is not listed here
may change at any time. Authors need `moatbridge.adapter`, `moatbridge.changes`,
`moatbridge.entities`, `moatbridge.errors`, `moatbridge.http` or `moatbridge.lines` and,
for their tests, `moatbridge.testing`; products start with the names of `moatbridge`
itself. On the site each name leads to its section, made from its docstring."""
_SECTION = re.compile(r"^## `([\w.]+)`$")
_ROW = re.compile(r"^\| `(\w+)` \|")


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, ""]
    for name in MODULES:
        module = importlib.import_module(name)
        parts += [f"## `{name}`", "", summary(module), ""]
        rows = [(f"`{each}`", _said(module, each)) for each in names(name)]
        parts += [*table(("name", "what it is"), rows), ""]
    return document("Python", *parts)


def linked(text: str) -> str:
    """The page for the site: every name leads to its section."""
    lines, module = [], ""
    for line in text.splitlines():
        if section := _SECTION.match(line):
            module = section[1]
        row = _ROW.match(line)
        path = row and module and home_of(module, row[1])
        lines.append(
            line if not (row and path) else _ROW.sub(f"| [`{row[1]}`][{path}] |", line)
        )
    return "\n".join(lines) + "\n"


def place(module: str) -> str:
    """The page of a module on the site."""
    return f"reference/python/{module.rpartition('.')[2]}.md"


def directives(module: str) -> str:
    """The page of a module for the site: a section for each name at home there."""
    parts = [f"# `{module}`", "", description(importlib.import_module(module)), ""]
    for name in names(module):
        path = home_of(module, name)
        if path == f"{module}.{name}":
            parts += [f"::: {path}", ""]
        else:
            parts += [f"## `{name}`", "", f"See [`{path}`][{path}].", ""]
    return "\n".join(parts)


def home_of(module: str, name: str) -> str:
    """The path under which a name has its section: once, whoever else exports it."""
    thing = getattr(importlib.import_module(module), name)
    return _homes().get(id(thing), f"{module}.{name}")


def path_of(word: str) -> str | None:
    """Where a word of a docstring has its section; None if it is no public name."""
    first, *inner = word.split(".")
    path = _paths().get(first)
    if path is None or not inner:
        return path
    thing = getattr(importlib.import_module(path.rpartition(".")[0]), first)
    known = vars(thing) if isinstance(thing, type) else {}
    return f"{path}.{inner[0]}" if _told(known.get(inner[0])) else path


def _told(member: Any) -> bool:
    """Whether a member has a section; fields are told with their class."""
    method = getattr(member, "__func__", getattr(member, "fget", member))
    return inspect.isfunction(method) and bool(method.__doc__)


@cache
def names(module: str) -> tuple[str, ...]:
    """The public names of a module."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None)
    if listed is None:
        listed = [name for name in _documented(found) if not name.startswith("_")]
    return tuple(name for name in listed if not name.startswith("__"))


@cache
def _homes() -> dict[int, str]:
    """Class or function -> the most exact module that exports it."""
    found: dict[int, str] = {}
    for module in (*MODULES[1:], MODULES[0]):
        for name in names(module):
            thing = getattr(importlib.import_module(module), name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found.setdefault(id(thing), f"{module}.{name}")
    return found


@cache
def _paths() -> dict[str, str]:
    """Name -> path of its section, for names that mean one thing only."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for name in names(module):
            found.setdefault(name, set()).add(home_of(module, name))
    return {name: min(paths) for name, paths in found.items() if len(paths) == 1}


def _said(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return summary(thing)
    return markdown(_documented(module).get(name, ""))


@cache
def _documented(module: ModuleType) -> dict[str, str]:
    """What a module's own text defines: name -> the text below it."""
    body = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    found: dict[str, str] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        for name in _defined(node):
            text = getattr(getattr(after, "value", None), "value", None)
            found[name] = text if isinstance(text, str) else ""
    return found


def _defined(node: Any) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
