"""The SSH connection against a real sshd: logins, host keys, algorithms, ends."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import Any

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience.deadline import Watchdog
from moatbridge.testing import RecordingNet, net
from moatbridge_sftp.storage import (
    Jump,
    SshAuth,
    SshSettings,
    StorageFault,
    endpoints,
    host_fingerprints,
    open_storage,
)
from servers.asyncssh_server import AsyncSsh
from servers.openssh import PASSPHRASE, PASSWORD, OpenSsh, held, openssh  # noqa: F401

SECRETS = (PASSWORD, PASSPHRASE)


def settings(server: OpenSsh, account: str = "key", **more: Any) -> SshSettings:
    more.setdefault("host_keys", (server.fingerprint(),))
    more.setdefault("auth", SshAuth(**server.auth(account)))
    return SshSettings(**more)


def connect(server: OpenSsh, account: str = "key", folder: str = "", **more: Any):
    ssh = settings(server, account, **more)
    url = server.url(account, folder)
    return open_storage(url, net=net(endpoints(url, ssh)), ssh=ssh)


@pytest.mark.parametrize(
    "account", ["key", "password", "certificate", "both", "jailed"]
)
def test_every_kind_of_login_gets_in_and_may_write(openssh, account):  # noqa: F811
    with connect(openssh, account) as storage:
        storage.create(f"{account}.txt", [b"hello"])
        assert storage.read_text(f"{account}.txt") == b"hello"
        storage.remove(f"{account}.txt")


def test_a_read_only_account_reads_and_is_denied_to_write(openssh):  # noqa: F811
    openssh.put("given.csv", b"1;2\n")
    with connect(openssh, "reader") as storage:
        assert storage.read_text("given.csv") == b"1;2\n"
        for call in (
            lambda: storage.create("new", [b"x"]),
            lambda: storage.rename("given.csv", "taken.csv"),
            lambda: storage.make_folder("state"),
            lambda: storage.remove("given.csv"),
        ):
            with pytest.raises(StorageFault) as caught:
                call()
            assert caught.value.kind == "denied"
    assert (openssh.drop / "given.csv").read_bytes() == b"1;2\n"


def test_a_shell_only_account_is_named(openssh):  # noqa: F811
    with pytest.raises(ConfigurationError, match="shell only account") as caught:
        connect(openssh, "shell")
    assert caught.value.code == "sftp.no-subsystem"


def wrong(server: OpenSsh, which: str) -> tuple[str, SshAuth]:
    auths = {
        "password": ("password", SshAuth(password=held("not-the-password"))),
        "nobody": ("password", SshAuth(password=held(PASSWORD))),
        "no key": ("key", SshAuth(password=held(PASSWORD))),
        "half": ("both", SshAuth(**server.auth("key"))),
        "nothing": ("key", SshAuth()),
    }
    return auths[which]


@pytest.mark.parametrize("which", ["password", "nobody", "no key", "half", "nothing"])
def test_a_refused_login_says_what_is_taken_and_shows_no_secret(openssh, which):  # noqa: F811
    account, auth = wrong(openssh, which)
    url = openssh.url(account)
    if which == "nobody":
        url = url.replace(openssh.user(account), "nobody-here")
    ssh = settings(openssh, auth=auth)
    with pytest.raises(ConfigurationError) as caught:
        open_storage(url, net=net(endpoints(url)), ssh=ssh)
    text = repr(caught.value)
    assert caught.value.code == "sftp.auth"
    assert "It takes publickey" in text or "It takes password" in text
    assert ("accepted publickey" in text) == (which == "half")
    assert not any(secret in text for secret in SECRETS)


def test_a_wrong_password_and_an_unknown_user_read_the_same(openssh):  # noqa: F811
    texts = []
    for user, password in (
        (openssh.user("password"), "wrong-one"),
        ("nobody", PASSWORD),
    ):
        url = f"sftp://{user}@127.0.0.1:{openssh.port}/"
        ssh = settings(openssh, auth=SshAuth(password=held(password)))
        with pytest.raises(ConfigurationError) as caught:
            open_storage(url, net=net(endpoints(url)), ssh=ssh)
        texts.append(str(caught.value))
    first, second = (re.sub("It takes [a-z]+", "", text) for text in texts)
    assert first == second


def test_a_missing_secret_is_told_as_such(openssh, monkeypatch):  # noqa: F811
    from moatbridge.adapter import Secret

    monkeypatch.delenv("MOAT_NO_SUCH_SECRET", raising=False)
    auth = SshAuth(password=Secret("env:MOAT_NO_SUCH_SECRET"))
    with pytest.raises(ConfigurationError) as caught:
        connect(openssh, "password", auth=auth)
    assert caught.value.code == "secret.missing"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_pin_of_any_key_type_works_when_known_hosts_names_it(openssh, kind, tmp_path):  # noqa: F811
    line = [one for one in openssh.known_hosts().splitlines() if kind in one]
    path = tmp_path / "known_hosts"
    path.write_text(line[0] + "\n")
    with connect(openssh, host_keys=(), known_hosts=str(path)) as storage:
        assert kind in storage.facts().algorithms["host_key"]


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_fingerprint_of_any_key_type_works(openssh, kind):  # noqa: F811
    with connect(openssh, host_keys=(openssh.fingerprint(kind),)) as storage:
        assert storage.facts().strict_kex


def test_show_host_key_prints_what_ssh_keygen_prints(openssh):  # noqa: F811
    shown = host_fingerprints(openssh.url(), net=net([openssh.endpoint]))
    kinds = ("ed25519", "rsa", "ecdsa")
    assert [one.split()[0] for one in shown] == [openssh.fingerprint(k) for k in kinds]


def test_the_facts_of_openssh(openssh):  # noqa: F811
    with connect(openssh) as storage:
        facts = storage.facts()
    assert "OpenSSH" in facts.product
    assert facts.algorithms["cipher"] == "aes128-gcm@openssh.com"
    assert facts.algorithms["kex"] != "unknown"
    assert facts.strict_kex
    assert facts.limits["read"] == 261_120
    assert {"posix-rename@openssh.com", "fsync@openssh.com"} <= set(facts.extensions)
    assert facts.free > 0
    assert facts.warnings == ()
    assert facts.identity == f"{openssh.user('key')}@127.0.0.1:{openssh.port}"


def test_a_password_login_and_legacy_algorithms_are_warned_of(openssh):  # noqa: F811
    with connect(openssh, "password", legacy_algorithms=("aes256-cbc",)) as storage:
        warnings = " ".join(storage.facts().warnings)
    assert "password" in warnings
    assert "aes256-cbc" in warnings


def test_a_base_that_is_missing_or_no_folder_is_told(openssh):  # noqa: F811
    openssh.put("plain.txt", b"x")
    for folder in ("nowhere", "plain.txt"):
        with pytest.raises(ConfigurationError) as caught:
            connect(openssh, folder=folder)
        assert caught.value.code == "sftp.folder"


def test_a_server_that_is_down_is_unreachable():
    url = "sftp://me@127.0.0.1:1/x"
    ssh = SshSettings(host_keys=("SHA256:" + "A" * 43,))
    with pytest.raises(NotApplied) as caught:
        open_storage(url, net=net(endpoints(url)), ssh=ssh)
    assert caught.value.code == "sftp.unreachable"


def test_key_and_password_work_at_a_server_that_takes_the_service_request_once():
    with AsyncSsh() as server:
        auth = SshAuth(password=held("wrong-password"))
        ssh = SshSettings(host_keys=(server.fingerprint(),), auth=auth)
        with pytest.raises(ConfigurationError) as caught:
            open_storage(server.url(), net=net([server.endpoint]), ssh=ssh)
        assert caught.value.code == "sftp.auth"  # after several attempts, not hung up


def test_a_jump_host_leads_to_the_server(openssh):  # noqa: F811
    with AsyncSsh() as target:
        jump = Jump(
            url=openssh.url(),
            host_keys=(openssh.fingerprint(),),
            auth=SshAuth(**openssh.auth()),
        )
        ssh = SshSettings(
            host_keys=(target.fingerprint(),), auth=SshAuth(**target.auth()), jump=jump
        )
        recording = RecordingNet(net(endpoints(target.url(), ssh)))
        with open_storage(target.url(), net=recording, ssh=ssh) as storage:
            storage.create("over", [b"x" * 300_000])
            assert len(b"".join(storage.read("over", size=300_000))) == 300_000
        assert recording.granted == {openssh.endpoint}
        recording.forget()


def test_the_jump_hosts_key_is_checked_too(openssh):  # noqa: F811
    jump = Jump(url=openssh.url(), host_keys=("SHA256:" + "A" * 43,))
    with pytest.raises(ConfigurationError) as caught:
        connect_through(openssh, jump)
    assert caught.value.code == "sftp.host-key"


def connect_through(server: OpenSsh, jump: Jump):
    ssh = settings(server, jump=jump)
    return open_storage(server.url(), net=net(endpoints(server.url(), ssh)), ssh=ssh)


def test_an_abort_from_another_thread_ends_a_read_and_a_later_call(openssh):  # noqa: F811
    openssh.put("big.bin", os.urandom(1_000_000) * 24)
    with connect(openssh) as storage:
        reading = storage.read("big.bin", size=24_000_000)
        next(reading)
        began = time.monotonic()
        threading.Timer(0.05, storage.abort).start()
        with pytest.raises(NotApplied) as caught:
            list(slowly(reading))  # the abort comes in between
        assert caught.value.code == "sftp.unreachable"
        with pytest.raises(NotApplied):
            storage.list(".", limit=10)
        assert time.monotonic() - began < 30


def slowly(reading):
    for piece in reading:
        time.sleep(0.005)
        yield piece


def test_the_cores_deadline_ends_a_call_as_deadline(openssh):  # noqa: F811
    from moatbridge.resilience.addresses import policy
    from moatbridge.resilience.net import STANDALONE, SystemNet
    from moatbridge.resilience.resolver import Resolver

    rules = policy([openssh.endpoint], reach="inside", allow=STANDALONE)
    resolver, watchdog = Resolver(), Watchdog()
    system = SystemNet("hr", policy=rules, resolver=resolver)
    ssh = settings(openssh)
    try:
        with open_storage(openssh.url(), net=system, ssh=ssh) as storage:
            system.deadline = watchdog.arm(0.2, system.shut_down)
            with pytest.raises(NotApplied) as caught:
                list(iter(lambda: storage.stat("."), None))  # until it fails
            assert caught.value.code == "sftp.deadline"
            watchdog.disarm(system.deadline)
    finally:
        system.release()
        watchdog.close()
        resolver.close()


def test_bytes_moved_are_reported_as_progress(openssh):  # noqa: F811
    class Counting(RecordingNet):
        moved = 0

        def progress(self, count: int) -> None:
            self.moved += count

    counting = Counting(net([openssh.endpoint]))
    with open_storage(openssh.url(), net=counting, ssh=settings(openssh)) as storage:
        storage.create("moved", [b"x" * 600_000])
        assert counting.moved == 600_000
        list(storage.read("moved", size=600_000))
        assert counting.moved == 1_200_000
        storage.remove("moved")
    counting.forget()


def test_a_cap_keeps_the_rate_down_and_an_abort_ends_the_wait(openssh):  # noqa: F811
    openssh.put("slow.bin", b"x" * 200_000)
    with connect(openssh, max_rate=400_000) as storage:
        began = time.monotonic()
        assert len(b"".join(storage.read("slow.bin", size=200_000))) == 200_000
        assert time.monotonic() - began >= 0.4


def test_no_secret_is_kept_after_the_login(openssh):  # noqa: F811
    with connect(openssh, "both") as storage:
        handler = storage._connection.transport.auth_handler
        assert not any(
            secret in repr(vars(thing))
            for thing in (handler, storage, storage._connection, storage._client)
            for secret in SECRETS
        )
        assert handler.private_key is None


def test_logs_at_debug_hold_no_secret_and_no_traceback(openssh, caplog):  # noqa: F811
    caplog.set_level(logging.DEBUG)
    with connect(openssh, "both") as storage:
        storage.abort()
        with pytest.raises(NotApplied):
            storage.list(".", limit=1)
    assert not any(secret in caplog.text for secret in SECRETS)
    assert "Traceback" not in caplog.text


def test_six_clients_claim_by_rename_and_each_file_has_one_winner(openssh):  # noqa: F811
    names = [f"claim-{number}.csv" for number in range(120)]
    for name in names:
        openssh.put(f"race/{name}", b"x")
    won: list[list[str]] = [[] for _ in range(6)]
    lost: set[str] = set()
    start = threading.Barrier(6)

    def claim(number: int) -> None:
        with connect(openssh, folder="race") as storage:
            # half of them share a goal, half have their own
            goal = "work" if number < 3 else f"work-{number}"
            storage.make_folder(goal)
            start.wait(60)
            for name in names:
                try:
                    storage.rename(name, f"{goal}/{name}")
                except StorageFault as fault:
                    lost.add(fault.kind)
                else:
                    won[number].append(name)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(name for mine in won for name in mine) == sorted(names)
    moved = [path.name for path in (openssh.drop / "race").glob("work*/*")]
    assert sorted(moved) == sorted(names)
    assert lost <= {"absent", "exists"}


def test_a_listing_reads_ahead_and_small_files_overlap(openssh):  # noqa: F811
    for number in range(60):
        openssh.put(f"many/{number}.csv", b"12345")
    with connect(openssh, folder="many") as storage:
        client = storage._client
        before = client.requests
        entries, _ = storage.list(".", limit=100)
        assert client.requests - before <= 12  # OPENDIR, READDIRs, CLOSE
        before = client.requests
        found = list(storage.read_small([(one.name, one.size) for one in entries]))
        assert len(found) == 60
        assert client.requests - before == 60 * 4  # OPEN, READ, FSTAT, CLOSE; no stat


def test_a_large_read_asks_in_requests_of_the_servers_limit_and_once_beyond(openssh):  # noqa: F811
    size = 261_120 * 20
    openssh.put("wide.bin", bytes(size))
    with connect(openssh) as storage:
        before = storage._client.requests
        assert sum(map(len, storage.read("wide.bin", size=size))) == size
        # OPEN, two FSTAT, CLOSE, 20 READs and the one beyond the end
        assert storage._client.requests - before == 25


def test_keys_are_exchanged_again_under_a_full_pipeline():
    content = os.urandom(1_000_000) * 8
    with OpenSsh(extra="RekeyLimit 1M") as server:
        with connect(server) as storage:
            assert storage.create("big.bin", [content]) == len(content)
            found = b"".join(storage.read("big.bin", size=len(content)))
        assert found == content
