from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience.addresses import policy
from moatbridge.resilience.net import SystemNet, standalone_net
from moatbridge.resilience.resolver import Resolver
from resilience.toy import answering, serving, toy_net

if TYPE_CHECKING:
    from moatbridge.resilience.deadline import Watchdog

LOOPBACK = ["127.0.0.0/8", "::1/128"]


def net_for(
    answers: dict[str, tuple[str, ...]], port: int, **rules: object
) -> SystemNet:
    def lookup(host: str) -> tuple[str, ...]:
        if host not in answers:
            raise socket.gaierror("unknown")
        return answers[host]

    reach = rules.get("reach", "inside")
    allow = rules.get("allow", LOOPBACK)
    pairs = [(host, port) for host in answers]
    checked = policy(pairs, reach=reach, allow=allow)
    return SystemNet("hr", policy=checked, resolver=Resolver(lookup))


def test_connect_dials_a_permitted_address() -> None:
    with serving(answering()) as server:
        net = net_for({"dir.example": ("127.0.0.1",)}, server.port)
        with net.connect("dir.example", server.port, why="config") as sock:
            sock.sendall(b"hello\n")
            assert sock.recv(10) == b"ok\n"
            assert sock.gettimeout() is None
        net.release()


def test_host_outside_the_egress_list_is_refused_before_resolving_24() -> None:
    asked: list[str] = []
    resolver = Resolver(lambda host: asked.append(host) or ("127.0.0.1",))
    net = SystemNet("hr", policy=policy([("a", 1)], reach="inside"), resolver=resolver)
    for host, port in (("evil.example", 1), ("a", 2)):
        with pytest.raises(ConfigurationError) as caught:
            net.connect(host, port, why="srv")
        assert caught.value.code == "net.egress"
        assert "systems.hr.egress" in str(caught.value)
        assert "srv" in str(caught.value)
    assert asked == []


def test_one_refused_address_refuses_the_name_24() -> None:
    with serving(answering()) as server:
        answers = {"dir.example": ("127.0.0.1", "169.254.169.254")}
        net = net_for(answers, server.port)
        with pytest.raises(ConfigurationError) as caught:
            net.connect("dir.example", server.port, why="config")
        assert caught.value.code == "net.address"
        assert "metadata" in str(caught.value)
        assert server.accepted == 0


def test_refusal_names_the_setting_that_would_permit() -> None:
    net = net_for({"dir.example": ("10.0.0.1",)}, 389, reach="outside", allow=[])
    with pytest.raises(ConfigurationError) as caught:
        net.resolve("dir.example", 389, why="config")
    assert "private network" in str(caught.value)
    assert "systems.hr.allow_networks" in str(caught.value)


@pytest.mark.parametrize(
    "spelling",
    [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "\uff11\uff12\uff17.0.0.1",
        "localhost",
    ],
)
def test_only_the_resolved_address_is_judged_27(spelling: str) -> None:
    with serving(answering()) as server:
        rules = policy([(spelling, server.port)], reach="outside")
        net = SystemNet("hr", policy=rules, resolver=Resolver())
        with pytest.raises(ConfigurationError) as caught:
            net.connect(spelling, server.port, why="config")
        assert caught.value.code == "net.address"
        assert "loopback" in str(caught.value)
        assert server.accepted == 0


def test_a_rebinding_name_is_dialled_where_it_was_checked_24() -> None:
    with serving(answering()) as server:
        answers = iter([("127.0.0.1",), ("169.254.169.254",)])
        resolver = Resolver(lambda host: next(answers))
        rules = policy([("flip.example", server.port)], reach="inside", allow=LOOPBACK)
        net = SystemNet("hr", policy=rules, resolver=resolver)
        with net.connect("flip.example", server.port, why="config") as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        net.release()


def test_addresses_are_tried_in_turn() -> None:
    with serving(answering()) as server:
        net = net_for({"dir.example": ("127.0.0.9", "127.0.0.1")}, server.port)
        with net.connect("dir.example", server.port, why="config") as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        net.release()


def test_resolve_gives_the_checked_address() -> None:
    net = net_for({"db.example": ("127.0.0.1",)}, 5432)
    assert net.resolve("db.example", 5432, why="config") == ("127.0.0.1", 5432)


def test_nobody_listens_is_not_applied() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotApplied) as caught:
        toy_net(port).connect("127.0.0.1", port, why="config")
    assert caught.value.code == "net.unreachable"


def test_unknown_name_is_not_applied() -> None:
    net = net_for({}, 1)
    net._policy = policy([("nowhere.example", 1)], reach="inside")
    with pytest.raises(NotApplied) as caught:
        net.connect("nowhere.example", 1, why="config")
    assert caught.value.code == "net.dns"


def test_standalone_net_reaches_loopback_only_where_it_is_told() -> None:
    with serving(answering()) as server:
        net = standalone_net([("127.0.0.1", server.port)], seconds=7)
        assert net.remaining() == 7
        net.connect("127.0.0.1", server.port, why="config").close()
        with pytest.raises(ConfigurationError):
            net.connect("127.0.0.1", server.port + 1, why="config")


def test_shut_down_ends_a_blocked_read_in_another_thread_11() -> None:
    with serving(lambda conn: threading.Event().wait(20)) as server:
        net = toy_net(server.port)
        sock = net.connect("127.0.0.1", server.port, why="config")
        timer = threading.Timer(0.05, net.shut_down)
        timer.start()
        assert sock.recv(1) == b""
        timer.join()
        sock.close()
        net.release()


def test_a_closed_socket_is_closed_for_the_peer_too() -> None:
    ended = threading.Event()

    def until_end(conn: socket.socket) -> None:
        while conn.recv(10):
            pass
        ended.set()

    with serving(until_end) as server:
        net = toy_net(server.port)
        sock = net.connect("127.0.0.1", server.port, why="config")
        assert net.watched == 1
        sock.close()
        net.forget_closed()
        assert net.watched == 0
        assert ended.wait(30)


def test_watch_takes_a_descriptor_and_shuts_it_down_at_once_if_late_11(
    watchdog: Watchdog,
) -> None:
    fired = threading.Event()
    near, far = socket.socketpair()
    net = toy_net(1)
    net.deadline = watchdog.arm(0.01, fired.set)
    assert fired.wait(30)
    net.watch(near.fileno())
    assert far.recv(1) == b""
    assert net.remaining() == 0
    watchdog.disarm(net.deadline)
    net.release()
    near.close()
    far.close()


def test_a_name_that_hangs_occupies_one_thread_and_ends_in_time_13() -> None:
    release = threading.Event()

    def lookup(host: str) -> tuple[str, ...]:
        if host == "black.hole":
            release.wait(20)
        return ("127.0.0.1",)

    resolver = Resolver(lookup)
    started = time.monotonic()
    for _ in range(6):
        with pytest.raises(NotApplied) as caught:
            resolver.resolve("black.hole", 0.02)
        assert caught.value.code == "net.dns"
    assert resolver.resolve("good.example", 30) == ("127.0.0.1",)
    assert time.monotonic() - started < 10
    release.set()
    resolver.close()


def test_answers_are_remembered_13() -> None:
    asked: list[str] = []
    resolver = Resolver(lambda host: asked.append(host) or ("127.0.0.1",))
    for _ in range(3):
        assert resolver.resolve("dir.example") == ("127.0.0.1",)
    assert resolver.resolve("10.0.0.1") == ("10.0.0.1",)
    assert asked == ["dir.example"]
    resolver.close()


def test_a_server_that_never_accepts_ends_within_connect(watchdog: Watchdog) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        net = toy_net(port, connect=0.3)
        started = time.monotonic()
        with pytest.raises(NotApplied) as caught:
            net.connect("127.0.0.1", port, why="config")
        assert caught.value.code == "net.unreachable"
        assert time.monotonic() - started < 10
        for filler in fillers:
            filler.close()
