from __future__ import annotations

import pytest

from ledger.ground import Ground


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    yield made
    made.close()
