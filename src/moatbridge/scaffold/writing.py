"""Putting the files of a new adapter into a folder; nothing is ever overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def free(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        ConfigurationError: ``scaffold.exists``.
    """
    there = folder.is_symlink() or (folder.exists() and not folder.is_dir())
    if there or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} exists and is not empty; it is left as it is. --into names "
            "another place.",
            code="scaffold.exists",
        )


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files; what has a ``#!`` line may be executed.

    Raises:
        ConfigurationError: ``scaffold.exists`` or ``scaffold.write``.
    """
    try:
        free(folder)
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            if text.startswith("#!"):
                target.chmod(0o755)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written ({type(error).__name__}).",
            code="scaffold.write",
        ) from None
