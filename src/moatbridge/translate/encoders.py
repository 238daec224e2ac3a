"""Generates entity -> record; quick, with a careful version that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import NotApplied, TranslationError
from moatbridge.translate import runtime
from moatbridge.translate.guarded import guarded
from moatbridge.translate.source_code import Access, Code, literal, namespace, store
from moatbridge.translate.steps import At, Key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.leaves import Back, Leaf


def encoder(
    written: Sequence[Leaf], backs: Sequence[Back], *, new: bool
) -> Callable[..., Any]:
    """``(entity, before=None) -> record`` for creates (``new``) or updates."""
    quick = _encode(written, backs, new=new, careful=False)
    careful: list[Callable[..., Any]] = []

    def encode(entity: dict[str, Any], before: Any = None) -> Any:
        try:
            return quick(entity, before)
        except (NotApplied, TranslationError):
            raise
        except (Exception, SystemExit):  # noqa: BLE001 - the careful version says what it was
            if not careful:
                careful.append(_encode(written, backs, new=new, careful=True))
        return careful[0](entity, before)

    return encode


def _encode(
    written: Sequence[Leaf], backs: Sequence[Back], *, new: bool, careful: bool
) -> Callable[..., Any]:
    code = Code("def encode(e, before):", namespace(strict=not careful))
    code.line("r = {}")
    if new:
        code.line("before = {}")
    access = Access(code, "e", "A", "A")
    for leaf in written:
        _encode_leaf(leaf, access, code, new=new, careful=careful)
    for back in backs:
        _encode_back(back, access, code, new=new)
    if new:
        for field, at in _slots(written):
            code.line(
                f"drop(r, {literal(field)}, {literal(at.name)}, {literal(at.value)})"
            )
    code.line("return r")
    made: Callable[..., Any] = code.make("encode")
    return made


def _encode_leaf(
    leaf: Leaf, access: Access, code: Code, *, new: bool, careful: bool
) -> None:
    write = leaf.write
    if write is None:
        return
    value = access.value(leaf.spot.steps)
    code.line(f"if {value} is not A" + (f" and {value} is not None:" if new else ":"))
    code.depth += 1
    target = store(write.place.steps, "r")
    if write.copies and not careful:
        code.line(f"{target} = {value}")
    elif write.simple is not None and not careful:
        function = code.bind(write.simple)
        code.line(f"x = {function}({value}) if {value} is not None else None")
        code.line((f"if x is not None: {target} = x") if new else f"{target} = x")
    else:
        encode = write.encode
        if careful:
            encode = guarded(encode, leaf.spot.text, leaf.converters)
        before = "None"
        if write.needs_before:
            reader = code.bind(runtime.current(write.place.steps, write.place.text))
            before = f"{reader}(r, before)"
        code.line(f"x = {code.bind(encode)}({value}, {before})")
        filled = "if x is not None and x != []: " if new else ""
        code.line(f"{filled}{target} = x")
    code.depth -= 1


def _encode_back(back: Back, access: Access, code: Code, *, new: bool) -> None:
    if not back.reads and not new:
        return
    values = [access.value(spot.steps) for spot in back.reads]
    present = " and ".join(f"{each} is not A" for each in values) or "True"
    compute = guarded(back.compute, f"back.{back.place.text}")
    code.line(f"if {present}:")
    code.line(f"    x = {code.bind(compute)}({', '.join(values)})")
    filled = "if x is not None and x != []: " if new else ""
    code.line(f"    {filled}{store(back.place.steps, 'r')} = x")


def _slots(written: Sequence[Leaf]) -> list[tuple[str, At]]:
    found: dict[tuple[str, At], None] = {}
    for leaf in written:
        steps = leaf.write.place.steps if leaf.write else ()
        if len(steps) == 3 and isinstance(steps[1], At) and steps[2] == Key("value"):  # noqa: PLR2004 - list, slot, member
            found[steps[0].name if isinstance(steps[0], Key) else "", steps[1]] = None
    return list(found)


def owning(
    written: Sequence[Leaf], backs: Sequence[Back]
) -> Callable[..., tuple[str, ...]]:
    """``entity -> record paths`` that encoding this entity sets."""
    code = Code("def owned_by(e):", namespace(strict=False))
    code.line("o = []")
    access = Access(code, "e", "A", "A")
    for leaf in written:
        value = access.value(leaf.spot.steps)
        text = leaf.write.place.text if leaf.write else ""
        code.line(f"if {value} is not A: o.append({literal(text)})")
    for back in backs:
        values = [access.value(spot.steps) for spot in back.reads]
        present = " and ".join(f"{each} is not A" for each in values)
        if present:
            code.line(f"if {present}: o.append({literal(back.place.text)})")
    code.line("return tuple(dict.fromkeys(o))")
    made: Callable[..., tuple[str, ...]] = code.make("owned_by")
    return made
