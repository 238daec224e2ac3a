"""Servers for the soap adapter's tests."""

from __future__ import annotations

import pytest

from servers.soap_desk import desk_server
from servers.soap_node import hr_server
from servers.soap_php import erp_server, running

__all__ = ["desk_server", "erp_server", "hr_server"]


@pytest.fixture(scope="session")
def own_erp():
    """An ERP that starts empty: the conformance suite owns all of it."""
    with running(orders=()) as server:
        yield server
