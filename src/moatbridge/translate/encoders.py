"""Generates entity -> record; quick, with a careful version that names the field."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import NotApplied, TranslationError
from moatbridge.translate import runtime
from moatbridge.translate.guarded import guarded
from moatbridge.translate.source_code import (
    Access,
    Code,
    literal,
    literal_entity,
    namespace,
    store,
)
from moatbridge.translate.steps import At, Key, Nth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.leaves import Back, Leaf, Write
    from moatbridge.translate.steps import Step


_SHAPES: Final = 256
"""Sets of paths that entities of one stream say, remembered with what they set."""


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
    if new and not careful and not backs:
        _all_at_once(written, access, code)
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


def _all_at_once(written: Sequence[Leaf], access: Access, code: Code) -> None:
    """Objects and lists that are said in full become literals; others go on below."""
    bare = [(w, leaf) for leaf in written if (w := leaf.write) and _is_bare(w)]
    places = [write.place.steps for write, _leaf in bare]
    if len(bare) < len(written) or not _apart(places):
        return
    values = [access.value(leaf.spot.steps) for _write, leaf in bare]
    deep = [v for v, steps in zip(values, places, strict=True) if len(steps) > 1]
    if not deep:
        return
    code.line(f"t = ({''.join(each + ', ' for each in deep)})")
    code.line("if A not in t and None not in t:")
    code.depth += 1
    turned = []
    for at, (write, _leaf) in enumerate(bare):
        if not write.copies and len(places[at]) > 1:
            turned.append(code.fresh("x"))
            code.line(f"{turned[-1]} = {code.bind(write.simple)}({values[at]})")
            values[at] = turned[-1]
    if turned:
        code.line(f"if None not in ({''.join(each + ', ' for each in turned)}):")
    code.depth += bool(turned)
    groups: dict[Step, list[tuple[tuple[Step, ...], str]]] = {}
    for steps, value in zip(places, values, strict=True):
        groups.setdefault(steps[0], []).append((steps, value))
    for group in groups.values():
        steps, value = group[0]
        if len(steps) > 1:
            code.line(f"r.update({literal_entity(group)})")
            continue
        write = bare[places.index(steps)][0]
        said = value if write.copies else f"{code.bind(write.simple)}({value})"
        code.line(f"if {value} is not A and {value} is not None:")
        code.line(f"    x = {said}")
        code.line(f"    if x is not None: {store(steps, 'r')} = x")
    code.line("return r")
    code.depth -= 1 + bool(turned)


def _is_bare(write: Write) -> bool:
    return write.copies or (write.simple is not None and not write.needs_before)


def _apart(places: Sequence[tuple[Step, ...]]) -> bool:
    """Whether a literal can say them: each once, members and entries of lists only."""
    inside: dict[tuple[Step, ...], type] = {}
    for steps in places:
        for at, step in enumerate(steps):
            kind = type(step)
            if kind is Nth or inside.setdefault(steps[:at], kind) is not kind:
                return False
        if not isinstance(steps[0], Key) or not isinstance(steps[-1], Key):
            return False
    return len(set(places)) == len(places) and not any(p in inside for p in places)


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
    access = Access(code, "e", "A", "A")
    gone = [f"{access.value(leaf.spot.steps)} is A" for leaf in written]
    texts = [leaf.write.place.text if leaf.write else "" for leaf in written]
    for back in backs:
        if back.reads:
            values = [access.value(spot.steps) for spot in back.reads]
            gone.append(" or ".join(f"{each} is A" for each in values))
            texts.append(back.place.text)
    code.line(f"return named(({''.join(f'{each}, ' for each in gone)}))")

    @lru_cache(maxsize=_SHAPES)
    def named(gone: tuple[bool, ...]) -> tuple[str, ...]:
        said = zip(texts, gone, strict=True)
        return tuple(dict.fromkeys(text for text, lacks in said if not lacks))

    code.names["named"] = named
    made: Callable[..., tuple[str, ...]] = code.make("owned_by")
    return made
