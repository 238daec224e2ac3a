"""Servers that are hostile below SFTP: no credential before the host key matched."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.testing import net
from moatbridge_sftp.storage import SshAuth, SshSettings, open_storage
from servers.openssh import held
from servers.sftp_hostile import (
    PASSWORD,
    HostileSftp,
    RawServer,
    fingerprint,
    honest,
    new_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGER = fingerprint(new_key())


def serve(wire: Any) -> None:
    honest(wire, instead={})


def connect(server: HostileSftp, *, deadline: float = 60.0, **more: Any):
    more.setdefault("host_keys", (server.fingerprint(),))
    more.setdefault("auth", SshAuth(**server.auth()))
    way = net([("127.0.0.1", server.port)], deadline=deadline)
    return open_storage(server.url(), net=way, ssh=SshSettings(**more))


def test_a_changed_host_key_gets_no_credential_not_even_the_user():
    with HostileSftp(serve) as server:
        with pytest.raises(ConfigurationError) as caught:
            connect(server, host_keys=(STRANGER,))
        assert server.credentials == []
        assert caught.value.code == "sftp.host-key"
        assert STRANGER in str(caught.value)
        assert server.fingerprint() in str(caught.value)
        assert "do not continue" in str(caught.value)


def test_two_host_keys_may_be_pinned_during_a_rotation():
    with HostileSftp(serve) as server:
        pins = (STRANGER, f"{server.fingerprint()} (ssh-ed25519)")
        with connect(server, host_keys=pins) as storage:
            assert storage.stat("ok.csv").size == 5


def test_a_server_without_strict_key_exchange_gets_no_credential():
    with HostileSftp(serve, strict_kex=False) as server:
        with pytest.raises(ConfigurationError, match="no-strict-kex") as caught:
            connect(server)
        assert caught.value.code == "sftp.algorithms"
        assert server.credentials == []
        with connect(server, legacy_algorithms=("no-strict-kex",)) as storage:
            facts = storage.facts()
            assert facts.strict_kex is False
            assert any("no-strict-kex" in one for one in facts.warnings)


def test_a_server_with_weak_ciphers_only_is_refused_with_both_lists():
    with HostileSftp(serve, ciphers=("aes128-cbc", "3des-cbc")) as server:
        with pytest.raises(ConfigurationError) as caught:
            connect(server)
        assert caught.value.code == "sftp.algorithms"
        assert "aes128-cbc, 3des-cbc" in str(caught.value)
        assert "aes128-gcm@openssh.com" in str(caught.value)
        assert server.credentials == []
        with connect(server, legacy_algorithms=("aes128-cbc",)) as storage:
            assert storage.facts().algorithms["cipher"] == "aes128-cbc"


def test_a_server_without_the_subsystem_is_named():
    with HostileSftp(None) as server, pytest.raises(ConfigurationError) as caught:
        connect(server)
    assert caught.value.code == "sftp.no-subsystem"


def test_keyboard_interactive_is_answered_by_pattern():
    with HostileSftp(serve, prompts=("Password: ", "Token for today: ")) as server:
        auth = SshAuth(
            answers={"(?i)^password": held(PASSWORD), "Token": held(PASSWORD)}
        )
        with connect(server, auth=auth) as storage:
            assert storage.stat("ok.csv").size == 5
        assert server.credentials[-2:] == [PASSWORD, PASSWORD]


def test_an_unknown_prompt_that_shows_what_is_typed_gets_nothing():
    with HostileSftp(serve, prompts=("Your mother's name: ",)) as server:
        auth = SshAuth(answers={"^Password": held(PASSWORD)})
        with pytest.raises(ConfigurationError) as caught:
            connect(server, auth=auth)
        assert caught.value.code == "sftp.auth"
        assert PASSWORD not in server.credentials


def test_a_flood_of_prompts_is_ended():
    with HostileSftp(serve, prompts=("Password: ",) * 17) as server:
        with pytest.raises(NotApplied) as caught:
            connect(server)
        assert caught.value.code == "sftp.protocol"
        assert PASSWORD not in server.credentials


def endless_line(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x" * 65_536)


def endless_lines(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"hello there\r\n" * 5000)


def silence(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def web_page(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    sock.close()


def length_bomb(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-Hostile\r\n" + struct.pack(">IB", 2**32 - 1, 4))
    while True:
        sock.sendall(bytes(65_536))


def ignore_flood(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-Hostile\r\n")
    body = b"\x02" + struct.pack(">I", 1000) + bytes(1000)
    padding = 8 - (len(body) + 5) % 8 + 8
    packet = (
        struct.pack(">IB", len(body) + padding + 1, padding) + body + bytes(padding)
    )
    while True:
        sock.sendall(packet * 60)


def hang_up(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-Hostile\r\n")
    sock.shutdown(socket.SHUT_RDWR)


def drip(sock: socket.socket) -> None:
    for byte in b"SSH-2.0-" + b"x" * 2000:
        sock.sendall(bytes([byte]))
        time.sleep(0.05)


PEERS: list[tuple[Callable[[socket.socket], None], set[str]]] = [
    (endless_line, {"sftp.protocol", "sftp.unreachable"}),
    (endless_lines, {"sftp.protocol", "sftp.unreachable"}),
    (silence, {"sftp.unreachable", "sftp.deadline"}),
    (web_page, {"sftp.unreachable"}),
    (length_bomb, {"sftp.protocol"}),
    (ignore_flood, {"sftp.protocol"}),
    (hang_up, {"sftp.unreachable"}),
    (drip, {"sftp.deadline", "sftp.unreachable"}),
]


@pytest.mark.parametrize(
    ("talk", "codes"), PEERS, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_peer_that_is_no_ssh_server_ends_in_time_and_in_bounds(talk, codes):
    with RawServer(talk) as server:
        port = int(server.url().split(":")[2].split("/")[0])
        # Only these two have to be cut off; the others end by themselves.
        slow = talk in {silence, drip}
        way = net([("127.0.0.1", port)], deadline=1.0 if slow else 60.0)
        auth = SshAuth(password=held(PASSWORD))
        tracemalloc.start()
        began = time.monotonic()
        try:
            with pytest.raises(MoatbridgeError) as caught:
                open_storage(
                    server.url(),
                    net=way,
                    ssh=SshSettings(host_keys=(STRANGER,), auth=auth),
                )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(caught.value, NotApplied)
        assert caught.value.code in codes
        assert time.monotonic() - began < 30
        assert peak < 8 * 1024 * 1024
