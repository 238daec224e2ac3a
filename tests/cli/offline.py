"""A memory adapter whose faults are files beside its data, so that tests in other processes can set them."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from moatbridge.adapter import Probe, Secret, Stream
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing.memory import MemoryAdapter, MemoryConfig

log = logging.getLogger("some.driver")


class OfflineConfig(MemoryConfig):
    password: Secret | None = None


class OfflineMemory(MemoryAdapter):
    """``PATH.down``, ``.denied``, ``.bug``: opening fails so. ``.chatty``, ``.leaks``: a log line, an error hold the password. ``.loses``: answers are lost. ``.slow``, ``.breaks``: scans wait, or fail. ``.busy``: writes are put off for ten minutes."""

    name: ClassVar[str] = "offline"
    Config = OfflineConfig

    def streams(self) -> list[Stream]:
        """Nothing that was read is put away, so that two flows may read it."""
        return [
            replace(s, abilities=s.abilities - {"CanSettle"}) for s in super().streams()
        ]

    def _fault(self, name: str) -> bool:
        return Path(f"{self.config.path}.{name}").exists()

    def open(self) -> None:
        if self.config.password is not None:
            self._log_in(self.config.password.get_secret_value())
        if self._fault("down"):
            raise NotApplied("The server does not answer.", code="offline.down")
        if self._fault("denied"):
            raise ConfigurationError(
                "The server refuses this account.", code="offline.auth"
            )
        if self._fault("bug"):
            raise ZeroDivisionError("value of Ada Lovelace")
        super().open()
        if self._fault("loses"):
            self.system.lose_answers = 1_000_000
        if self._fault("refuses"):
            self.system.refuse = lambda record: (
                "data" if record.get("uid") == "u0009" else None
            )

    def _log_in(self, password: str) -> None:
        if self._fault("chatty"):
            log.warning("bind as reader with %s", password, extra={"sent": password})
        if self._fault("leaks"):
            raise ZeroDivisionError(f"bind with {password}")

    def probe(self) -> Probe:
        found = super().probe()
        warnings = ("This account may do anything.",) if self._fault("warns") else ()
        return Probe(found.server, found.product, "cn=reader", warnings=warnings)

    def write(self, stream, intents):
        if self._fault("busy"):
            raise NotApplied("Too much to do.", code="offline.busy", retry_after=600)
        return super().write(stream, intents)

    def scan(self, stream, partition, after):
        if self._fault("breaks"):
            raise NotApplied("The server went away.", code="offline.broke")
        while self._fault("slow"):
            time.sleep(0.02)
        yield from super().scan(stream, partition, after)
