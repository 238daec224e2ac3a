"""Real OpenPGP keys and messages, made by the ``gpg`` program (Debian's ``gnupg``)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSPHRASE = "correct horse"


class KeyRing:
    """A home of its own with keys ``supplier``, ``stranger`` and ``ours``."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="moat-gpg-"))
        # The agent would measure how often it can hash a passphrase in 0.1 s, and do
        # so for each subkey of each key: ten seconds of pure work.
        (self.home / "gpg-agent.conf").write_text("s2k-count 65536\n")
        for name in ("supplier", "stranger", "ours"):
            self._make(name, PASSPHRASE if name == "ours" else "")

    def _make(self, name: str, passphrase: str) -> None:
        self.gpg(
            "--passphrase", passphrase, "--quick-generate-key",
            f"{name}@example.org", "future-default", "default", "never",
        )  # fmt: skip

    def gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        """Run gpg; returns its output."""
        return subprocess.run(
            [
                "gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet",
                "--pinentry-mode", "loopback", "--trust-model", "always", *arguments,
            ],
            input=data, capture_output=True, check=True,
            timeout=120,
        ).stdout  # fmt: skip

    def fingerprint(self, name: str) -> str:
        """40 hex digits."""
        listed = self.gpg("--with-colons", "--list-keys", f"{name}@example.org")
        line = next(x for x in listed.decode().splitlines() if x.startswith("fpr:"))
        return line.split(":")[9]

    def public(self, name: str) -> str:
        """Armored public key."""
        return self.gpg("--armor", "--export", f"{name}@example.org").decode()

    def private(self, name: str) -> str:
        """Armored private key."""
        return self.gpg(
            "--armor", "--passphrase", PASSPHRASE, "--export-secret-keys",
            f"{name}@example.org",
        ).decode()  # fmt: skip

    def message(
        self, data: bytes, *, to: str = "ours", by: str = "", **more: bool
    ) -> bytes:
        """An encrypted (and signed) message; ``armor`` and ``compress`` are switches."""
        arguments = ["--encrypt", "--recipient", f"{to}@example.org"]
        if by:
            arguments += ["--sign", "--local-user", f"{by}@example.org"]
        if more.get("armor"):
            arguments.append("--armor")
        if not more.get("compress"):
            arguments += ["--compress-algo", "none"]
        return self.gpg(*arguments, data=data)

    def signed(self, data: bytes, by: str) -> bytes:
        """A signed message that is not encrypted."""
        return self.gpg("--sign", "--local-user", f"{by}@example.org", data=data)

    def close(self) -> None:
        """End the agent of this home, and remove it."""
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"],
            check=False, capture_output=True, timeout=120,
        )  # fmt: skip
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="session")
def key_ring() -> Iterator[KeyRing]:
    """Keys made once for the whole run."""
    made = KeyRing()
    try:
        yield made
    finally:
        made.close()
