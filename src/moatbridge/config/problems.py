"""What is wrong with a configuration, in sentences that never hold a value.

`pydantic` keeps the input in its errors; here only locations, kinds and limits are
taken from them, and the original is never chained (security 6).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CODES: Final = {
    "extra_forbidden": "config.unknown",
    "missing": "config.missing",
    "secret_reference": "secret.literal",
    "secret_outside": "secret.outside",
}
_OURS_OR_THEIRS: Final = {"value_error", "assertion_error"}
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHORTEST: Final = 4
_CLOSE: Final = 0.75
"""How alike two names are at least, of 1, where one may be meant for the other."""

_MOST: Final = 12
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person must put right.

    Args:
        key: Dotted key, as it would be written in TOML.
        words: What is wrong and what to do; no value.
        code: Stable code.
        missing: The stream that is named there and does not exist, if that is it.
    """

    key: str
    words: str
    code: str = "config.invalid"
    missing: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.words}" if self.key else self.words


def dotted(*parts: object) -> str:
    """A key as TOML writes it: ``streams."hr/people".table``."""
    return ".".join(
        text if _BARE_KEY.fullmatch(text) else f'"{text}"' for text in map(str, parts)
    )


def nearest(word: str, words: Iterable[str]) -> str:
    """``; did you mean `timeout`?`` or nothing."""
    near = difflib.get_close_matches(word, sorted(words), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def nearest_or_all(word: str, words: Iterable[str]) -> str:
    """What there is in the place of a name that is not there.

    Args:
        word: The name.
        words: Those that there are. Of addresses (``hr/people``) both parts must be
            near: a stream of the same name in another system is no misspelling.

    Returns:
        ``; did you mean `hr/people`?`` if one is really near, else
        ``; there are: ...``.
    """
    known = sorted(words)
    near = [each for each in known if _near(word, each)]
    if near:
        best = difflib.get_close_matches(word, near, n=1, cutoff=0.0)[0]
        return f"; did you mean `{best}`?"
    shown = [f"`{each}`" for each in known[:_MOST]]
    more = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    return f"; there are: {', '.join(shown)}{more}" if shown else "; there are none"


def _near(word: str, other: str) -> bool:
    parts = list(zip(word.split("/"), other.split("/"), strict=False))
    same_shape = word.count("/") == other.count("/")
    return same_shape and all(
        difflib.SequenceMatcher(None, a.casefold(), b.casefold()).ratio() >= _CLOSE
        for a, b in parts
    )


def from_pydantic(
    error: ValidationError,
    *prefix: str,
    model: type[BaseModel],
    names: Iterable[str] = (),
) -> list[Problem]:
    """Rebuild a validation error without its inputs.

    Args:
        error: What `pydantic` raised.
        prefix: Where the model stands in the configuration.
        model: The model that was validated, for suggestions.
        names: Further names that are known at the model's top level.
    """
    return [
        _problem(found, prefix, model, names)
        for found in error.errors(include_url=False, include_context=False)
    ]


def refuse(problems: Sequence[Problem], where: str) -> None:
    """Raise all problems as one error, if there are any.

    Raises:
        ConfigurationError: With the problems' common code, or ``config.invalid``.
    """
    if not problems:
        return
    codes = {problem.code for problem in problems}
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigurationError(
        f"{count} in {where}:{lines}",
        code=codes.pop() if len(codes) == 1 else "config.invalid",
        problems=tuple((problem.key, problem.code) for problem in problems),
    )


def _problem(
    found: Mapping[str, Any],
    prefix: Sequence[str],
    model: type[BaseModel],
    names: Iterable[str],
) -> Problem:
    kind, location = str(found["type"]), tuple(found["loc"])
    key = dotted(*prefix, *location)
    code = _CODES.get(kind, "config.invalid")
    if kind == "extra_forbidden":
        known = set(_names_at(model, location[:-1]))
        known |= set(names) if len(location) == 1 else set()
        return Problem(key, "unknown setting" + nearest(str(location[-1]), known), code)
    if kind == "missing":
        return Problem(key, "is required", code)
    words = str(found["msg"]).removeprefix("Value error, ")
    words = words.removeprefix("Assertion failed, ")
    if kind in _OURS_OR_THEIRS:
        words = _without(words, found.get("input"))
    return Problem(key, words[:1].lower() + words[1:], code)


def _without(words: str, value: Any) -> str:
    """Take an input out of a validator's own words, should it have repeated it."""
    for leaf in sorted(set(_leaves(value)), key=len, reverse=True):
        words = words.replace(leaf, "...")
    return words


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, (str, int, float)) and len(str(value)) >= _SHORTEST:
        yield str(value)


def _names_at(model: type[BaseModel], location: Sequence[object]) -> list[str]:
    """Settings of the model that a location leads to, as written in TOML."""
    found: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        annotations = [
            field.annotation
            for candidate in found
            for name, field in candidate.model_fields.items()
            if part in {name, field.alias}
        ]
        inner = [nested for one in annotations for nested in _models_in(one)]
        found = inner or found  # a tag of a union, or a key of a table of tables
    return [
        field.alias or name
        for candidate in found
        for name, field in candidate.model_fields.items()
    ]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
