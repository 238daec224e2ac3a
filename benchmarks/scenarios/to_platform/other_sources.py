"""First loads from PostgreSQL, a directory, an SSH server and a SOAP service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.contents import digest, row, user
from harness.scenario import Variant

from scenarios.to_platform.places import Directory, Drop, PostgreSql, Soap
from scenarios.to_platform.works import (
    BY_HAND,
    HERE,
    NAIVE,
    OURS,
    WITH_LEDGER,
    FirstLoad,
    calling,
)


class OtherSource(FirstLoad):
    """The same from another source. Peers have their own readers; scripts take part."""

    variants = (
        Variant(
            "only-read",
            "only reading the source, best by hand",
            HERE + "by_hand",
            "only_read",
        ),
        calling(NAIVE, "first"),
        calling(BY_HAND, "first"),
        calling(WITH_LEDGER, "first_with_ledger"),
        calling(OURS, "first"),
    )

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        seen = self.seen(found["said"])
        if seen is None:
            super().check(variant, order, found)
        else:
            assert seen == order["records"], found["said"]

    def seen(self, said: dict[str, Any]) -> int | None:
        """How many a variant has read that only reads."""
        return said.get("seen")

    def keep(self, variant: Variant, order: dict[str, Any]) -> None:
        """Nothing comes after it."""


class FromPostgreSql(OtherSource):
    """A big table."""

    name = "postgres-first"
    title = "{count:,} PostgreSQL rows to an empty platform"
    records = 1_000_000

    def made(self) -> Any:
        return PostgreSql(self.place)


class FromDirectory(OtherSource):
    """All entries below one base. A directory tells them in an order of its own."""

    def seen(self, said: dict[str, Any]) -> int | None:
        if "ldif" in said:
            return Path(said["ldif"]).read_bytes().count(b"\nuid: ")
        return super().seen(said)

    def wanted(self, count: int) -> str:
        names = self.place.sink.names()
        assert len(set(names)) == count, len(names)
        return digest(user(row(int(name[1:]))) for name in names)

    name = "ldap-first"
    title = "{count:,} people of an OpenLDAP directory to an empty platform"
    records = 100_000
    variants = (
        Variant(
            "ldapsearch",
            "only reading: OpenLDAP's own ldapsearch",
            HERE + "floors",
            "ldapsearch",
        ),
        *OtherSource.variants,
    )

    def made(self) -> Any:
        return Directory(self.place, self.count)


class WithGroups(FromDirectory):
    """People, then the groups that they are members of."""

    name = "ldap-groups"
    title = "{count:,} people of an OpenLDAP directory with their groups of 100"
    records = 20_000
    note = "Requests are those to the platform and searches of the directory, a page one each."
    variants = (
        Variant(
            "naive",
            "naive script: a search for each person's groups",
            HERE + "groups",
            "naive",
            share=0.05,
        ),
        Variant(
            "by-hand", "best script by hand, no ledger", HERE + "groups", "by_hand"
        ),
        calling(OURS, "first"),
    )

    def made(self) -> Any:
        return Directory(self.place, self.count)

    def order(self, variant: Variant, folder: Path) -> dict[str, Any]:
        order = super().order(variant, folder)
        self._searches = self.source.searches()
        return {**order, "groups": self.source.groups()}

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        found["requests"] += self.source.searches() - self._searches
        super().check(variant, order, found)
        if variant.share == 1.0:
            stats = self.place.sink.stats()
            assert stats["groups"] == self.source.teams, stats
            assert stats["members"] == self.count, stats


class FromCsv(OtherSource):
    """One big file over SSH."""

    name = "csv-first"
    title = "{count:,} CSV rows from an OpenSSH server to an empty platform"
    records = 1_000_000
    rows_per_file = 10**9

    def made(self) -> Any:
        return Drop(self.place, self.rows_per_file)


class FromFiles(FromCsv):
    """Many small files over SSH."""

    name = "files-first"
    title = (
        "{count:,} rows in CSV files of 10, from an OpenSSH server to an empty platform"
    )
    records = 50_000
    rows_per_file = 10
    variants = (
        Variant("sftp", "only fetching: OpenSSH's own sftp", HERE + "floors", "sftp"),
        *OtherSource.variants,
    )

    def seen(self, said: dict[str, Any]) -> int | None:
        if "fetched" in said:
            files = Path(said["fetched"]).iterdir()
            return sum(len(each.read_text().splitlines()) - 2 for each in files)
        return super().seen(said)


class FromSoap(OtherSource):
    """One long answer."""

    name = "soap-first"
    title = "{count:,} people in one SOAP answer to an empty platform"
    records = 10_000

    def made(self) -> Any:
        return Soap(self.place, self.count)

    variants = tuple(replace(v, share=1.0) for v in OtherSource.variants)
