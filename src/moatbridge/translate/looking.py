"""Generates what reads many paths of an entity at once: straight lines, no walking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moatbridge.entities.paths import Slot
from moatbridge.translate.source_code import Code, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.entities.paths import Path


@dataclass(slots=True)
class _Branch:
    """A member or an entry: which path ends here, and what lies below."""

    ends: list[int] = field(default_factory=list)
    members: dict[str, _Branch] = field(default_factory=dict)
    slots: dict[Slot, _Branch] = field(default_factory=dict)

    def grow(self, path: Path, number: int) -> None:
        if not path:
            self.ends.append(number)
            return
        branch = self.members.setdefault(path[0].name, _Branch())
        if isinstance(path[0].selector, Slot):
            branch = branch.slots.setdefault(path[0].selector, _Branch())
        branch.grow(path[1:], number)

    def below(self) -> list[int]:
        """Numbers of the paths that end here or deeper."""
        inner = (*self.members.values(), *self.slots.values())
        return [*self.ends, *(n for branch in inner for n in branch.below())]


def looker(
    paths: Sequence[Path],
    missing: Any,
    *,
    entry: Callable[[Any, Slot], Any],
    slow: Callable[[Any], tuple[Any, ...]],
) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """A function from an entity to the values at these paths, in their order.

    Args:
        paths: Parsed paths.
        missing: Stands for what the entity says nothing about.
        entry: The entry of a list that a slot selects, or ``missing``.
        slow: The same function, path by path: asked where a path leads through a whole
            list, or through something that is no object.
    """
    code = Code("def look(e):", {"M": missing, "entry": entry, "slow": slow})
    root = _Branch()
    for number, path in enumerate(paths):
        root.grow(path, number)
    _members(root, "e", code)
    code.line(f"return ({''.join(f'v{n}, ' for n in range(len(paths)))})")
    made: Callable[[dict[str, Any]], tuple[Any, ...]] = code.make("look")
    return made


def _members(branch: _Branch, variable: str, code: Code) -> None:
    get = code.fresh("g")
    code.line(f"{get} = {variable}.get")
    for name, member in branch.members.items():
        found = code.fresh("a")
        code.line(f"{found} = {get}({literal(name)}, M)")
        _ends(member, found, code)
        for slot, inside in member.slots.items():
            one = code.fresh("a")
            code.line(f"{one} = entry({found}, {code.bind(slot)})")
            _ends(inside, one, code)
            _deeper(inside, one, code)
        _deeper(member, found, code)


def _ends(branch: _Branch, variable: str, code: Code) -> None:
    for number in branch.ends:
        code.line(f"v{number} = {variable}")


def _deeper(branch: _Branch, variable: str, code: Code) -> None:
    if not branch.members:
        return
    code.line(f"if {variable}.__class__ is dict:")
    code.depth += 1
    _members(branch, variable, code)
    code.depth -= 1
    code.line(f"elif {variable} is M or {variable} is None:")
    below = [n for member in branch.members.values() for n in member.below()]
    code.line(f"    {' = '.join(f'v{n}' for n in below)} = M")
    code.line("else: return slow(e)")
