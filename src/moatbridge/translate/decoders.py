"""Generates record -> entity.

The quick version checks all plain texts together and calls converters bare; whenever it
meets anything unusual (an exception, text that is not printable or not composed) it
gives up, and the careful one does the record again, field by field, and says which
field is to blame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.translate import runtime
from moatbridge.translate.guarded import OnError, guarded_decode
from moatbridge.translate.source_code import (
    Access,
    Code,
    literal,
    literal_entity,
    namespace,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.leaves import Leaf
    from moatbridge.translate.steps import Place


def projection(places: Sequence[Place]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Compile ``project``: the values of these fields, lists without order sorted."""
    code = Code("def project(r):", {"settled": runtime.settled})
    code.line("g = r.get")
    values = []
    for place in places:
        got = f"g({literal(place.top)})"
        unordered = place.field is None or (
            place.field.multi and not place.field.ordered
        )
        values.append(f"settled({got})" if unordered else got)
    code.line("return (" + "".join(f"{each}, " for each in values) + ")")
    made: Callable[[dict[str, Any]], tuple[Any, ...]] = code.make("project")
    return made


def careful_decode(leaves: Sequence[Leaf], on_error: OnError) -> Callable[..., Any]:
    """``(record, incomplete=(), missing=None) -> entity``, field by field."""
    code = Code("def careful(r, incomplete=(), m=None):", namespace(strict=False))
    code.line("if incomplete: r = {**r, **dict.fromkeys(incomplete, A)}")
    code.line("e = {}")
    access = Access(code, "r", "m", "None")
    for leaf in leaves:
        arguments = ", ".join([access.value(place.steps) for place in leaf.reads])
        code.line(f"x = {code.bind(guarded_decode(leaf, on_error))}({arguments})")
        code.line(f"if x is not A: {store(leaf.spot.steps, 'e')} = x")
    code.line("return e")
    made: Callable[..., Any] = code.make("careful")
    return made


def quick_decode(
    leaves: Sequence[Leaf], careful: Callable[..., Any], limit: int
) -> Callable[..., Any]:
    """``(record, incomplete=()) -> entity``, all at once; else ``careful``."""
    code = Code("def decode(r, incomplete=()):", namespace(strict=True))
    code.names["careful"] = careful
    code.line("if incomplete: return careful(r, incomplete)")
    code.line("try:")
    code.depth = 2
    access = Access(code, "r", "None", "None")
    values = [_quick_value(leaf, access, code) for leaf in leaves]
    conditions = [*_text_conditions(leaves, values, limit, code)]
    conditions += [
        f"({value} is None or {value}.__class__ is bool)"
        for leaf, value in zip(leaves, values, strict=True)
        if leaf.copies and leaf.spot.shape.kind == "bool"
    ]
    steps = [leaf.spot.steps for leaf in leaves]
    built = literal_entity(list(zip(steps, values, strict=True)))
    code.line(f"if {' and '.join(conditions) or 'True'}: return {built}")
    code.depth = 1
    code.line("except (Exception, SystemExit): pass")
    code.line("return careful(r)")
    made: Callable[..., Any] = code.make("decode")
    return made


def _text_conditions(
    leaves: Sequence[Leaf], values: Sequence[str], limit: int, code: Code
) -> tuple[str, ...]:
    texts = [
        value
        for leaf, value in zip(leaves, values, strict=True)
        if leaf.copies and leaf.spot.shape.kind == "text"
    ]
    if not texts:
        return ()
    code.line(f"t = ({''.join(each + ', ' for each in texts)})")
    code.line("t = join([x for x in t if x is not None] if None in t else t)")
    return (
        "t.isprintable()",
        f"len(t) <= {limit:d}",
        "(t.isascii() or is_normalized('NFC', t))",
    )


def _quick_value(leaf: Leaf, access: Access, code: Code) -> str:
    arguments = [access.value(place.steps) for place in leaf.reads]
    if leaf.copies and not leaf.pick:
        return arguments[0]
    variable = code.fresh("x")
    if leaf.copies:
        value = arguments[0]
        one = f"{value}[0] if {value}.__class__ is list and len({value}) == 1"
        code.line(f"{variable} = {one} else pick({value}, {literal(leaf.pick)})")
        return variable
    if leaf.simple is not None:
        function, value = code.bind(leaf.simple), arguments[0]
        code.line(f"{variable} = {function}({value}) if {value} is not None else None")
    else:
        code.line(f"{variable} = {code.bind(leaf.decode)}({', '.join(arguments)})")
    return variable
