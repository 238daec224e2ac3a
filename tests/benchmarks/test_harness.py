"""The harness of the benchmarks: what it says must be so."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture
def works(place):
    from scenarios.to_platform.works import FirstLoad

    return FirstLoad(place)


def variant(work, name):
    return next(each for each in work.variants if each.name == name)


@pytest.mark.parametrize("name", ["by-hand", "by-hand-ledger", "moatbridge"])
def test_a_variant_is_measured_and_its_result_is_checked(place, works, name):
    from harness.rounds import once

    found = once(place, works, variant(works, name))
    assert found["records"] == works.count == 400
    assert 0 < found["cpu"] <= found["command_cpu"]
    assert found["requests"] >= 4
    assert found["peak_mib"] > 5
    assert 0 < found["calibration"] < 5


def test_what_a_work_would_import_is_imported_before_it_is_measured(place):
    from harness.rounds import once, rehearsed
    from scenarios.to_platform.works import FirstLoad

    work = FirstLoad(place)
    work.variants = (variant(work, "moatbridge"),)
    late = rehearsed(work)["moatbridge"]
    assert [
        each for each in late if each.startswith("moatbridge")
    ]  # lazily, on purpose
    found = once(place, work, work.variants[0], imports=late)
    assert not [each for each in found["late"] if each.startswith("moatbridge")]


def test_sizes_are_those_of_the_longest_name_that_fits():
    from harness.program import sizes

    size = sizes("0.1,ldap=0.5,ldap-groups=1,sql-http=0.2")
    asked = ("csv-first", "ldap-first", "ldap-groups", "sql-delta")
    assert [size(name) for name in asked] == [0.1, 0.5, 1.0, 0.2]


def test_every_goal_finds_its_figures_under_the_names_that_works_have(tmp_path):
    from harness.goals import GOALS, table
    from harness.program import PROFILED, works

    numbers = ("cpu", "per_second", "command", "peak_mib", "grown_mib", "requests")
    for name, work in works().items():
        labels = [v.label for v in work.variants]
        figures = [{"label": one, **dict.fromkeys(numbers, 1.0)} for one in labels]
        (tmp_path / f"{name}.json").write_text(json.dumps({"figures": figures}))
    for name in PROFILED:
        kept = {"parts": {"ledger": 0.5}, "cpu": 1.0}
        (tmp_path / f"{name}-profile.json").write_text(json.dumps(kept))
    kept = {"weights": {"import moatbridge": 1}, "extras": {"moatbridge": {"distributions": 1}}}  # fmt: skip
    (tmp_path / "weight.json").write_text(json.dumps(kept))
    assert len(table(tmp_path).splitlines()) == 2 + len(GOALS)


def test_a_wrong_result_is_a_failure_and_no_figure(place, works):
    from harness.rounds import VariantFailed, once

    wrong = replace(variant(works, "by-hand"), name="only", function="only_read")
    with pytest.raises(VariantFailed, match="sql-first, only"):
        once(place, works, wrong)


def test_a_variant_that_breaks_is_a_failure_with_its_words(place, works):
    from harness.rounds import VariantFailed, once

    with pytest.raises(VariantFailed, match="delta_of_nobody"):
        once(
            place, works, replace(variant(works, "by-hand"), function="delta_of_nobody")
        )


def test_machine_speed_is_cancelled(works):
    from harness.rounds import summed

    one = {
        "wall": 1.0, "peak_mib": 1.0, "grown_mib": 0.5, "command_cpu": 1.0, "sink_cpu": 0.0, "records": 1000,
        "requests": 1,
    }  # fmt: skip
    works.variants = works.variants[:1]
    name = works.variants[0].name
    runs = [
        {**one, "cpu": cpu, "calibration": loop}
        for cpu, loop in ((0.1, 0.02), (0.2, 0.04), (0.05, 0.01))
    ]
    (figures,) = summed(works, {name: runs})
    assert figures.cpu == pytest.approx(100.0)
    assert figures.spread == pytest.approx(0.0, abs=1e-9)


def test_the_digest_minds_contents_and_not_order():
    from harness.contents import digest, row, user

    people = [user(row(n)) for n in range(20)]
    assert digest(people) == digest(reversed(people))
    changed = [*people[:-1], user(row(19, changed=True))]
    assert digest(changed) != digest(people) != digest(people[:-1])


def test_the_platform_counts_what_comes_twice(sink):
    import urllib.request

    from harness.contents import creates, row

    sink.clear()
    raw = json.dumps(creates([row(1), row(2)])).encode()
    for _ in range(2):
        asked = urllib.request.Request(sink.url + "/Bulk", data=raw)
        with urllib.request.urlopen(asked) as answer:
            said = json.load(answer)["Operations"]
    assert [each["status"] for each in said] == ["409", "409"]
    stats = sink.stats()
    counts = {n: stats[n] for n in ("records", "repeats", "operations", "requests")}
    assert counts == {"records": 2, "repeats": 2, "operations": 4, "requests": 2}


def test_tables_are_put_between_their_marks_and_nothing_else_changes(tmp_path):
    from harness.report import write

    figure = {
        "label": "ours", "ours": True, "records": 10, "runs": 3, "cpu": 12.34, "sink_cpu": 1.0, "wall": 20.0,
        "per_second": 50_000.0, "command": 1.5, "peak_mib": 70.2, "requests": 4, "spread": 0.1,
    }  # fmt: skip
    slower = {**figure, "label": "theirs", "ours": False, "cpu": 24.68}
    kept = {
        "work": "sql-first", "title": "10 rows", "unit": "record", "note": "", "machine": "2 cores", "rounds": 3,
        "figures": [slower, figure],
    }  # fmt: skip
    (tmp_path / "sql-first.json").write_text(json.dumps(kept))
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- bench: sql-first -->\nold\n<!-- bench end -->\nb\n"
        "<!-- bench: other -->\nkept\n<!-- bench end -->\n"
    )
    write(tmp_path, page)
    text = page.read_text()
    assert "| theirs | 24.7 | 2.00 | 50,000 | 70 | 4 | 1.0 | 1.50 | 10% |" in text
    assert "| **ours** | 12.3 |" in text
    assert "old" not in text
    assert text.startswith("a\n<!-- bench: sql-first -->\n|")
    assert text.endswith("b\n<!-- bench: other -->\nkept\n<!-- bench end -->\n")


def test_goals_without_new_figures_keep_their_lines(tmp_path):
    from harness.goals import GOALS, table

    line = f"| {GOALS[0].what} | at least 1.50 x | 9.00 x | reached |"
    kept = {"weights": {"import moatbridge": 12.0}, "extras": {"moatbridge": {"distributions": 19}}}  # fmt: skip
    (tmp_path / "weight.json").write_text(json.dumps(kept))
    after = table(tmp_path, f"| | wanted |\n{line}\n").splitlines()
    assert after[2:] == [
        line,
        "| `import moatbridge`: CPU ms | at most 100 | 12 | reached |",
        "| distributions of the core with its command line | at most 18 | 19 | **missed** |",
    ]


def test_samples_belong_to_the_innermost_part():
    from harness.profiling import split

    root = "<module> (harness/child.py:1);measured (harness/measuring.py:60);run (ours.py:2)"
    flow = f"{root};carry (src/moatbridge/flow/carry.py:1)"
    lines = (
        f"{flow} 2",
        f"{flow};write (src/moatbridge/ledger/staging.py:9) 3",
        f"{flow};call (src/moatbridge/resilience/call.py:9);write (/src/moatbridge_scim/writing.py:1);trim (src/moatbridge/entities/shapes.py:1) 1",
        f"{flow};call (src/moatbridge/resilience/call.py:9);write (/src/moatbridge_scim/writing.py:1);post (src/moatbridge/http/client.py:1) 4",
        "<module> (harness/child.py:1);main (harness/child.py:9) 100",
        "<module> (harness/child.py:1);_find_and_load (<frozen importlib._bootstrap>:1) 50",
    )
    parts, samples = split("\n".join(lines))
    assert samples == 10
    assert parts == {"flow": 0.2, "ledger": 0.3, "encode": 0.1, "send": 0.4}


def test_a_picture_of_some_works_alone_is_not_drawn(tmp_path):
    from harness.plot import PANELS, draw

    picture = tmp_path / "performance.svg"
    picture.write_text("as it was")
    for name in list(PANELS)[:-1]:
        (tmp_path / f"{name}.json").write_text("{}")
    draw(tmp_path, picture)
    assert picture.read_text() == "as it was"


@pytest.mark.parametrize(
    ("given", "writes"),
    [
        ((), True),
        (("ONLY=soap",), True),
        (("SIZE=0.1",), False),
        (("ROUNDS=1",), False),
        (("SIZE=0.1", "WRITE=1"), True),
    ],
)
def test_a_trial_leaves_the_page_alone(given, writes):
    shown = subprocess.run(
        ["make", "-n", "bench", *given],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert (" --write" in shown) is writes
    assert (" --out benchmarks/.results/trial" in shown) is not writes


def test_the_page_names_the_parts_as_they_are_counted():
    from harness.profiling import PARTS
    from harness.report import PAGE

    lines = PAGE.read_text().splitlines()
    for name, what in PARTS.items():
        assert sum(line.startswith(f"| {name} | {what} |") for line in lines) == 2


def test_every_work_has_a_table_on_the_page_and_a_variant_of_ours():
    from harness.program import works as known
    from harness.report import MARK, PAGE

    tables = {found["name"] for found in MARK.finditer(PAGE.read_text())}
    assert known().keys() <= tables
    for work in known().values():
        assert [v for v in work.variants if v.ours], work.name
