"""The invented company: people, groups and contractors, made from numbers. Pure.

Nobody here is a real person: given and family names are combined by counting, mail
lies under the reserved ``example.org`` (RFC 2606), and telephone numbers are those
that regulators keep free for fiction.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.demo.servers.openldap import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.demo.servers.ldif import Entry

PEOPLE: Final = f"ou=people,{SUFFIX}"
GROUPS: Final = f"ou=groups,{SUFFIX}"

_GIVEN: Final = (
    "Amina", "Björn", "Chiara", "Dimitri", "Eun-ji", "Fatou", "Gökhan", "Hana",
    "Íris", "João", "Katarzyna", "Łukasz", "Mehwish", "Nguyệt", "Oluwaseun", "Pádraig",
    "Quentin", "Renée", "Søren", "Tāne", "Ulrike", "Vikram", "Wanjiru", "Xóchitl",
    "Yuki", "Zoë", "Siân", "Đức", "Åsa", "Iñaki", "Thị Mai",
)  # fmt: skip
_FAMILY: Final = (
    "Abebe", "Bergström", "Castaño", "D'Angelo", "Eriksen", "Fernández Vega", "García",
    "Haddad", "Ivanova", "Jørgensen", "Kowalczyk", "Lindqvist", "Müller-Weiß",
    "Nakamura", "O'Sullivan", "Park", "Quispe", "Rossi", "Şahin", "Traoré", "Újvári",
    "Vasquez", "Wójcik", "Xu", "Güneş", "Zimmermann", "Okafor", "Nguyễn", "Kaur",
    "Mbeki", "Çelik", "Tremblay", "Svobodová", "de la Cruz", "Papadopoulos", "Mwangi",
    "Silva",
)  # fmt: skip
_TITLES: Final = (
    "Engineer", "Buyer", "Accountant", "Technician", "Nurse", "Planner",
    "Chargé d'affaires", "Sachbearbeiter:in", "Analyst", "Driver", "Team lead",
)  # fmt: skip
_LANGUAGES: Final = ("en", "de", "fr", "sv", "pl", "ja")
_DEPARTMENTS: Final = ("operations", "engineering", "finance", "sales", "service")
_AGENCIES: Final = ("Nordlicht Personal", "Société Relais", "Bluewater Staffing")
_APPROVERS: Final = frozenset({1, 2})
_LETTERS: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae"})


class Site(NamedTuple):
    """A place of work: its unit in the directory, and a number kept for fiction."""

    name: str
    phone: str


_SITES: Final = (
    Site("berlin", "+49 30 23125 {:03}"),
    Site("london", "+44 20 7946 0{:03}"),
    Site("paris", "+33 1 99 00 {:03}"),
    Site("stockholm", "+46 8 465 004 {:02.0f}"),
    Site("sydney", "+61 2 5550 {:04}"),
    Site("washington", "+1 202 555 01{:02.0f}"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How large the company is.

    Args:
        people: Employees in the directory.
        groups: Groups in the directory, some of groups.
        contractors: Rows of the HR database.
    """

    people: int
    groups: int
    contractors: int


FULL: Final = Size(people=2000, groups=60, contractors=400)
QUICK: Final = Size(people=120, groups=8, contractors=60)


@dataclass(frozen=True, slots=True)
class Employee:
    """One person of the directory, by number."""

    number: int

    @property
    def given(self) -> str:
        """Given name."""
        return _GIVEN[self.number % len(_GIVEN)]

    @property
    def family(self) -> str:
        """Family name."""
        return _FAMILY[(self.number * 7 + self.number // len(_GIVEN)) % len(_FAMILY)]

    @property
    def uid(self) -> str:
        """Login; unique."""
        return f"{folded(self.given)[0]}{folded(self.family)[:10]}{self.number:04}"

    @property
    def unit(self) -> str:
        """DN of the department's unit, two levels below `PEOPLE`."""
        return unit(self.number)

    @property
    def department(self) -> str:
        """Such as ``berlin-finance``."""
        return f"{self._site.name}-{_department(self.number)}"

    @property
    def dn(self) -> str:
        """Where the entry lies."""
        return f"uid={self.uid},{self.unit}"

    @property
    def mail(self) -> str:
        """Address; unique."""
        return f"{folded(self.given)}.{folded(self.family)}.{self.number}@example.org"

    @property
    def phone(self) -> str:
        """Desk number."""
        return self._site.phone.format(self.number % 100)

    @property
    def _site(self) -> Site:
        return _SITES[self.number % len(_SITES)]

    def entry(self, manager: Employee | None) -> Entry:
        """The directory entry."""
        values = {
            "objectClass": ["inetOrgPerson"],
            "uid": [self.uid],
            "cn": [f"{self.given} {self.family}"],
            "givenName": [self.given],
            "sn": [self.family],
            "mail": [self.mail],
            "telephoneNumber": [self.phone],
            "title": [_TITLES[self.number % len(_TITLES)]],
            "employeeNumber": [f"E{self.number:05}"],
            "departmentNumber": [self.department],
            "preferredLanguage": [_LANGUAGES[self.number % len(_LANGUAGES)]],
            "employeeType": ["approver" if self.number in _APPROVERS else "employee"],
        }
        if manager is not None:
            values["manager"] = [manager.dn]
        return self.dn, values


def unit(number: int) -> str:
    """DN of the unit where the person of that number works."""
    site = _SITES[number % len(_SITES)].name
    return f"ou={_department(number)},ou={site},{PEOPLE}"


def manager_of(number: int) -> Employee | None:
    """A tree of managers, eight people under each; number 0 has none."""
    return Employee((number - 1) // 8) if number else None


def directory(size: Size) -> Iterator[Entry]:
    """Every entry of the directory: units, people, groups."""
    for name in ("people", "groups"):
        yield _unit(f"ou={name},{SUFFIX}")
    for site in _SITES:
        yield _unit(f"ou={site.name},{PEOPLE}")
        for department in _DEPARTMENTS:
            yield _unit(f"ou={department},ou={site.name},{PEOPLE}")
    for number in range(size.people):
        yield Employee(number).entry(manager_of(number))
    yield from groups(size)


def empty_unit(dn: str) -> Entry:
    """A unit with nothing below it."""
    return _unit(dn)


def groups(size: Size) -> Iterator[Entry]:
    """Teams of people; branches of teams; and one group of all branches."""
    branches = max(2, size.groups // 8)
    teams = size.groups - branches - 1
    for team in range(teams):
        members = [Employee(n).dn for n in range(team, size.people, teams)]
        yield _group(f"team-{team:02}", members)
    for branch in range(branches):
        inner = [group_dn(f"team-{t:02}") for t in range(branch, teams, branches)]
        yield _group(f"branch-{branch:02}", [Employee(branch).dn, *inner])
    everybody = [group_dn(f"branch-{b:02}") for b in range(branches)]
    yield _group("everybody", [Employee(0).dn, *everybody])


def group_dn(name: str) -> str:
    """Where a group lies."""
    return f"cn={name},{GROUPS}"


def contractors(size: Size) -> Iterator[tuple[str, ...]]:
    """Rows of the HR table, in the order of its columns."""
    for number in range(size.contractors):
        person = Employee(number * 3 + 1)
        login = f"x-{folded(person.family)[:10]}{number:04}"
        yield (
            f"C-{number:05}", login, person.given, person.family,
            f"{login}@partner.example.net", _AGENCIES[number % len(_AGENCIES)],
        )  # fmt: skip


def folded(text: str) -> str:
    """A name in plain lower-case letters, for logins and addresses."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return "".join(c for c in plain.lower() if c.isascii() and c.isalpha())


def _department(number: int) -> str:
    return _DEPARTMENTS[number // len(_SITES) % len(_DEPARTMENTS)]


def _unit(dn: str) -> Entry:
    name = dn.partition(",")[0].removeprefix("ou=")
    return dn, {"objectClass": ["organizationalUnit"], "ou": [name]}


def _group(name: str, members: list[str]) -> Entry:
    attributes = {"objectClass": ["groupOfNames"], "cn": [name], "member": members}
    return group_dn(name), attributes
