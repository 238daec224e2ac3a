"""Peers from the package index, each in an environment of its own.

``peers/NAME/requirements.txt`` pins it; the environment is made once, in a folder that
git ignores, and again when that file changes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = ROOT.parent / "scripts" / "uv"
VENVS = ROOT / ".venvs"


def python(peer: str) -> str:
    """The interpreter of a peer's environment, which is made if need be."""
    wanted = ROOT / "peers" / peer / "requirements.txt"
    mark = hashlib.sha256(wanted.read_bytes()).hexdigest()
    folder = VENVS / peer
    interpreter, made = folder / "bin" / "python", folder / "made-for"
    if not made.exists() or made.read_text() != mark:
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(interpreter), "-r", str(wanted))
        made.write_text(mark)
    return str(interpreter)


def installed() -> dict[str, str]:
    """The environment of a program that was started before, as users' are.

    Its modules are compiled once and kept. Where an environment keeps none, every start
    compiles whole libraries, in time and memory that a program started before does not need.
    """
    kept = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(ROOT / ".results" / "compiled")}


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [str(UV), *arguments, "--quiet"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
