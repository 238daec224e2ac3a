"""Functions of a leaf that never let a value reach an error (entities 5, table).

A converter's own words are shown only if it raised `moatbridge.entities.Fault`; any
other exception is reported by its type, or not even that for a plain `ValueError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from moatbridge.entities import Fault
from moatbridge.errors import TranslationError
from moatbridge.translate.computing import Undeclared
from moatbridge.translate.leaves import ABSENT, BROKEN, Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.entities import Converter

_TOLD: Final = frozenset({"line-break", "too-large"})
"""First words of a `Fault` that have a code of their own: people read the code."""

OnError: TypeAlias = Literal["reject", "null", "skip"]


def guarded_decode(leaf: Leaf, on_error: OnError) -> Callable[..., Any]:
    """``leaf.decode`` that also takes ABSENT and raises only `TranslationError`."""
    decode, lenient = leaf.decode, leaf.lenient
    run = guarded(decode, leaf.spot.text, leaf.converters)
    is_list = leaf.spot.shape.kind == "list"

    def failed(error: TranslationError) -> Any:
        if on_error == "reject":
            raise error
        if on_error == "skip":
            return ABSENT
        return [] if is_list else None

    def one(value: Any) -> Any:
        if value is ABSENT:
            return ABSENT
        try:
            return run(value)
        except TranslationError as error:
            return failed(error)

    def several(*values: Any) -> Any:
        if not lenient and any(value is ABSENT for value in values):
            return ABSENT
        try:
            return run(*values)
        except TranslationError as error:
            return failed(error)

    return one if len(leaf.reads) == 1 and not lenient else several


def guarded(
    function: Callable[..., Any], path: str, converters: Sequence[Converter] = ()
) -> Callable[..., Any]:
    """The function, raising only `TranslationError`.

    On the way back a failure always rejects the record: clearing or leaving out a field
    of the target because of a converter would be an accident.
    """

    def run(*values: Any) -> Any:
        # The error is raised outside the handlers: its context would hold the value.
        try:
            if BROKEN not in values:
                return function(*values)
            words, code = "its parent is not an object", "value"
        except TranslationError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - in any way at all
            words, code = _words(error)
        raise _error(path, words, converters, code)

    return run


def _words(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Undeclared):
        return f"the function asked for {error}; add it to reads", "reads"
    if isinstance(error, Fault):
        words = str(error)
        first = words.partition(":")[0]
        return words, first if first in _TOLD else "value"
    if isinstance(error, ValueError):
        return "refused by the converter or function", "value"
    return f"a bug in the converter or function ({type(error).__name__})", "bug"


def _error(
    path: str, words: str, converters: Sequence[Converter], code: str
) -> TranslationError:
    names = ", ".join(each.name for each in converters)
    through = f" (through {names})" if names else ""
    return TranslationError(
        f"{path}: {words}{through}", path=path, code=f"translate.{code}"
    )
