"""What is carried to the platform: all of a source, a little of it, nothing of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.contents import digest, row, user
from harness.rounds import once
from harness.scenario import Variant, Work

from scenarios.to_platform.places import Sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Place

RECORDS = 200_000
CHANGED = 100
HERE = "scenarios.to_platform."


def touch(path: Path, count: int, most: int = CHANGED) -> None:
    """Change some rows, spread over the whole table."""
    with closing(sqlite3.connect(path)) as db, db:
        for at, number in enumerate(changed(count, most)):
            r = row(number, changed=True)
            values = (r[6], count + at + 1, r[0])
            db.execute(
                "UPDATE personal SET titel=?, geaendert=? WHERE pers_nr=?", values
            )


def changed(count: int, most: int = CHANGED) -> range:
    """Numbers of the people who change; few, or the guard holds them."""
    some = min(most, max(1, count // 50))
    return range(0, count, count // some)[:some]


def expected(count: int, *, touched: bool) -> str:
    """The digest of what the platform must hold."""
    moved = frozenset(changed(count)) if touched else frozenset()
    return digest(user(row(n, n in moved)) for n in range(count))


NAIVE = Variant(
    "naive",
    "naive script: one request a record, library defaults",
    HERE + "naive",
    "",
    share=0.05,
)
BY_HAND = Variant("by-hand", "best script by hand, no ledger", HERE + "by_hand", "")
WITH_LEDGER = Variant(
    "by-hand-ledger", "best script by hand, with a ledger", HERE + "by_hand", ""
)
PEERS = (
    Variant(
        "singer",
        "singer-sdk: tap and target, piped",
        "peers.singer.to_platform",
        "",
        peer="singer",
    ),
    Variant(
        "dlt",
        "dlt: resource and custom destination",
        "peers.dlt.to_platform",
        "",
        peer="dlt",
    ),
    Variant(
        "airbyte",
        "airbyte-cdk: source and destination, piped",
        "peers.airbyte.to_platform",
        "_piped",
        peer="airbyte",
    ),
    Variant(
        "airbyte-one",
        "airbyte-cdk: both in one process, no JSON between",
        "peers.airbyte.to_platform",
        "",
        peer="airbyte",
    ),
)
OURS = Variant(
    "moatbridge", "moatbridge: ledger (FULL) and guard", HERE + "ours", "", ours=True
)


def calling(variant: Variant, function: str, **more: Any) -> Variant:
    """The same variant for another work."""
    name = function + (variant.function if variant.function.startswith("_") else "")
    return replace(variant, function=name, **more)


class FirstLoad(Work):
    """Everything is new."""

    name = "sql-first"
    records = RECORDS
    title = "{count:,} SQLite rows to an empty platform"
    variants = (
        calling(NAIVE, "first"),
        calling(BY_HAND, "first"),
        calling(WITH_LEDGER, "first_with_ledger"),
        *(calling(peer, "first") for peer in PEERS),
        calling(OURS, "first"),
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = self.made()

    def made(self) -> Any:
        """Where the people come from."""
        return Sqlite(self.place)

    def order(self, variant: Variant, folder: Path) -> dict[str, Any]:
        self.place.sink.clear()
        count = max(200, int(self.count * variant.share))
        return {"records": count, "most": count, **self.source.order(count, folder)}

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        stats = self.place.sink.stats()
        assert stats["records"] == order["records"], stats
        assert stats["digest"] == self.wanted(order["records"]), stats
        assert stats["repeats"] == 0, stats
        self.keep(variant, order)

    def wanted(self, count: int) -> str:
        """The digest of what must be there after so many."""
        return expected(count, touched=False)

    def keep(self, variant: Variant, order: dict[str, Any]) -> None:
        """What a later pass starts from: the platform and the variant's own memory."""
        kept = self.place.folder / f"after-first-{variant.name}"
        if variant.function in ("first_with_ledger", "first") and not kept.exists():
            shutil.copytree(order["folder"], kept)
            self.place.sink.save(kept / "platform.json")


class Later(FirstLoad):
    """A pass after the first load. What it starts from is made by `FirstLoad`."""

    touched = True
    unit = "pass"

    def heading(self) -> str:
        return self.title.format(count=self.count, some=len(changed(self.count)))

    def loader(self, variant: Variant) -> Variant:
        """Who makes the state that this variant starts from."""
        by_name = {each.name: each for each in FirstLoad.variants}
        remembers = variant.ours or variant.name == WITH_LEDGER.name
        return by_name[
            variant.name.removesuffix("-resident") if remembers else "by-hand"
        ]

    def kept(self, variant: Variant) -> Path:
        """State after a first load."""
        return self.place.folder / f"after-first-{self.loader(variant).name}"

    def ready(self, variant: Variant) -> None:
        if not self.kept(variant).exists():
            once(self.place, FirstLoad(self.place), self.loader(variant))

    def order(self, variant: Variant, folder: Path) -> dict[str, Any]:
        kept = self.kept(variant)
        if variant.ours or variant.name == WITH_LEDGER.name:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
        order = self.source.order(self.count, folder)
        self.place.sink.load(kept / "platform.json")
        if self.touched:
            touch(folder / "hr.db", self.count)
        divisor = self.count if self.unit == "record" else 1
        return {**order, "records": divisor, "most": self.count, "since": self.count}

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        stats = self.place.sink.stats()
        assert stats["records"] == self.count, stats
        reads = variant.function == "only_read"
        wanted = expected(self.count, touched=self.touched and not reads)
        assert stats["digest"] == wanted, stats
        assert stats["repeats"] == 0, stats


class Delta(Later):
    """The source says what changed: a cursor column."""

    name = "sql-delta"
    title = "{some} changed rows among {count:,}, told by a cursor column"
    variants = (
        calling(NAIVE, "delta", share=1.0),
        calling(BY_HAND, "delta"),
        calling(WITH_LEDGER, "delta_with_ledger"),
        *(calling(peer, "delta") for peer in PEERS),
        calling(OURS, "delta", label="moatbridge, as a command"),
        calling(
            OURS,
            "delta_resident",
            name="moatbridge-resident",
            label="moatbridge, resident",
            resident=True,
        ),
    )

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        super().check(variant, order, found)
        if variant.ours:
            assert self.place.sink.stats()["operations"] == len(changed(self.count))


class Rescan(Later):
    """Nothing tells what changed: everything is read, and nothing is found."""

    name = "sql-rescan"
    title = "a full pass over {count:,} rows, nothing changed"
    note = "Scripts and tools without a memory send everything again."
    unit = "record"
    touched = False
    variants = (
        Variant("only-read", "only reading the source", HERE + "by_hand", "only_read"),
        calling(BY_HAND, "again"),
        calling(WITH_LEDGER, "compare"),
        *(calling(peer, "again") for peer in PEERS),
        calling(OURS, "compare"),
    )

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        super().check(variant, order, found)
        if variant.ours:
            assert self.place.sink.stats()["operations"] == 0


class FewFound(Rescan):
    """Nothing tells what changed: everything is read, and 100 changes are found."""

    name = "sql-few"
    title = "a full pass over {count:,} rows that finds {some} changes"
    touched = True

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        Later.check(self, variant, order, found)
        if variant.ours:
            assert self.place.sink.stats()["operations"] == len(changed(self.count))
