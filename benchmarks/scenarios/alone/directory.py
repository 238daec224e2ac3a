"""An OpenLDAP directory: people read, with and without their groups, added, changed."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contents import row
from harness.scenario import Variant

from scenarios.alone.work import Alone
from scenarios.to_platform.places import Directory

if TYPE_CHECKING:
    from harness.scenario import Place

Order = dict[str, Any]
HERE = "scenarios.alone.directory_ways"
LDAPSEARCH = Variant("ldapsearch", "OpenLDAP's own ldapsearch", "scenarios.to_platform.floors", "ldapsearch")  # fmt: skip
CONNECTING = "Connecting is measured."
SEARCHES = "Requests are searches of the directory, a page one each."


class Reading(Alone):
    """Everybody, to finished records."""

    name = "alone-ldap-scan"
    title = "{count:,} people of an OpenLDAP directory, read only"
    note = f"{CONNECTING} {SEARCHES}"
    records = 100_000
    variants = (
        LDAPSEARCH,
        Variant("ldap3", "ldap3: paged search, as one writes it", HERE, "ldap3_paged"),
        Variant("moatbridge", "moatbridge's ldap adapter, as in a flow", HERE, "scan_in_flow", ours=True),
        Variant("collected", "moatbridge's ldap adapter, outside of a flow", HERE, "scan", ours=True),
        Variant("general", "the same without its fast reader, as in a flow", HERE, "scan_generally", ours=True),
        *([Variant("python-ldap", "python-ldap: paged search, values decoded", HERE, "python_ldap")] if find_spec("ldap") else []),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Directory(place, self.count)

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        self._before = self.source.searches()
        return self.source.order(count, folder)

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        super().check(variant, order, found)
        found["requests"] = self.source.searches() - self._before

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        if "ldif" in said:
            return Path(said["ldif"]).read_bytes().count(b"\nuid: ")
        return said["seen"]


class Members(Reading):
    """Everybody, and which groups each is a member of."""

    name = "alone-ldap-members"
    title = (
        "{count:,} people of an OpenLDAP directory and their groups of 100, read only"
    )
    records = 20_000
    variants = (
        Variant("naive", "ldap3: a search for each person's groups", HERE, "ldap3_each", share=0.05),
        Variant("ldap3", "ldap3: people, then groups", HERE, "ldap3_both"),
        Variant("moatbridge", "moatbridge's ldap adapter, as in a flow", HERE, "members", ours=True),
    )  # fmt: skip

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        return {**super().given(variant, count, folder), "members": count}

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        super().check(variant, order, found)
        wanted = order["records"]
        assert found["said"]["memberships"] == wanted, found["said"]


class Writing(Alone):
    """Below a container that is made for each run; the server does not wait for its disk."""

    note = CONNECTING
    records = 5_000

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Directory(place, 0)
        self._runs = counted()

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        number = f"run{next(self._runs)}"
        place = self.source.container(number)
        order = self.source.order(count, folder)
        order["source"] |= {**self.source.writer(), "place": place}
        self.filled(place, count, order)
        return order

    def filled(self, place: str, count: int, order: Order) -> None:
        """What must be there before."""

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        assert said["seen"] == order["records"], said
        return self.right(self.source.below(order["source"]["place"]))

    @abstractmethod
    def right(self, entries: dict[str, Any]) -> int:
        """How many entries are as they should be."""


class Adding(Writing):
    """New entries."""

    name = "alone-ldap-add"
    title = "{count:,} people added to an OpenLDAP directory"
    variants = (
        Variant("ldap3", "ldap3: add, one by one", HERE, "ldap3_add"),
        Variant("moatbridge", "moatbridge's ldap adapter: write, as in a flow", HERE, "add", ours=True),
    )  # fmt: skip

    def right(self, entries: dict[str, Any]) -> int:
        mails = {row(n)[1]: row(n)[4] for n in range(self.count)}
        return sum(one["mail"] == [mails[one["uid"][0]]] for one in entries.values())


class Modifying(Writing):
    """One attribute of each gets another value."""

    name = "alone-ldap-modify"
    title = "{count:,} people changed in an OpenLDAP directory"
    variants = (
        Variant("ldap3", "ldap3: modify, one by one, by DN", HERE, "ldap3_modify"),
        Variant("ldap3-same", "ldap3: found by id, old value compared, id and version read back", HERE, "ldap3_modify_as_we_do"),
        Variant("moatbridge", "moatbridge's ldap adapter: write, as in a flow", HERE, "modify", ours=True),
    )  # fmt: skip

    def filled(self, place: str, count: int, order: Order) -> None:
        self.source.add_people(place, count)
        entries = self.source.below(place, "uid", "entryUUID")
        order["ids"] = {one["uid"][0]: one["entryUUID"][0] for one in entries.values()}

    def right(self, entries: dict[str, Any]) -> int:
        return sum(one["title"] == ["Chief"] for one in entries.values())


WORKS = (Reading, Members, Adding, Modifying)
