"""``moatbridge config show`` and ``moatbridge config schema``."""

from __future__ import annotations

import typer

from moatbridge.cli.options import ConfigOption, JsonOption, config_path
from moatbridge.cli.terminal import show as show_lines
from moatbridge.cli.terminal import show_json


def show(
    context: typer.Context, *, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Print the configuration in force, defaults included; secrets as references."""
    from moatbridge.cli.toml_text import document  # noqa: PLC0415 - --help stays quick
    from moatbridge.config import load  # noqa: PLC0415
    from moatbridge.registry import Registry  # noqa: PLC0415

    found = load(config_path(context, config), Registry())
    table = found.model_dump(mode="json", by_alias=True, exclude={"warnings"})
    if as_json:
        show_json(table)
    else:
        show_lines(document(_as_written(table)))


def schema(*, as_json: JsonOption = False) -> None:
    """Print the JSON Schema of the configuration, for editors (always JSON)."""
    from moatbridge.config import json_schema  # noqa: PLC0415 - --help stays quick
    from moatbridge.registry import Registry  # noqa: PLC0415

    del as_json
    show_json(json_schema(Registry()))


def _as_written(table: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Adapters' settings stand beside the core's, as they do in the file."""
    written: dict[str, object] = dict(table)
    for section in ("systems", "streams"):
        written[section] = {
            name: {**entry, **_table(entry.get("settings")), "settings": None}
            for name, entry in table[section].items()
        }
    return written


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
