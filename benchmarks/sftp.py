"""SFTP beside paramiko's own calls: one large file down, many small ones, a listing.

Run: ``python benchmarks/sftp.py [MiB] [FILES]`` (as root: it starts its own sshd).
Rounds are interleaved and each variant runs in its own process, so that memory and CPU
are its own; medians and ratios are printed as one JSON line. Goals: sftp 7.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent / "tests"))
ROUNDS = 3
SMALL = 4096

Drop = dict[str, Any]


def ours(drop: Drop) -> Any:
    from moatbridge.testing import net
    from moatbridge_sftp.storage import SshAuth, SshSettings, endpoints, open_storage
    from servers.openssh import held

    auth = SshAuth(key=held(drop["key"]))
    ssh = SshSettings(host_keys=(drop["fingerprint"],), auth=auth)
    return open_storage(drop["url"], net=net(endpoints(drop["url"])), ssh=ssh)


def theirs(drop: Drop) -> tuple[Any, Any]:
    import io

    import paramiko

    transport = paramiko.Transport(("127.0.0.1", drop["port"]))
    key = paramiko.Ed25519Key(file_obj=io.StringIO(drop["key"]))
    transport.connect(username=drop["user"], pkey=key)
    return transport, paramiko.SFTPClient.from_transport(transport)


def big_moatbridge(drop: Drop) -> Callable[[], int]:
    storage = ours(drop)

    def run() -> int:
        with tempfile.TemporaryFile() as file:
            for piece in storage.read("big.bin", size=drop["big"]):
                file.write(piece)
            return file.tell()

    return run


def big_paramiko_get(drop: Drop) -> Callable[[], int]:
    transport, client = theirs(drop)

    def run() -> int:
        with tempfile.TemporaryFile() as file:
            client.getfo(f"{drop['path']}/big.bin", file)
            transport.close()
            return file.tell()

    return run


def small_moatbridge(drop: Drop) -> Callable[[], int]:
    storage = ours(drop)
    names = [(f"small/f{number}", SMALL) for number in range(drop["files"])]
    return lambda: sum(len(content) for _, content in storage.read_small(names))


def small_paramiko_open_read(drop: Drop) -> Callable[[], int]:
    transport, client = theirs(drop)

    def run() -> int:
        total = 0
        for number in range(drop["files"]):
            with client.open(f"{drop['path']}/small/f{number}", "rb") as file:
                total += len(file.read())
        transport.close()
        return total

    return run


def list_moatbridge(drop: Drop) -> Callable[[], int]:
    storage = ours(drop)
    return lambda: len(storage.list("small", limit=10**6)[0])


def list_paramiko_attr(drop: Drop) -> Callable[[], int]:
    transport, client = theirs(drop)

    def run() -> int:
        count = len(client.listdir_attr(f"{drop['path']}/small"))
        transport.close()
        return count

    return run


VARIANTS = {
    one.__name__: one
    for one in (
        big_moatbridge, big_paramiko_get, small_moatbridge, small_paramiko_open_read,
        list_moatbridge, list_paramiko_attr,
    )
}  # fmt: skip


def measure(name: str, drop: Drop) -> None:
    """In a process of its own: one variant, printed as JSON."""
    run = VARIANTS[name](drop)
    idle = _memory("VmRSS")
    used = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    count = run()
    wall = time.perf_counter() - began
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    more = _memory("VmHWM") - idle
    print(
        json.dumps({"count": count, "wall": wall, "cpu": cpu, "mib": more}), flush=True
    )
    os._exit(0)  # threads of a connection left open are of no interest


def _memory(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    from servers.openssh import OpenSsh

    mib, files = (int(one) for one in (*sys.argv[1:], "256", "5000")[:2])
    with OpenSsh() as server:
        drop = prepare(server, mib, files)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
        for turn in range(ROUNDS):
            for name in list(VARIANTS)[:: 1 if turn % 2 == 0 else -1]:
                done = subprocess.run(
                    [sys.executable, str(HERE), "--one", name, json.dumps(drop)],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                runs[name].append(json.loads(done.stdout))
    print(json.dumps(summary(runs)))


def prepare(server: Any, mib: int, files: int) -> Drop:
    block = os.urandom(1 << 20)
    big = server.put("big.bin")
    with big.open("wb") as file:
        for _ in range(mib):
            file.write(block)
    for number in range(files):
        server.put(f"small/f{number}", block[:SMALL])
    key = server.home / "plain"
    key.write_bytes((server.home / "client").read_bytes())
    key.chmod(0o600)
    auth = {name: secret.get_secret_value() for name, secret in server.auth().items()}
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", auth["passphrase"], "-N", "", "-f", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return {
        "url": server.url(), "port": server.port, "user": server.user("key"),
        "path": str(server.drop), "fingerprint": server.fingerprint(),
        "key": key.read_text(), "big": mib << 20, "files": files,
    }  # fmt: skip


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    middle = {
        name: {
            field: statistics.median(one[field] for one in done) for field in done[0]
        }
        for name, done in runs.items()
    }
    pairs = {
        "256 MiB down: wall, theirs / ours (goal >= 1.4)":
            ("wall", "big_paramiko_get", "big_moatbridge"),
        "256 MiB down: CPU, ours / theirs (goal <= 0.65)":
            ("cpu", "big_moatbridge", "big_paramiko_get"),
        "small files: files/s, ours / theirs (goal >= 4)":
            ("wall", "small_paramiko_open_read", "small_moatbridge"),
        "listing: CPU, ours / theirs (goal about 0.5)":
            ("cpu", "list_moatbridge", "list_paramiko_attr"),
    }  # fmt: skip
    ratios = {
        label: round(middle[top][field] / middle[bottom][field], 2)
        for label, (field, top, bottom) in pairs.items()
    }
    ratios["256 MiB down: MiB over an idle connection (goal <= 24)"] = round(
        middle["big_moatbridge"]["mib"], 1
    )
    shown = {
        name: {field: round(value, 3) for field, value in one.items()}
        for name, one in middle.items()
    }
    return {"bench": "sftp", "ratios": ratios, "medians": shown}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], json.loads(sys.argv[3]))
    else:
        main()
