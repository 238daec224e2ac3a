"""What tests of a ledger on PostgreSQL have in common."""

from __future__ import annotations

from moatbridge.ledger import Ledger
from servers.ledgers import DATABASE


def opened(place):
    return Ledger(place.url, password=place.password)


def number(ledger):
    with ledger.read() as tx:
        return tx.value("SELECT value FROM meta WHERE name='next_link'")


def set_number(tx, value):
    tx.run("UPDATE meta SET value=? WHERE name='next_link'", str(value))


def role_of(place):
    return place.url.partition("://")[2].partition("@")[0]


def backends(server, place, action="pg_terminate_backend(pid)"):
    with server.connect(DATABASE) as owner:
        return owner.execute(
            f"SELECT {action} FROM pg_stat_activity WHERE usename=%s", [role_of(place)]
        ).fetchall()
