"""Writes and compiles source code. The only ``exec`` in the tree.

Why generate: straight-line code is as fast as what a person would write by hand; an
interpreter of rules is several times slower for every record of every scan.

Why it is safe: the source holds our own identifiers, numbers, and the `repr` of values
whose exact type is ``str``, ``bool`` or ``int``. Everything else (functions, constants)
is bound by name in the function's globals. So no text of a configuration or of a schema
can become code.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from moatbridge.translate import runtime
from moatbridge.translate.leaves import ABSENT
from moatbridge.translate.picking import pick
from moatbridge.translate.steps import At, Key, Step

if TYPE_CHECKING:
    from collections.abc import Sequence


class Code:
    """One function being written; ``names`` are its globals."""

    def __init__(self, head: str, names: dict[str, Any]) -> None:
        self.lines: list[str] = [head]
        self.names = names
        self.depth = 1
        self._count = 0

    def line(self, text: str) -> None:
        """Add a line at the current depth."""
        self.lines.append("    " * self.depth + text)

    def fresh(self, kind: str) -> str:
        """A new identifier."""
        self._count += 1
        return f"{kind}{self._count}"

    def bind(self, value: Any) -> str:
        """The name of a new global that holds the value."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def make(self, name: str) -> Any:
        """Compile, and return the function of that name."""
        source = "\n".join(self.lines) + "\n"
        code = compile(source, f"<moatbridge {name}>", "exec", dont_inherit=True)
        exec(code, self.names)  # noqa: S102 - see the module's docstring
        return self.names[name]


class Access:
    """Reads places of one root variable; what two places share is read once.

    Args:
        code: The function being written.
        root: The variable.
        missing: Name of what stands for a member that is not there.
        gone: The same for an entry that a list does not have. A record's list is always
            complete, so there it is null; an entity's list may hold some slots only.
    """

    def __init__(self, code: Code, root: str, missing: str, gone: str) -> None:
        self._code = code
        self._missing = missing
        self._gone = gone
        self._known: dict[tuple[Step, ...], str] = {}
        self._get = code.fresh("g")
        code.line(f"{self._get} = {root}.get")

    def value(self, steps: tuple[Step, ...]) -> str:
        """The variable that holds what is there."""
        if steps in self._known:
            return self._known[steps]
        last = steps[-1]
        variable = self._code.fresh("a")
        if len(steps) == 1 and isinstance(last, Key):
            expression = f"{self._get}({literal(last.name)}, {self._missing})"
        else:
            in_list = any(not isinstance(each, Key) for each in steps)
            missing = self._gone if in_list else self._missing
            expression = self._deeper(self.value(steps[:-1]), last, missing)
        self._code.line(f"{variable} = {expression}")
        self._known[steps] = variable
        return variable

    def _deeper(self, parent: str, last: Step, missing: str) -> str:
        if isinstance(last, Key):
            name = literal(last.name)
            return (
                f"{parent}.get({name}, {missing}) "
                f"if {parent}.__class__ is dict else step({parent})"
            )
        if isinstance(last, At):
            name, value = literal(last.name), literal(last.value)
            return f"entry({parent}, {name}, {value}, {missing})"
        return f"nth({parent}, {last.number:d}, {missing})"


def namespace(*, strict: bool) -> dict[str, Any]:
    """The globals every generated function has; ``strict`` raises on broken parents."""
    return {
        "A": ABSENT,
        "step": runtime.strict_step if strict else runtime.step,
        "entry": runtime.entry,
        "nth": runtime.nth,
        "slot": runtime.slot,
        "drop": runtime.drop,
        "pick": pick,
        "join": "".join,
        "is_normalized": unicodedata.is_normalized,
    }


def literal(value: Any) -> str:
    """The value as source code.

    Raises:
        TypeError: It is of any type but exactly ``str``, ``bool`` or ``int``.
    """
    if value.__class__ not in {str, bool, int}:
        message = f"cannot write {type(value).__name__} into generated code"
        raise TypeError(message)
    return repr(value)


def store(steps: tuple[Step, ...], root: str) -> str:
    """The target of an assignment there; makes parents and slots on the way."""
    place, rest = root, list(steps)
    while len(rest) > 1:
        head, following = rest.pop(0), rest[0]
        name = literal(head.name) if isinstance(head, Key) else ""
        if isinstance(following, At):
            rest.pop(0)
            pair = f"{literal(following.name)}, {literal(following.value)}"
            place = f"slot({place}, {name}, {pair})"
        else:
            place = f"{place}.setdefault({name}, {{}})"
    last = rest[0]
    return f"{place}[{literal(last.name if isinstance(last, Key) else '')}]"


def literal_entity(values: Sequence[tuple[tuple[Step, ...], str]]) -> str:
    """Source code of a fresh object with these values at these places.

    Args:
        values: (steps, identifier): members, and entries of lists by a selector.
    """
    groups: dict[str, list[tuple[tuple[Step, ...], str]]] = {}
    for steps, value in values:
        head = steps[0]
        if isinstance(head, Key):
            groups.setdefault(head.name, []).append((steps[1:], value))
    shown = (f"{literal(name)}: {_literal_member(g)}" for name, g in groups.items())
    return "{" + ", ".join(shown) + "}"


def _literal_member(group: Sequence[tuple[tuple[Step, ...], str]]) -> str:
    steps, value = group[0]
    if not steps:
        return value
    if isinstance(steps[0], Key):
        return literal_entity(group)
    slots: dict[At, list[tuple[tuple[Step, ...], str]]] = {}
    for inner, each in group:
        if isinstance(inner[0], At):
            slots.setdefault(inner[0], []).append((inner[1:], each))
    entries = [
        f"{{{literal(at.name)}: {literal(at.value)}, {literal_entity(found)[1:]}"
        for at, found in slots.items()
    ]
    return "[" + ", ".join(entries) + "]"
