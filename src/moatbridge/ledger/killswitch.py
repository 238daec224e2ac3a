"""Rows of the kill switch (guard 44): read in every sending transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.ledger.audit import record

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction


def rows(tx: Transaction) -> list[tuple[str, str, str]]:
    """Active switches: (scope, reason, actor); scope is all, system:X or flow:X."""
    return [
        (scope, reason, actor)
        for scope, reason, actor in tx.all("SELECT scope, reason, actor FROM kill")
    ]


def switch_on(tx: Transaction, scope: str, reason: str, actor: str) -> None:
    """Stop sending within the scope."""
    tx.run(
        "INSERT INTO kill(scope, reason, actor, at) VALUES(?,?,?,?) "
        "ON CONFLICT(scope) DO UPDATE SET reason=excluded.reason, actor=excluded.actor",
        scope,
        reason,
        actor,
        tx.now(),
    )
    record(tx, "kill-on", scope=scope, reason=reason, actor=actor)


def switch_off(tx: Transaction, scope: str, reason: str, actor: str) -> None:
    """Allow sending again."""
    tx.run("DELETE FROM kill WHERE scope=?", scope)
    record(tx, "kill-off", scope=scope, reason=reason, actor=actor)
