"""`FaultProxy` in both directions, over a server that really echoes."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time

import pytest

from moatbridge.testing import Fault, FaultProxy

DATA = bytes(range(100))


class _Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.heard.append(heard := bytearray())
        with contextlib.suppress(OSError):
            while piece := self.request.recv(65536):
                heard += piece
                self.request.sendall(piece)
        self.server.ended.append("end")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Echo)
        self.heard, self.ended = [], []


@pytest.fixture
def server():
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def proxy(server):
    with FaultProxy(*server.server_address) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with socket.create_connection(proxy.endpoint, timeout=30) as client:
        yield client


def echoed(client, data=DATA):
    client.sendall(data)
    return read(client, len(data))


def read(client, count):
    got = b""
    while len(got) < count and (piece := client.recv(count - len(got))):
        got += piece
    return got


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "condition did not come true"
        time.sleep(0.002)


def test_echoes_by_default_and_counts_both_directions(proxy, client):
    assert echoed(client) == DATA
    assert (proxy.asked, proxy.passed, proxy.accepted) == (100, 100, 1)


def test_requests_stall_and_go_on_while_the_connection_lives(proxy, client, server):
    assert echoed(client) == DATA
    proxy.asking = Fault(stall_after=30)
    client.sendall(DATA)
    assert proxy.stuck.wait(30)
    assert read(client, 30) == DATA[:30]
    assert bytes(server.heard[0]) == DATA + DATA[:30]
    proxy.fault = Fault()  # a switch of the other direction frees nothing
    assert proxy.asked == 30
    proxy.asking = Fault()
    assert read(client, 70) == DATA[30:]


def test_requests_are_reset(proxy, client, server):
    proxy.asking = Fault(reset_after=30)
    client.sendall(DATA)
    with contextlib.suppress(ConnectionResetError):  # we may be told in good order
        read(client, 1000)
    wait_for(lambda: server.heard)
    assert len(server.heard[0]) <= 30


def test_requests_end_in_good_order(proxy, client, server):
    proxy.asking = Fault(cut_answer=30)
    client.sendall(DATA)
    wait_for(lambda: server.ended == ["end"])
    assert bytes(server.heard[0]) == DATA[:30]


def test_requests_are_half_closed(proxy, client, server):
    proxy.asking = Fault(half_close=30)
    client.sendall(DATA)
    wait_for(lambda: server.ended == ["end"])
    assert read(client, 30) == DATA[:30], "answers still come"


def test_one_byte_of_an_answer_is_changed(proxy, client):
    proxy.fault = Fault(corrupt=17)
    got = echoed(client)
    assert [at for at in range(100) if got[at] != DATA[at]] == [17]
    assert echoed(client) == DATA, "only once"


def test_one_byte_of_a_request_is_changed(proxy, client, server):
    proxy.asking = Fault(corrupt=150)
    assert echoed(client) == DATA
    got = echoed(client)
    assert [at for at in range(100) if got[at] != DATA[at]] == [50]
    proxy.asking = Fault()
    assert echoed(client) == DATA


def test_everything_is_said_twice(proxy, server):
    proxy.fault = Fault(duplicate_connection=True)
    with socket.create_connection(proxy.endpoint, timeout=30) as client:
        assert echoed(client) == DATA
        wait_for(lambda: len(server.heard) == 2)
        wait_for(lambda: all(bytes(heard) == DATA for heard in server.heard))
    assert proxy.passed == 100, "only one of the answers is passed on"


def test_answers_take_their_time(proxy, client):
    proxy.fault = Fault(latency=0.05, jitter=0.05)
    began = time.monotonic()
    assert echoed(client) == DATA
    assert time.monotonic() - began >= 0.05


def test_bandwidth_is_bounded(proxy, client):
    proxy.fault = Fault(bandwidth=1000, drip=10)
    began = time.monotonic()
    assert echoed(client) == DATA
    assert time.monotonic() - began >= 0.1
    proxy.fault = Fault()
    assert echoed(client, DATA * 1000) == DATA * 1000


def test_requests_drip(proxy, client, server):
    proxy.asking = Fault(drip=10, latency=0.005)
    began = time.monotonic()
    assert echoed(client) == DATA
    assert time.monotonic() - began >= 0.05


def test_an_answer_never_ends(proxy, client):
    proxy.fault = Fault(flood_after=100)
    client.sendall(DATA * 2)
    assert read(client, 100_000)[:100] == DATA
    proxy.fault = Fault()


def test_a_flood_before_the_first_byte_is_of_zeros(proxy, client):
    proxy.fault = Fault(flood_after=0)
    client.sendall(DATA)
    assert read(client, 5000) == bytes(5000)
