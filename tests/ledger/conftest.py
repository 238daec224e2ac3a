from __future__ import annotations

import pytest

from ledger.ground import Ground
from servers.places import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a new ledger may lie: on either database."""
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path}/ledger.db")
    return request.getfixturevalue("ledger_server").place()


@pytest.fixture
def ground(tmp_path, place):
    made = Ground(tmp_path, place)
    yield made
    made.close()
