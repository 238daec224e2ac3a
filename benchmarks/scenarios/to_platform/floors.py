"""The source's own tool, which only reads. Who measures it counts what it fetched."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]


def ldapsearch(order: Order) -> Callable[[], Order]:
    """OpenLDAP's client, writing LDIF to a file."""
    source = order["source"]
    out = Path(order["folder"], "people.ldif")
    command = [
        "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", source["url"], "-D", source["who"],
        "-w", source["password"], "-b", source["people"], "-E", "pr=1000/noprompt",
        "(objectClass=inetOrgPerson)", *source["attributes"],
    ]  # fmt: skip

    def run() -> Order:
        with out.open("wb") as file:
            subprocess.run(command, stdout=file, check=True)
        return {"ldif": str(out)}

    return run


def sftp(order: Order) -> Callable[[], Order]:
    """OpenSSH's client, fetching all files into a folder."""
    source = order["source"]
    target = Path(order.get("into", order["folder"]), "fetched")
    target.mkdir()
    command = [
        "sftp", "-q", "-b", "-", "-P", str(source["port"]), "-i", source["key"],
        "-o", f"UserKnownHostsFile={source['known_hosts']}", "-o", "IdentitiesOnly=yes",
        f"{source['user']}@127.0.0.1",
    ]  # fmt: skip

    def run() -> Order:
        batch = f"get {source['folder']}/* {target}\n"
        subprocess.run(command, input=batch.encode(), check=True, capture_output=True)
        return {"fetched": str(target)}

    return run
