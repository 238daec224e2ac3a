"""Sizes and durations as people write them in TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_SIZES: Final = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}
_SIZE: Final = re.compile(r"([0-9]{1,12}) ?(|B|KiB|MiB|GiB)")
_TIMES: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME: Final = re.compile(r"([0-9]{1,9}) ?([smhd])")


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        msg = "must be a number of bytes, or text such as '32 MiB'"
        raise ValueError(msg)
    return int(found[1]) * _SIZES[found[2]]


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _TIME.fullmatch(value)
    if found is None:
        msg = "must be a number of seconds, or text such as '5m' or '30d'"
        raise ValueError(msg)
    return int(found[1]) * _TIMES[found[2]]


def beside_config(path: str, info: ValidationInfo) -> str:
    """A path relative to the folder of the configuration file; URLs stay."""
    if path.startswith(("http://", "https://")):
        return path
    folder = (info.context or {}).get("folder")
    return str(Path(folder, path)) if folder else path


Size: TypeAlias = Annotated[int, BeforeValidator(_size)]
"""Bytes: an integer, or text with KiB, MiB or GiB."""

Duration: TypeAlias = Annotated[float, BeforeValidator(_duration)]
"""Seconds: a number, or text with s, m, h or d."""

PathOrUrl: TypeAlias = Annotated[str, AfterValidator(beside_config)]
"""A path beside the configuration file, or an https URL."""
