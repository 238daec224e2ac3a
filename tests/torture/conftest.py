"""The long proofs: `make torture`. A plain `pytest` does not collect this folder."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path, config):
    """Collect only what was named: this folder, or something in it."""
    named = [Path(str(arg).split("::")[0]).resolve() for arg in config.args]
    if any(path.is_relative_to(HERE) for path in named):
        return None
    return True
