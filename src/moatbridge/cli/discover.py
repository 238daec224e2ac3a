"""``moatbridge discover``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from moatbridge.cli.opening import opened_partly
from moatbridge.cli.options import ConfigOption, JsonOption, again, config_path
from moatbridge.cli.terminal import show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Stream, Suggestions
    from moatbridge.config import PartlyRead
    from moatbridge.run import Bridge

LOOK: Final = frozenset(
    {"ldap.no-base", "ldap.field", "sql.schema-changed", "sftp.folder", "check.stream"}
)
"""Problems of a stream for which `discover` shows what there is instead."""


def discover(
    context: typer.Context,
    system: Annotated[
        str, typer.Argument(metavar="SYSTEM", help=r"Its name: \[systems.NAME].")
    ],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask a system what it holds and print configuration to paste.

    Only reads. Needs the system's address and credentials, and nothing else of the
    file: streams, flows and other systems may be missing or wrong. Suggests streams,
    fields, keys, translators and flows, then says what the file still lacks. What is
    uncertain is printed as a comment.
    """
    from moatbridge.cli.show_lacking import (  # noqa: PLC0415 - --help stays quick
        lacking_json,
        lacking_lines,
    )
    from moatbridge.cli.show_suggestions import (  # noqa: PLC0415 - brings pydantic
        flow_lines,
        suggestion_json,
        suggestion_lines,
    )
    from moatbridge.run.suggesting import flow_ideas  # noqa: PLC0415

    bridge, file = opened_partly(context, config)
    with bridge:
        _usable(file, system)
        found, streams = _asked(bridge, system)
    names: dict[str, frozenset[str] | None] = {
        each.stream: None for each in found.items if each.stream
    }
    names |= {each.name: each.abilities for each in streams}
    ideas = list(flow_ideas(file, system, names))
    if as_json:
        found_json = suggestion_json(system, found, ideas)
        show_json(found_json | {"lacking": lacking_json(file.problems)})
        return
    path, options = config_path(context, config), again(context, config)
    own = [a.partition("/") for a in file.streams]
    written = {name for owner, _, name in own if owner == system}
    show(suggestion_lines(system, found, streams, written))
    show(flow_lines(ideas))
    show(lacking_lines(file.problems, str(path), system, options, file.systems))
    show(["", f"# Next: put what fits into {path}, then: moatbridge check{options}"])


def _usable(file: PartlyRead, system: str) -> None:
    """Refuse a system that is not there, or whose own section is wrong.

    Raises:
        ConfigurationError: What is wrong with it, and with nothing else.
    """
    from moatbridge.config.problems import (  # noqa: PLC0415 - --help stays quick
        dotted,
        nearest_or_all,
        refuse,
    )

    if system in file.config.systems:
        return
    section = dotted("systems", system)
    own = [p for p in file.problems if f"{p.key}.".startswith(f"{section}.")]
    refuse(own, section)
    words = nearest_or_all(system, file.systems)
    raise ConfigurationError(
        f"There is no system {system!r} in the file{words}", code="config.invalid"
    )


def _asked(bridge: Bridge, system: str) -> tuple[Suggestions, Sequence[Stream]]:
    """What the system says; a wrong stream keeps nobody from seeing the right ones."""
    from dataclasses import replace  # noqa: PLC0415

    from moatbridge.run import Bridge  # noqa: PLC0415 - --help stays quick
    from moatbridge.run.looking import asked  # noqa: PLC0415

    try:
        return asked(bridge, system)
    except ConfigurationError as error:
        if error.code not in LOOK:
            raise
        wrong = error.message
    streams = {
        address: entry
        for address, entry in bridge.config.streams.items()
        if address.partition("/")[0] != system
    }
    bare = bridge.config.model_copy(update={"streams": streams, "flows": {}})
    with Bridge(bare, redactor=bridge.redactor) as other:
        found, there = asked(other, system)
    return replace(found, warnings=(*found.warnings, wrong)), there
