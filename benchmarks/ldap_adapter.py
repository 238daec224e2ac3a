"""The ldap adapter alone beside ldap3, python-ldap and ``ldapsearch``: read and write.

Run: ``python benchmarks/ldap_adapter.py [PEOPLE] [WRITES]``. Needs Debian's ``slapd`` and
``ldap-utils``; python-ldap takes part where it can be imported (``PYTHONPATH``). Rounds
are interleaved and each variant runs in its own process, so that memory and CPU are its
own; medians and ratios are printed as one JSON line. All connections are in clear text
on the loopback, for all the same. Goals: ldap 7.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ldap_ways import VARIANTS, Site, person

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent / "tests"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TEAM = 100


def measure(name: str, site: Site) -> None:
    """In a process of its own: one variant, printed as JSON."""
    run = VARIANTS[name](site)
    idle, used = _memory("VmRSS"), _cpu()
    began = time.perf_counter()
    count = run()
    wall, cpu = time.perf_counter() - began, _cpu() - used
    more = _memory("VmHWM") - idle
    shown = {"count": count, "us": cpu / count * 1e6, "wall": wall, "mib": more}
    print(json.dumps(shown), flush=True)


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _memory(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    people, writes = (int(one) for one in (*sys.argv[1:], "20000", "2000")[:2])
    with tempfile.TemporaryDirectory(prefix="slapd-") as folder:
        server, site = prepare(Path(folder) / "s", people, writes)
        try:
            print(json.dumps(summary(rounds(server, site))))
        finally:
            server.stop()


def rounds(server: Any, site: Site) -> dict[str, list[dict[str, float]]]:
    names = [n for n in VARIANTS if n in os.environ.get("ONLY", n).split(",")]
    if importlib.util.find_spec("ldap") is None:
        names.remove("python_ldap_decoded")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(ROUNDS):
        for name in names[:: 1 if turn % 2 == 0 else -1]:
            place = f"ou={name}-{turn},{site['base']}"
            unit = {"objectClass": ["organizationalUnit"], "ou": [f"{name}-{turn}"]}
            server.add([(place, unit)])
            done = subprocess.run(
                [sys.executable, str(HERE), "--one", name,
                 json.dumps({**site, "place": place})],
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            runs[name].append(json.loads(done.stdout))
    return runs


def prepare(home: Path, count: int, writes: int) -> tuple[Any, Site]:
    from servers.openldap import (
        BASE,
        GROUPS,
        PASSWORDS,
        PEOPLE,
        WRITER,
        OpenLdap,
        group,
    )

    server = OpenLdap(home)
    server.create()
    settings = home / "slapd.conf"
    settings.write_text(
        settings.read_text().replace("maxsize 268435456", "maxsize 4294967296")
    )
    names = [f"p{number:07d}" for number in range(count)]
    dns = [f"uid={name},{PEOPLE}" for name in names]
    server.load(
        (dn, {"objectClass": ["inetOrgPerson"], **person(name, number)})
        for number, (dn, name) in enumerate(zip(dns, names, strict=True))
    )
    teams = [dns[at : at + TEAM] for at in range(0, count, TEAM)]
    server.load(group(f"team{at}", team) for at, team in enumerate(teams))
    server.start()
    return server, {
        "url": server.url, "who": WRITER, "password": PASSWORDS[WRITER], "base": BASE,
        "people": PEOPLE, "groups": GROUPS, "count": count, "writes": writes,
        "members": count,
    }  # fmt: skip


GOALS = {
    "raw reader: CPU, ldap3 / ours (goal >= 6)": ("ldap3_paged", "ours_raw"),
    "scan by the general reader: CPU, ldap3 / ours": ("ldap3_paged", "ours_scan_plain"),
    "scan: CPU, ldap3 / ours (goal >= 4)": ("ldap3_paged", "ours_scan"),
    "scan: CPU, ours / python-ldap decoded (goal <= 1.5)":
        ("ours_scan", "python_ldap_decoded"),
    "read alone: CPU, ours / ldapsearch (goal <= 2.5)": ("ours_scan", "ldapsearch"),
    "scan outside of a slice: CPU, ours / ldapsearch":
        ("ours_scan_collected", "ldapsearch"),
    "add: CPU, ldap3 / ours (goal >= 8)": ("ldap3_add", "ours_add"),
    "modify: CPU, ldap3 / ours (goal >= 6)": ("ldap3_modify", "ours_modify"),
    "modify, ldap3 doing the same work: CPU, ldap3 / ours":
        ("ldap3_modify_as_we_do", "ours_modify"),
    "modify, the port alone: CPU, ldap3 / ours": ("ldap3_modify", "ours_modify_raw"),
}  # fmt: skip


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    middle = {
        name: {
            field: statistics.median(one[field] for one in done) for field in done[0]
        }
        for name, done in runs.items()
    }
    ratios = {
        label: round(middle[top]["us"] / middle[bottom]["us"], 2)
        for label, (top, bottom) in GOALS.items()
        if top in middle and bottom in middle
    }
    if {"ldap3_modify", "ours_modify", "ours_modify_raw"} <= middle.keys():
        wall = middle["ldap3_modify"]["wall"] / middle["ours_modify"]["wall"]
        ratios["modify: rate, ours / ldap3 (goal >= 5)"] = round(wall, 2)
        wall = middle["ldap3_modify"]["wall"] / middle["ours_modify_raw"]["wall"]
        ratios["modify, the port alone: rate, ours / ldap3"] = round(wall, 2)
    shown = {
        name: {field: round(value, 3) for field, value in one.items()}
        for name, one in middle.items()
    }
    return {"bench": "ldap_adapter", "ratios": ratios, "medians": shown}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], json.loads(sys.argv[3]))
    else:
        main()
