"""Synthetic directories, what can go wrong with them, and what is everyday life.

A directory is ``{id: {path: value}}``. A disaster or a change of everyday life turns one
into another; `summarise` counts the difference the way a flow does while planning.
"""

import random

from guard.counting import plan

UNITS = ("Sales", "Research", "Finance", "Field Service", "Legal", "Works Council")
FIRST = (
    "Jürgen",
    "Aïcha",
    "Søren",
    "Mary",
    "Łukasz",
    "Zoë",
    "Ana",
    "Noël",
    "Bob",
    "Jan",
)
PATHS = (
    "userName",
    "name.givenName",
    "name.familyName",
    "title",
    "enterprise.department",
    "enterprise.employeeNumber",
    "locale",
    "active",
)
TEXT = PATHS[1:6]


def person(rng, number):
    return {
        "userName": f"u{number}",
        "name.givenName": rng.choice(FIRST),
        "name.familyName": f"Family{rng.randrange(5_000)}",
        "title": f"Title {rng.randrange(12)}",
        "enterprise.department": UNITS[number % len(UNITS)],
        "enterprise.employeeNumber": f"{rng.randrange(1, 13):02d}-{rng.randrange(13, 28)}",
        "locale": rng.choice(("de-DE", "en-GB", "fr-FR")),
        "active": True,
    }


def directory(rng, size):
    return {number: person(rng, number) for number in range(size)}


def each(people, change):
    return {key: {**one, **change(one)} for key, one in people.items()}


def emptied(rng, people):
    return {}


def halved(rng, people):
    return dict(list(people.items())[: len(people) // 2])


def one_unit_missing(rng, people):
    unit = rng.choice(UNITS)
    return {k: p for k, p in people.items() if p["enterprise.department"] != unit}


def columns_shifted(rng, people):
    return each(
        people,
        lambda p: {a: p[b] for a, b in zip(TEXT, TEXT[1:] + TEXT[:1], strict=True)},
    )


def one_column_constant(rng, people):
    return each(people, lambda p: {"name.familyName": "N/A"})


def one_column_blank(rng, people):
    path = rng.choice(TEXT)
    return each(people, lambda p: {path: None})


def ids_changed(rng, people):
    return {key + 1_000_000: p for key, p in people.items()}


def encoding_broken(rng, people):
    def garble(p):
        name = p["name.givenName"]
        return {"name.givenName": name.encode().decode("latin-1")}

    return each(people, garble)


def dates_swapped(rng, people):
    def swap(p):
        a, _, b = p["enterprise.employeeNumber"].partition("-")
        return {"enterprise.employeeNumber": f"{b}-{a}"}

    return each(people, swap)


def all_disabled(rng, people):
    return each(people, lambda p: {"active": False})


def multiplied(rng, people):
    """A join gone wrong: each record four times, under new ids."""
    copies = range(4)
    return {k + c * 1_000_000: p for c in copies for k, p in people.items()}


def logins_renamed(rng, people):
    return each(people, lambda p: {"userName": p["userName"] + "@old.example"})


DISASTERS = (
    emptied,
    halved,
    one_unit_missing,
    columns_shifted,
    one_column_constant,
    one_column_blank,
    ids_changed,
    encoding_broken,
    dates_swapped,
    all_disabled,
    multiplied,
    logins_renamed,
)


def everyday(rng, people):
    """Hires, leavers, moves, renames and a small reorganisation, below the limits."""
    now = dict(people)
    size = len(people)
    order = rng.sample(sorted(now), size)
    leavers = rng.randrange(min(100, max(5, size // 50)) + 1)
    half = leavers // 2
    for key in order[:half]:
        del now[key]
    for key in order[half:leavers]:
        now[key] = now[key] | {"active": False}
    rest = order[leavers:]
    moves = rng.randrange(min(len(rest), max(20, size // 10)) + 1)
    for key in rest[:moves]:
        now[key] = now[key] | {"enterprise.department": "New Unit"}
    marries = rng.randrange(min(len(rest), 10) + 1)
    for key in rest[:marries]:
        now[key] = now[key] | {"name.familyName": f"Married{key}"}
    for number in range(rng.randrange(min(9, size // 10) + 1)):
        now[2_000_000 + number] = person(rng, number)
    return now


def differences(before, after):
    """Keys that differ, in a fixed order."""
    keys = sorted(before.keys() | after.keys())
    return [key for key in keys if before.get(key) != after.get(key)]


def partly(before, after, keys):
    """``before``, with only these keys as in ``after``."""
    now = dict(before)
    for key in keys:
        if key in after:
            now[key] = after[key]
        else:
            now.pop(key, None)
    return now


def summarise(before, after, **more):
    """The plan's numbers and what it would add to the window."""
    missing = [key for key in before if key not in after]
    summary = plan(
        len(before),
        seen=len(after),
        prev_seen=len(before),
        missing=len(missing),
        **more,
    )
    for key in missing:
        summary.add("disable", link_id=key)
    for key, now in after.items():
        if key not in before:
            summary.add("create", link_id=key)
        elif now != before[key]:
            was = before[key]
            changed = [p for p in PATHS if now[p] != was[p]]
            summary.add(
                "update",
                link_id=key,
                changed=changed,
                blanked=[p for p in changed if now[p] is None],
                after={p: now[p] for p in changed},
                before={p: was[p] for p in changed},
            )
    return summary


def sent(summary):
    """(rule, key) counts of a plan that was applied."""
    counts = {
        ("removals", ""): summary.removals,
        ("creates", ""): summary.creates,
        ("updates", ""): summary.updates,
    }
    for path, each_path in summary.by_path.items():
        counts["field_change", path] = each_path.changes
        counts["field_blank", path] = each_path.blanks
    return [(rule, key, n) for (rule, key), n in counts.items() if n]


def sizes(seed, count, low, high):
    rng = random.Random(seed)
    return [
        (rng.randrange(low, high), random.Random(f"{seed}-{i}")) for i in range(count)
    ]
