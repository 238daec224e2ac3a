"""``moatbridge adapters``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from moatbridge.cli import exit_codes
from moatbridge.cli.options import JsonOption
from moatbridge.cli.terminal import clean, show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.registry import Registry


def adapters(*, as_json: JsonOption = False) -> None:
    """List the installed adapters: name, distribution, version, what each can do.

    Exits with 1 if one cannot be used: two distributions claim a name, or a package
    is missing.
    """
    from moatbridge.registry import Registry  # noqa: PLC0415 - --help stays quick

    found = list(_described(Registry()))
    if as_json:
        show_json(found)
    else:
        show(_lines(found))
    if any(each["problem"] for each in found):
        raise typer.Exit(exit_codes.FOUND)


def _described(registry: Registry) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        facts: dict[str, Any] = {"name": name, "problem": None, "abilities": []}
        try:
            about = registry.describe(name)
            facts |= {
                "distribution": about.distribution,
                "version": about.version,
                "class": about.target,
            }
            facts["abilities"] = sorted(registry.get(name).abilities)
        except ConfigurationError as error:
            facts["problem"] = {"code": error.code, "message": error.message}
        yield facts


def _lines(found: list[dict[str, Any]]) -> Iterator[str]:
    if not found:
        yield "No adapter is installed; try `pip install 'moatbridge[ldap,scim]'`."
    for each in found:
        origin = f"{each.get('distribution') or '?'} {each.get('version') or ''}"
        yield f"{each['name']:12} {clean(origin.strip())}"
        if each["problem"]:
            problem = each["problem"]
            yield f"    PROBLEM {problem['code']}: {clean(problem['message'], 1000)}"
        else:
            can = (name.removeprefix("Can").lower() for name in each["abilities"])
            yield f"    can {', '.join(can) or 'nothing'}"
