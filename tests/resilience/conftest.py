from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moatbridge.resilience.deadline import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    dog = Watchdog()
    yield dog
    dog.close()
