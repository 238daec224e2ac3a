"""`cli.md`: every command, as its own ``--help`` says, and the exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.main import get_command

from moatbridge.cli.app import build
from moatbridge.cli.exit_codes import EXIT_CODES
from reference_pages.text import document, markdown, table

if TYPE_CHECKING:
    from collections.abc import Iterator


def page() -> str:
    """The whole page."""
    parts: list[str] = []
    for name, command in _commands("moatbridge", get_command(build())):
        parts += _command(name, command)
    parts += ["## Exit codes", ""]
    parts += table(("code", "meaning"), [(f"`{n}`", t) for n, t in EXIT_CODES.items()])
    return document("Command line", *parts)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {inner}", below)


def _command(name: str, command: Any) -> list[str]:
    taken = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([name, "[OPTIONS]", *(_metavar(each) for each in taken)])
    lines = [f"## `{usage}`", ""]
    lines += [f"{markdown(part)}\n" for part in (command.help or "").split("\n\n")]
    rows = [(_spelling(each), _help(each)) for each in command.params]
    return [*lines, *table(("option", "meaning"), rows), ""] if rows else lines


def _help(parameter: Any) -> str:
    return markdown((parameter.help or "").replace("\\[", "["))  # escaped for `rich`


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    takes = "" if parameter.is_flag else f" {_value(parameter)}"
    return f"`{names}{takes}`"


def _value(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.rpartition("_")[2].upper())
