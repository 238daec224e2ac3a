"""Random people, groups, and updates of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)  # fmt: skip
ID = st.text("abcdef0123456789-\"' \\)(", min_size=1, max_size=8)
TYPES = st.sampled_from(["work", "home", "other"])
LISTS = ("emails", "phoneNumbers", "roles")
NAME = ("givenName", "familyName", "formatted")
ENTERPRISE = ("employeeNumber", "department", "manager")
SINGLES = ("displayName", "title", "nickName", "externalId", "locale")


def entries() -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.fixed_dictionaries(
        {"value": TEXT, "type": TYPES}, optional={"display": TEXT}
    )
    return st.lists(
        entry, max_size=3, unique_by=lambda e: (e["type"], e["value"].casefold())
    )


def addresses() -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.fixed_dictionaries({"type": TYPES, "locality": TEXT}, optional={"country": TEXT, "postalCode": TEXT})  # fmt: skip
    return st.lists(entry, max_size=3, unique_by=lambda e: e["type"])


def people() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"userName": TEXT},
        optional={
            "active": st.booleans(),
            **dict.fromkeys(SINGLES, TEXT),
            **dict.fromkeys(LISTS, entries().filter(bool)),
            "addresses": addresses().filter(bool),
            "name": st.dictionaries(st.sampled_from(NAME), TEXT, min_size=1),
            "enterprise": st.dictionaries(
                st.sampled_from(ENTERPRISE), TEXT, min_size=1
            ),
        },
    )


def groups() -> st.SearchStrategy[dict[str, Any]]:
    member = st.fixed_dictionaries(
        {"value": ID, "type": st.sampled_from(["Person", "Group"])}
    )
    members = st.lists(member, max_size=6, unique_by=lambda m: m["value"])
    return st.fixed_dictionaries({"displayName": TEXT, "members": members})


def _slots(field: str, type_: str, entry: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"{field}[type={type_}]", {"type": type_, **entry}


@st.composite
def updates(draw) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A record and the paths it owns: singles, members of objects, lists and slots."""
    record: dict[str, Any] = {}
    owned: list[str] = []
    for name in draw(st.sets(st.sampled_from(SINGLES))):
        record[name] = draw(st.none() | TEXT)
        owned.append(name)
    for name, parts in (("name", NAME), ("enterprise", ENTERPRISE)):
        wanted = draw(st.dictionaries(st.sampled_from(parts), st.none() | TEXT))
        if wanted:
            record[name] = wanted
            owned += (
                [name] if draw(st.booleans()) else [f"{name}.{part}" for part in wanted]
            )
    for name in draw(st.sets(st.sampled_from(LISTS))):
        if draw(st.booleans()):
            record[name] = draw(entries())
            owned.append(draw(st.sampled_from([name, f"{name}[]"])))
        else:
            slots = draw(st.dictionaries(TYPES, st.none() | TEXT, min_size=1))
            record[name] = [{"type": t, "value": v} for t, v in slots.items()]
            owned += [f"{name}[type={t}].value" for t in slots]
    if draw(st.booleans()):
        parts = draw(
            st.dictionaries(
                st.sampled_from(["locality", "country"]), st.none() | TEXT, min_size=1
            )
        )
        record["addresses"] = [{"type": "work", **parts}]
        owned += [f"addresses[type=work].{part}" for part in parts]
    return record, tuple(owned)
