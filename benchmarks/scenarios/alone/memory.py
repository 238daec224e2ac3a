"""What a first load holds: the same one twice, once with ten times the records."""

from __future__ import annotations

from dataclasses import replace

from scenarios.to_platform.works import OURS, FirstLoad, calling


class Flat(FirstLoad):
    """Peak memory must not grow with the number of records."""

    name = "alone-memory"
    title = (
        "{count:,} SQLite rows to an empty platform, and a tenth of them: peak memory"
    )
    records = 2_000_000
    variants = (
        replace(calling(OURS, "first"), name="tenth", label="moatbridge, a tenth: ledger (FULL) and guard", share=0.1),
        replace(calling(OURS, "first"), label="moatbridge, all: ledger (FULL) and guard"),
    )  # fmt: skip

    def keep(self, *_done: object) -> None:
        """Nothing comes after it."""


WORKS = (Flat,)
