"""Where a configuration holds secrets, and whether their files are kept closed."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from moatbridge.adapter import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOUNTED: Final = Path("/run/secrets")  # permissions there are the container's


def secrets_in(value: Any) -> Iterator[Secret]:
    """Every secret inside models, tables and lists; none is resolved."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, dict):
        for part in value.values():
            yield from secrets_in(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from secrets_in(part)


def loose_files(config: Any) -> list[str]:
    """A sentence for each secret file that others than its owner may read."""
    names = {
        secret.reference.removeprefix("file:")
        for secret in secrets_in(config)
        if secret.reference.startswith("file:")
    }
    return [
        f"The secret file {name} is open to its group or to everybody; run "
        f"`chmod 600 {name}`."
        for name in sorted(names)
        if _loose(Path(name))
    ]


def _loose(path: Path) -> bool:
    if path.is_relative_to(_MOUNTED):
        return False
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False  # a missing secret is reported when it is needed
