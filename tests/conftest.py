"""``LEDGER=postgresql pytest tests/flow`` runs tests of flows on the other database."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def ledger_server():
    """One PostgreSQL server for all ledgers of the session, started when asked for."""
    from servers.ledgers import LedgerServer

    with LedgerServer() as server:
        yield server


@pytest.fixture(scope="session", autouse=os.environ.get("LEDGER") == "postgresql")
def _everywhere(ledger_server):
    from servers.places import EVERYWHERE

    EVERYWHERE.append(ledger_server)
    yield
    EVERYWHERE.clear()
