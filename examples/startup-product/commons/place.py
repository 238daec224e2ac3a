"""Where the product keeps its data, and what its operator allows: from the environment.

`COMMONS_DATA`: the folder of everything (default ``commons-data``).
`COMMONS_PRACTICE`: a folder. While it is set, companies may connect to systems on this
very machine and to SQLite files in that folder. Never set it on a server.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def data() -> Path:
    """The product's own folder, which only its own account may read."""
    folder = Path(os.environ.get("COMMONS_DATA", "commons-data")).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def practice() -> Path | None:
    """The folder to practise with; None on a server."""
    found = os.environ.get("COMMONS_PRACTICE")
    return Path(found).resolve() if found else None


def of_company(company: str) -> Path:
    """One company's folder: people, connection, secrets and ledger lie there alone."""
    folder = data() / "companies" / company
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def forget_secrets(company: str) -> None:
    """What was typed for one system is nobody's business at the next."""
    for file in (of_company(company) / "secrets").glob("*"):
        file.unlink()


def keep(path: Path, secret: str) -> None:
    """Write a secret to a file that only this account may read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(fresh, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)
    fresh.replace(path)
