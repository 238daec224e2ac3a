"""Converters one after the other, record side first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.translate.typed import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import FieldType
    from moatbridge.entities import Converter


def decoding(
    chain: Sequence[Converter], check: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Record value -> checked entity value; None stays None unless it is wanted."""

    def run(value: Any) -> Any:
        for converter in chain:
            if value is not None or converter.null_aware:
                value = converter.decode(value)
        return None if value is None else check(value)

    return run


def encoding(
    chain: Sequence[Converter], field: FieldType | None
) -> Callable[[Any, Any], Any]:
    """``(entity value, current record value) -> record value``.

    A converter in the middle of the chain that needs the current value gets it as the
    converters before it decode it. Null cannot clear one part of a packed field: unless
    its converter knows what null means, the current value stays.
    """
    packed = any(each.needs_before and not each.null_aware for each in chain)

    def run(value: Any, before: Any) -> Any:
        if value is None and packed:
            return before
        for index in range(len(chain) - 1, -1, -1):
            converter = chain[index]
            if converter.encode is None or (value is None and not converter.null_aware):
                continue
            if converter.needs_before:
                current = before
                for earlier in chain[:index]:
                    current = None if current is None else earlier.decode(current)
                value = converter.encode(value, current)
            else:
                value = converter.encode(value)
        return finish(field, value)

    return run


def mapped(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function over each value of a list; what it makes null is left out."""

    def run(values: Any) -> list[Any]:
        found = map(function, values or ())
        return [each for each in found if each is not None]

    return run
