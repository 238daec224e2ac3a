"""Each fault of `FaultProxy`, on real sockets."""

from __future__ import annotations

import contextlib
import gc
import socket
import socketserver
import threading
import time
import warnings

import pytest

from moatbridge.testing import Fault, FaultProxy

ANSWER = b"0123456789" * 10


class _Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while self.rfile.readline():
            self.wfile.write(ANSWER)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


@pytest.fixture
def proxy():
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with FaultProxy(*server.server_address) as proxy:
            yield proxy
        server.shutdown()
        thread.join(10)


@pytest.fixture
def client(proxy):
    with socket.create_connection(proxy.endpoint, timeout=30) as client:
        yield client


def ask(client, count=100):
    client.sendall(b"?\n")
    return read(client, count)


def read(client, count):
    got = b""
    while len(got) < count and (piece := client.recv(count - len(got))):
        got += piece
    return got


def dial_and_read(endpoint):
    with socket.socket() as client:  # a reset may come while we still connect
        client.connect(endpoint)
        client.recv(1)


def silent(client):
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(30)


def test_passes_everything_by_default(proxy, client):
    assert ask(client) == ANSWER
    assert ask(client) == ANSWER
    assert (proxy.accepted, proxy.passed) == (1, 200)


def test_stalls_and_goes_on(proxy, client):
    ask(client)
    proxy.fault = Fault(stall_after=30)
    assert ask(client, 30) == ANSWER[:30]
    assert proxy.stuck.wait(30)
    silent(client)
    proxy.fault = Fault()
    assert read(client, 70) == ANSWER[30:]


def test_resets(proxy, client):
    proxy.fault = Fault(reset_after=30)
    client.sendall(b"?\n")
    with pytest.raises(ConnectionResetError):
        read(client, len(ANSWER))


def test_cuts_in_good_order(proxy, client):
    proxy.fault = Fault(cut_answer=30)
    assert ask(client) == ANSWER[:30]
    assert client.recv(1) == b""


def test_closes_one_half(proxy, client):
    proxy.fault = Fault(half_close=30)
    assert ask(client) == ANSWER[:30]
    assert client.recv(1) == b""
    client.sendall(b"still open\n")


def test_refuses_new_connections(proxy, client):
    ask(client)
    proxy.fault = Fault(refuse=True)
    with pytest.raises(ConnectionResetError):
        dial_and_read(proxy.endpoint)
    assert ask(client) == ANSWER, "live connections go on"


def test_swallows(proxy):
    proxy.fault = Fault(blackhole=True)
    with socket.create_connection(proxy.endpoint, timeout=30) as client:
        assert proxy.stuck.wait(30)
        client.sendall(b"?\n")
        silent(client)


def test_drips(proxy, client):
    proxy.fault = Fault(drip=10, latency=0.01)
    began = time.monotonic()
    assert ask(client) == ANSWER
    assert time.monotonic() - began >= 0.1


def test_counts_from_the_moment_the_fault_is_set(proxy, client):
    for _ in range(3):
        ask(client)
    proxy.fault = Fault(stall_after=120)
    assert ask(client) == ANSWER
    assert ask(client, 20) == ANSWER[:20]
    assert proxy.stuck.wait(30)


def test_ends_with_connections_open(proxy):
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(proxy.endpoint, timeout=30))
        proxy.fault = Fault(stall_after=0)


def test_leaving_closes_what_was_accepted_a_moment_ago():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(20):
            with socket.create_server(("127.0.0.1", 0)) as server:
                with FaultProxy(*server.getsockname()) as proxy:
                    peers = [socket.create_connection(proxy.endpoint) for _ in range(3)]
                for peer in peers:
                    peer.close()
        gc.collect()
    assert [str(each.message) for each in said] == []
