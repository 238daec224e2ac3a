"""``{page.cursor}`` and friends: names only, no expressions, no code (soap 48)."""

from __future__ import annotations

import re
from typing import Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge_soap.request._lexical import WrongValue, plain_text

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda _: "MISSING"})()
"""What a placeholder without a value stands for."""

PLAIN: Final = frozenset(
    {
        "page.size", "page.number", "page.offset", "page.cursor", "window.from",
        "window.to", "since", "until", "split", "record", "version", "key", "today",
    }
)  # fmt: skip
FAMILIES: Final = frozenset({"page.last", "ref", "refs", "record", "query", "login"})

_FOUND: Final = re.compile(r"\{([^{}]*)\}")


class Text:
    """A text with placeholders.

    Args:
        template: As written in the configuration.
        where: Place in the configuration, for messages.
    """

    def __init__(self, template: str, where: str) -> None:
        self.template = template
        self.names: list[str] = _FOUND.findall(template)
        for name in self.names:
            _check(name, where)
        self.whole: str | None = None
        if len(self.names) == 1 and template == f"{{{self.names[0]}}}":
            self.whole = self.names[0]

    def value(self, values: Any) -> Any:
        """The value: typed if the placeholder is the whole text, else text.

        Returns `MISSING` if any placeholder has no value.
        """
        if self.whole is not None:
            return lookup(values, self.whole)
        parts = {name: lookup(values, name) for name in self.names}
        if any(part is MISSING or part is None for part in parts.values()):
            return MISSING
        return _FOUND.sub(lambda found: plain_text(parts[found[1]]), self.template)


def lookup(values: Any, name: str) -> Any:
    """The value of a placeholder among values by name, or `MISSING`.

    ``record.FIELD`` is looked up inside ``record``.
    """
    if name in values:
        return values[name]
    if name.startswith("record."):
        return inside(values.get("record", MISSING), name.removeprefix("record."))
    return MISSING


def inside(record: Any, path: str) -> Any:
    """The value at a dotted path of a record, or `MISSING`."""
    found = record
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def _check(name: str, where: str) -> None:
    if name in PLAIN:
        return
    if any(name.startswith(f"{f}.") and len(name) > len(f) + 1 for f in FAMILIES):
        return
    raise ConfigurationError(
        f"{where}: {{{name}}} is no placeholder; there are "
        f"{', '.join([*sorted(PLAIN), *(f'{f}.NAME' for f in sorted(FAMILIES))])}.",
        code="soap.placeholder",
    )


__all__ = ["MISSING", "Text", "WrongValue", "inside", "lookup"]
