"""Rules that say what a fault or a result means to us (soap 60-61)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import field_validator, model_validator

from moatbridge.adapter import AdapterConfig

Meaning: TypeAlias = Literal[
    "absent", "applied", "not_applied", "rejected", "stale", "duplicate", "unknown",
    "config", "cursor", "session", "conflict", "forbidden",
]  # fmt: skip
"""``conflict`` and ``forbidden`` are rejections that say why: it was decided already;
this person may not."""

Plain: TypeAlias = str | int | bool


class Rule(AdapterConfig):
    """One rule; the first that matches decides.

    Args:
        fault: Local name or ``{ns}Name`` of a child of the fault's detail; ``*`` for
            any fault.
        code: Fault codes: last local name, or its dotted beginning, in any prefix;
            SOAP 1.1 and 1.2 names are the same.
        path: Path inside that child of the detail.
        result: Path in a successful answer instead of a fault.
        equals: What the value must be; None: it need only be there.
        then: What it means.
    """

    fault: str | None = None
    code: tuple[str, ...] = ()
    path: str | None = None
    result: str | None = None
    equals: Plain | tuple[Plain, ...] | None = None
    then: Meaning

    @field_validator("code", mode="before")
    @classmethod
    def _one_code(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _of_fault_or_result(self) -> Rule:
        of_fault = self.fault is not None or bool(self.code)
        if of_fault == (self.result is not None):
            msg = "a rule is about a fault (fault, code) or about a result"
            raise ValueError(msg)
        return self


class Test(AdapterConfig):
    """A value to compare: ``ok`` of an operation, ``done`` of paging, ``deleted``.

    Args:
        path: Where: a message path, or a field path for items.
        equals: What it must be, one of several; None: it need only be there.
    """

    __test__ = False  # not a test case

    path: str
    equals: Plain | tuple[Plain, ...] | None = None


def lexical(value: Plain) -> str:
    """A TOML value as XML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fits(text: str | None, equals: Plain | tuple[Plain, ...] | None) -> bool:
    """True if the text of an answer is what a rule asks for."""
    if text is None:
        return False
    if equals is None:
        return True
    wanted = equals if isinstance(equals, tuple) else (equals,)
    return text.strip() in {lexical(one) for one in wanted}
