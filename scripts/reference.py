"""Write `docs/reference/` from the code, or with ``--check`` tell what is out of date.

The text of the ledger's tables, which a new SQLite ledger is made by, is written too.

What the code does not say itself (the meaning of an error code, of a setting without
a docstring) stands in `meanings.toml` beside this file; a missing meaning is an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from reference_pages import (
    abilities,
    adapters,
    cli,
    converters,
    entities,
    errors,
    formats,
    guard_rules,
    python,
    settings,
)

from moatbridge.ledger import migrations, steps

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
START, END = "<!-- generated: adapters -->", "<!-- end -->"
PAGES = {
    "abilities.md": abilities.page,
    "adapters.md": adapters.page,
    "cli.md": cli.page,
    "converters.md": converters.page,
    "entities.md": entities.page,
    "errors.md": errors.page,
    "formats.md": formats.page,
    "guard-rules.md": guard_rules.page,
    "python.md": python.page,
    "settings.md": settings.page,
}


def generated() -> dict[Path, str]:
    """Every generated file: path -> the text it must have."""
    found = {FOLDER / name: page() for name, page in PAGES.items()}
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    table = "\n".join(abilities.table())
    found[readme] = f"{before}{START}\n{table}\n{END}{after}"
    found[migrations.SCRIPT] = steps.script()
    return found


def stale() -> list[Path]:
    """Files that do not have the text they must have."""
    return [
        path
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write or check; the exit code."""
    if "--check" in sys.argv[1:]:
        found = stale()
        for path in found:
            print(f"out of date: {path.relative_to(ROOT)} (make docs)")
        return 1 if found else 0
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
