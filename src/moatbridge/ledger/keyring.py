"""Which keys a ledger was ever encrypted with: the wrong one is refused at the start.

Names of keys only; see `vault`. A key whose values are all gone may be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.store import Store
    from moatbridge.ledger.vault import Vault

_ROW: Final = "keys"


def check(store: Store, vault: Vault | None) -> None:
    """Compare the keys that are given with those that were used, and note a new one.

    Raises:
        ConfigurationError: ``ledger.key``: none was given, or only others.
    """
    with store.transaction("read") as tx:
        text = tx.value("SELECT value FROM meta WHERE name=?", _ROW)
    used = (text or "").split()
    if vault is None:
        if used:
            raise _wrong("no key is given", used)
        return
    if used and not set(used).intersection(vault.names):
        raise _wrong(f"the given key is {vault.names[0]}", used)
    vault.knows(used)
    if vault.names[0] in used:
        return
    with store.transaction("write") as tx:
        tx.run(
            "INSERT INTO meta(name, value) VALUES(?,?) ON CONFLICT(name) DO UPDATE "
            "SET value=excluded.value",
            _ROW,
            " ".join([*used, vault.names[0]]),
        )


def _wrong(given: str, used: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"The ledger's content is encrypted with the key {used[-1]}, and {given}. Put "
        "that key into ledger.key_file (behind the new one, to replace it); nothing "
        "was changed.",
        code="ledger.key",
    )
