"""`errors.md`: every error class, and every code that stands in the source."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from moatbridge import errors
from reference_pages.text import description, document, meanings, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "src", *sorted(ROOT.glob("adapters/*/src")))
_CODE = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9]+(-[a-z0-9]+)*)+")
_WORD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_INTRODUCTION = """\
Each error carries a stable code, `area.what`. Messages name the system, the stream
and the field, and never a value. The class says how to recover; the code says what
happened. Codes of receipts and rejects stand in the list too: `moatbridge review`
shows them."""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, "", "## Classes", ""]
    for cls in classes():
        parts += [f"### `{cls.__name__}`", "", description(cls), ""]
        parts += [f"Default code: `{cls.default_code}`.", ""]
    parts += ["## Codes", ""]
    for area, rows in _by_area().items():
        parts += [f"### `{area}`", "", *table(("code", "meaning"), rows), ""]
    return document("Errors", *parts)


def classes() -> list[type[errors.MoatbridgeError]]:
    """Every error class, the root first."""
    found = (value for value in vars(errors).values() if isinstance(value, type))
    return [cls for cls in found if issubclass(cls, errors.MoatbridgeError)]


def _by_area() -> dict[str, list[tuple[str, str]]]:
    if lacking := without_meaning():
        raise LookupError(f"meanings.toml lacks errors: {', '.join(lacking)}")
    rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for code, text in sorted(meanings("errors").items()):
        rows[code.partition(".")[0]].append((f"`{code}`", text))
    return dict(sorted(rows.items()))


def without_meaning() -> list[str]:
    """Codes in the source that `meanings.toml` does not explain."""
    return sorted(codes() - set(meanings("errors")))


def without_source() -> list[str]:
    """Codes that `meanings.toml` explains and the source cannot make."""
    made = codes() | _made_with_prefix()
    families = tuple(code.removesuffix("*") for code in made if code.endswith("*"))
    return sorted(
        code
        for code in meanings("errors")
        if code not in made and not code.startswith(families)
    )


@cache
def codes() -> set[str]:
    """Every constant in the source that is a code.

    A constant given as ``code=`` or as ``default_code`` is one; so is every other
    constant of that form whose area is known from those, unless `meanings.toml` says
    in ``not_codes`` that it is something else. Functions that put an area before a
    word stand there in ``makers``.
    """
    sure = {cls.default_code for cls in classes()}
    possible: set[str] = set()
    for node in _nodes():
        if isinstance(node, ast.keyword) and node.arg == "code":
            sure |= set(_constants(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            possible |= {node.value} if _CODE.fullmatch(node.value) else set()
    areas = {code.partition(".")[0] for code in sure} - {"moatbridge"}
    found = {code for code in possible if code.partition(".")[0] in areas}
    return (sure | found | _made_of_words()) - set(meanings("not_codes"))


def _made_of_words() -> set[str]:
    """Codes whose last word is an argument: ``misconfigured("host-key", ...)``."""
    makers = meanings("makers")
    calls = (node for node in _nodes() if isinstance(node, ast.Call))
    found = set()
    for call in calls:
        area = makers.get(getattr(call.func, "id", getattr(call.func, "attr", "")))
        texts = (getattr(each, "value", None) for each in call.args if area)
        words = (text for text in texts if isinstance(text, str))
        found |= {f"{area}.{word}" for word in words if _WORD.fullmatch(word)}
    return found


def _made_with_prefix() -> set[str]:
    """Families of codes put together at run time: ``secret.*``."""
    starts = (
        node.values[0].value
        for node in _nodes()
        if isinstance(node, ast.JoinedStr)
        and node.values
        and isinstance(node.values[0], ast.Constant)
    )
    made = {str(start) for start in starts if isinstance(start, str)}
    families = {f"{start}*" for start in made if re.fullmatch(r"[a-z.-]+\.", start)}
    return families | {f"{area}.*" for area in ("ldap", "scim", "sql", "memory")}


def _constants(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        text = each.value if isinstance(each, ast.Constant) else None
        if isinstance(text, str) and _CODE.fullmatch(text):
            yield text


@cache
def _nodes() -> list[ast.AST]:
    files = (file for root in SOURCES for file in sorted(root.rglob("*.py")))
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in files)
    return [node for tree in trees for node in ast.walk(tree)]
