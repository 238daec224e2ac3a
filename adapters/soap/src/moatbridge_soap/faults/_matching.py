"""Which rule a fault or a result meets (soap 60-61). Pure.

Codes lie: one stack files a business "not found" under ``Server``, another writes an
unprefixed ``Sender`` in a SOAP 1.1 fault, a third ``Client.NotFound``, and 1.2 sends
subcodes. So rules on the detail come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge_soap.config.rules import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moatbridge_soap.config.rules import Meaning, Rule
    from moatbridge_soap.decode import Detail, Fault

_SAME: Final = {"Sender": "Client", "Receiver": "Server"}


def meaning_of_fault(rules: Sequence[Rule], fault: Fault) -> Meaning | None:
    """What the first matching rule says of a fault; None if none matches."""
    about_detail = [rule for rule in rules if rule.fault not in {None, "*"}]
    others = [rule for rule in rules if rule.fault in {None, "*"}]
    for rule in (*about_detail, *others):
        if rule.result is None and _matches(rule, fault):
            return rule.then
    return None


def meaning_of_result(
    rules: Sequence[Rule], text: Callable[[str], str | None]
) -> Meaning | None:
    """What the first matching rule says of a successful answer.

    Args:
        rules: Of the operation.
        text: The lexical text at a message path.
    """
    for rule in rules:
        if rule.result is not None and fits(text(rule.result), rule.equals):
            return rule.then
    return None


def has_code(fault: Fault, wanted: Sequence[str]) -> bool:
    """True if one of the fault's codes is one of these, in any spelling."""
    names = {_SAME.get(name, name) for name in wanted}
    return any(not names.isdisjoint(_spellings(code)) for code in fault.codes)


def _spellings(code: str) -> Iterator[str]:
    """``env:Client.Auth.Bad`` is also Client, Client.Auth and Bad."""
    local = code.rpartition("}")[2].rpartition(":")[2].strip()
    parts = local.split(".")
    parts[0] = _SAME.get(parts[0], parts[0])
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])
    yield parts[-1]


def _matches(rule: Rule, fault: Fault) -> bool:
    if rule.code and not has_code(fault, rule.code):
        return False
    if rule.fault in {None, "*"} and rule.path is None:
        return True
    details = [d for d in fault.details if _named(d, rule.fault)]
    if rule.path is None:
        return bool(details)
    path = rule.path.replace("/", ".")
    return any(fits(d.values.get(path), rule.equals) for d in details)


def _named(detail: Detail, wanted: str | None) -> bool:
    if wanted in {None, "*"}:
        return True
    return wanted in {detail.name, detail.name.rpartition("}")[2]}
