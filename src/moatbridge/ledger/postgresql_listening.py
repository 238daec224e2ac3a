"""Hearing from PostgreSQL that somebody gave a flow work (scale 27).

``NOTIFY`` travels with the commit that makes a partition due, and carries the number
of the flow and nothing else. It only saves time: who hears nothing looks at the ledger
twice a second, as before. So a listening connection that breaks off is no error, and
through a pooler, which would hand the listening to somebody else, nobody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger.transactions import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Engine

_DIGITS: Final = 19
"""Of the largest number that a row can have."""

STEP: Final = 0.25
"""Seconds after which it is asked whether to go on."""


def listen(
    engine: Engine, heard: Callable[[int | None], None], ended: Callable[[], bool]
) -> bool:
    """Listen on a connection of its own until ``ended``.

    Args:
        engine: Of the ledger.
        heard: Called with the number of a flow that has work, and with None as
            listening begins: what happened before was not told.
        ended: Asked every `STEP` seconds.

    Returns:
        False: nothing can be heard here (a pooler hands out connections).

    Raises:
        Exception: The driver's, when the connection is lost.
    """
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        connection.detach()  # the pool gets a fresh one instead, never this one
        if _pooled(raw):
            return False
        (name,) = raw.execute(f"SELECT {CHANNEL}").fetchone()
        raw.execute(f"LISTEN {name}")
        heard(None)
        while not ended():
            for said in raw.notifies(timeout=STEP):
                heard(_number(said.payload))
    return True


def _pooled(raw: Any) -> bool:
    """Whether a pooler stands between: it invents the number of the back end.

    The server sends the number as a connection begins (BackendKeyData, PostgreSQL
    protocol 55.2.1); PgBouncer sends one of its own.
    """
    (mine,) = raw.execute("SELECT pg_backend_pid()").fetchone()
    return bool(mine != raw.info.backend_pid)


def _number(payload: str) -> int | None:
    """Anybody who may use the database can notify: what is no number says nothing."""
    number = len(payload) <= _DIGITS and payload.isascii() and payload.isdigit()
    return int(payload) if number else None
